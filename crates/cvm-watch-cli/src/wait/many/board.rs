//! Where the news of many CVMs goes: the output that was asked for.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};

use console::Term;
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::super::ended::Ended;
use super::super::ndjson::Ndjson;
use super::super::report::Printing;
use super::super::setup::Remark;
use super::super::{github, log, pace};
use super::panel::Panel;
use super::roster::Roster;
use super::{table, workflow};
use crate::args::{OutputMode, ProgressMode, WaitArgs};
use crate::duration;
use crate::exit::Exit;
use crate::output::{self, Lines, Queued};

/// The most different hints that are given to people.
const MOST_HINTS: usize = 5;
/// The most CVMs whose further server messages are shown.
const MOST_SHOWN: usize = 10;

/// An output of a wait for many.
pub(super) struct Board {
    roster: Roster,
    form: Form,
    /// The result as JSON, in place of a table.
    json: Option<Ndjson<Queued>>,
    /// The CVMs with a change that was held back, by when it is to be printed.
    held: BTreeSet<(Instant, usize)>,
}

enum Form {
    Panel(Panel),
    Log(Lines<Box<dyn Write>>),
    /// No progress.
    Silent,
    Ndjson(Ndjson<Queued>),
    Github {
        to: Lines<Queued>,
        group_is_open: bool,
    },
    Quiet,
}

impl Board {
    pub(super) fn new(args: &WaitArgs, ids: &[String], printing: Printing) -> Self {
        let roster = Roster::new(ids, &args.target.join(" or "), args.any);
        let names = || ids.iter().map(String::as_str);
        let form = match (printing.mode, printing.progress) {
            (OutputMode::Ndjson, _) => Form::Ndjson(Ndjson::of_fleet(output::stdout(), names())),
            (OutputMode::Github, _) => Form::Github { to: Lines::new(output::stdout()), group_is_open: false },
            (OutputMode::Quiet, _) => Form::Quiet,
            (OutputMode::Text | OutputMode::Json, ProgressMode::None) => Form::Silent,
            (OutputMode::Text | OutputMode::Json, _) if printing.is_live() => {
                Form::Panel(Panel::new(&roster, printing.limit, printing.is_verbose))
            }
            (OutputMode::Text | OutputMode::Json, _) => Form::Log(Lines::new(Box::new(output::stderr()))),
        };
        let json =
            (printing.mode == OutputMode::Json).then(|| Ndjson::of_fleet(output::stdout(), names()).result_only());
        Self { roster, form, json, held: BTreeSet::new() }
    }

    /// Tells what there is to tell before the wait begins.
    pub(super) fn remark(&mut self, remark: &Remark) {
        match (remark, &mut self.form) {
            (_, Form::Quiet) => {}
            (Remark::Warning(message), Form::Ndjson(ndjson)) => ndjson.warn(message),
            (Remark::Warning(message), Form::Github { to, .. }) => print(to, github::warning("", message)),
            (_, Form::Panel(panel)) => panel.aside(remark.line()),
            _ => output::to_stderr(remark.line()),
        }
    }

    /// Says whether the heartbeat may wait, since something was printed.
    pub(super) fn update(&mut self, index: usize, update: &Update) -> bool {
        let is_news = self.roster.update(index, update);
        if let Some(doubt) = self.roster.doubt(index, update) {
            self.remark(&Remark::Warning(doubt));
        }
        if let Some(json) = &mut self.json {
            json.update(index, update);
        }
        match &mut self.form {
            Form::Ndjson(ndjson) => ndjson.update(index, update),
            Form::Log(_) | Form::Github { .. } if is_news && !self.roster.allows_line(index) => {
                self.held.extend(self.roster.due(index).map(|due| (due, index)));
                return false;
            }
            _ if is_news => self.show(index),
            _ => {}
        }
        is_news
    }

    /// When a change that was held back is to be printed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.first().map(|(due, _)| *due)
    }

    /// Prints the first change that was held back, if there is one.
    pub(super) fn flush(&mut self) {
        if let Some((_, index)) = self.held.pop_first()
            && self.roster.due(index).is_some()
        {
            self.show(index);
        }
    }

    pub(super) fn end(&mut self, index: usize, ended: Ended) {
        if let (Form::Ndjson(json), _) | (_, Some(json)) = (&mut self.form, &mut self.json) {
            json.result(index, &ended);
        }
        self.roster.end(index, ended);
        self.show(index);
    }

    pub(super) fn last_status(&self, index: usize) -> Option<&str> {
        self.roster.last_status(index)
    }

    /// Sums up, where nothing else says that the wait goes on.
    pub(super) fn heartbeat(&mut self) {
        let still = self.roster.still();
        let line = format!("{:>6} {still}", duration::passed(self.roster.passed()));
        match &mut self.form {
            Form::Log(to) => print(to, line),
            Form::Github { to, .. } => print(to, line),
            Form::Panel(_) | Form::Silent | Form::Ndjson(_) | Form::Quiet => {}
        }
    }

    /// Ends before anything was requested.
    pub(super) fn refuse(&mut self, ended: &Ended) -> Exit {
        let Err(trouble) = &ended.outcome else { return ended.exit };
        match &mut self.form {
            Form::Panel(panel) => panel.clear(),
            Form::Log(_) | Form::Silent | Form::Quiet => {}
            Form::Ndjson(ndjson) => ndjson.refused(ended),
            Form::Github { to, .. } => {
                print(to, github::error("", trouble));
                github::add_end("", ended, &duration::passed(self.roster.passed()));
            }
        }
        if let Some(json) = &mut self.json {
            json.refused(ended);
        }
        trouble.print();
        ended.exit
    }

    /// Prints what it came to.
    pub(super) fn finish(&mut self) -> Exit {
        let exit = self.roster.exit();
        if let Form::Panel(panel) = &mut self.form {
            panel.clear();
        }
        if let (Form::Ndjson(json), _) | (_, Some(json)) = (&mut self.form, &mut self.json) {
            let failed = self.roster.members().iter().filter(|member| member.has_failed());
            let failed: Vec<_> = failed.map(|member| member.id.as_str()).collect();
            json.summary(exit, &self.roster.counts(), &failed);
        }
        match &mut self.form {
            Form::Quiet | Form::Ndjson(_) => {}
            Form::Panel(_) | Form::Log(_) | Form::Silent if self.json.is_some() => advise(&self.roster, exit),
            Form::Panel(_) | Form::Log(_) | Form::Silent => people(&self.roster, exit),
            Form::Github { to, group_is_open } => {
                if *group_is_open {
                    print(to, github::END.to_owned());
                }
                workflow::end(&self.roster, exit).into_iter().for_each(|line| print(to, line));
                advise(&self.roster, exit);
            }
        }
        if exit != Exit::Success {
            output::failure(&self.roster.verdict());
        }
        exit
    }

    /// Shows how one of them stands now.
    fn show(&mut self, index: usize) {
        let is_lines = matches!(self.form, Form::Log(_) | Form::Github { .. });
        let left_out = if is_lines { pace::left_out(self.roster.print_line(index)) } else { String::new() };
        let roster = &self.roster;
        let Some(member) = roster.member(index) else { return };
        let line = || {
            let passed = duration::passed(roster.passed());
            log::line(&passed, &member.name, &member.progress.text(), member.progress.attempt) + &left_out
        };
        match &mut self.form {
            Form::Panel(panel) => panel.show(index, roster),
            Form::Log(to) => print(to, line()),
            Form::Github { to, group_is_open } => {
                if !*group_is_open {
                    *group_is_open = true;
                    print(to, github::begin(&format!("{} CVMs", roster.members().len())));
                }
                print(to, line());
            }
            Form::Silent | Form::Ndjson(_) | Form::Quiet => {}
        }
    }
}

/// A closed output ends the printing, not the wait.
fn print<W: Write>(to: &mut Lines<W>, line: String) {
    let _ = to.print(line);
}

/// The table, and what else there is to tell.
fn people(roster: &Roster, exit: Exit) {
    let columns = if io::stdout().is_terminal() { Term::stdout().size().1.into() } else { usize::MAX };
    table::lines(roster, columns).into_iter().for_each(output::to_stdout);
    advise(roster, exit);
}

/// What the server says beside its messages, and what to do next about each kind of trouble.
fn advise(roster: &Roster, exit: Exit) {
    // Where one was enough, the others are no trouble.
    if exit != Exit::Success {
        let mut messages = roster.server_messages();
        messages.by_ref().take(MOST_SHOWN).flatten().for_each(output::to_stderr);
        match messages.count() {
            0 => {}
            1 => output::to_stderr("the server says more about another CVM; --output ndjson has all of it"),
            more => output::to_stderr(format!(
                "the server says more about {more} other CVMs; --output ndjson has all of it"
            )),
        }
    }
    for hint in roster.hints().into_iter().take(MOST_HINTS) {
        output::to_stderr(format!("hint: {hint}"));
    }
}
