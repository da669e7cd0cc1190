//! Where updates go: the output that was asked for.

use std::io::Write;

use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::ended::Ended;
use super::github::Github;
use super::identity::Identity;
use super::live::{Limit, Live};
use super::log::Log;
use super::ndjson::Ndjson;
use super::progress;
use super::setup::Remark;
use crate::args::{OutputMode, ProgressMode};
use crate::exit::Exit;
use crate::output::{self, Queued};

/// What is printed, as the flags have it.
#[derive(Clone, Copy)]
pub(crate) struct Printing {
    pub(crate) mode: OutputMode,
    pub(crate) progress: ProgressMode,
    /// Log records go to stderr, so a line that is redrawn there would be torn.
    pub(crate) has_logs: bool,
    /// Whether the time of each step is printed at the end.
    pub(crate) is_verbose: bool,
    /// The limit of the whole wait, where the live line shows it.
    pub(crate) limit: Option<Limit>,
}

impl Printing {
    /// Progress as it fits, and this result.
    pub(crate) fn new(mode: OutputMode) -> Self {
        Self { mode, progress: ProgressMode::Auto, has_logs: false, is_verbose: false, limit: None }
    }

    /// Whether progress is redrawn in place.
    pub(super) fn is_live(self) -> bool {
        self.progress == ProgressMode::Auto && !self.has_logs && output::stderr_is_lively()
    }
}

/// An output of a wait.
pub(crate) struct Report {
    /// The CVM as the user named it.
    id: String,
    identity: Identity,
    form: Form,
    /// The result as JSON, in place of a line for people.
    json: Option<Ndjson<Queued>>,
}

enum Form {
    Live(Live),
    Log(Log<Box<dyn Write>>),
    /// No progress.
    Silent,
    Ndjson(Ndjson<Queued>),
    Github(Github<Box<dyn Write>>),
    Quiet,
}

impl Report {
    pub(crate) fn new(printing: Printing, id: &str) -> Self {
        let form = match (printing.mode, printing.progress) {
            (OutputMode::Ndjson, _) => Form::Ndjson(Ndjson::of_one(output::stdout(), id)),
            (OutputMode::Github, _) => return Self::github(Box::new(output::stdout()), id),
            (OutputMode::Quiet, _) => Form::Quiet,
            (OutputMode::Text | OutputMode::Json, ProgressMode::None) => Form::Silent,
            (OutputMode::Text | OutputMode::Json, _) if printing.is_live() => {
                Form::Live(Live::new(id, printing.limit, printing.is_verbose))
            }
            (OutputMode::Text | OutputMode::Json, _) => Form::Log(Log::new(Box::new(output::stderr()), id)),
        };
        let json = (printing.mode == OutputMode::Json).then(|| Ndjson::of_one(output::stdout(), id).result_only());
        Self { id: id.to_owned(), identity: Identity::new(id), form, json }
    }

    /// Progress as lines, and the result as for people.
    #[cfg(test)]
    pub(super) fn log(to: Box<dyn Write>, id: &str) -> Self {
        Self { id: id.to_owned(), identity: Identity::new(id), form: Form::Log(Log::new(to, id)), json: None }
    }

    /// The same as workflow commands.
    pub(super) fn github(to: Box<dyn Write>, id: &str) -> Self {
        Self { id: id.to_owned(), identity: Identity::new(id), form: Form::Github(Github::new(to, id)), json: None }
    }

    /// Says whether the heartbeat may wait, since something was printed.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        if let (Form::Live(_), Update::SteadyTarget { after, .. }) = (&self.form, update) {
            // The live line is gone at the end; this stays.
            self.aside(&Remark::Note(format!("{} was {}", self.id, progress::steady(*after))));
        }
        if let Some(doubt) = self.identity.doubt(update) {
            self.remark(&Remark::Warning(doubt));
        }
        if let Some(json) = &mut self.json {
            json.update(0, update);
        }
        match &mut self.form {
            Form::Live(live) => live.update(update),
            Form::Log(log) => return log.update(update),
            Form::Github(github) => return github.update(update),
            Form::Ndjson(ndjson) => ndjson.update(0, update),
            Form::Silent | Form::Quiet => {}
        }
        true
    }

    /// Says that the wait goes on, where nothing else does.
    pub(super) fn heartbeat(&mut self) {
        match &mut self.form {
            Form::Log(log) => log.heartbeat(),
            Form::Github(github) => github.heartbeat(),
            Form::Live(_) | Form::Silent | Form::Ndjson(_) | Form::Quiet => {}
        }
    }

    /// When a change that was held back is to be printed.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.form {
            Form::Log(log) => log.due(),
            Form::Github(github) => github.due(),
            Form::Live(_) | Form::Silent | Form::Ndjson(_) | Form::Quiet => None,
        }
    }

    /// Prints the change that was held back, if there is one.
    pub(super) fn flush(&mut self) {
        match &mut self.form {
            Form::Log(log) => log.flush(),
            Form::Github(github) => github.flush(),
            Form::Live(_) | Form::Silent | Form::Ndjson(_) | Form::Quiet => {}
        }
    }

    /// Tells what there is to tell before the wait begins.
    pub(super) fn remark(&mut self, remark: &Remark) {
        match (remark, &mut self.form) {
            (Remark::Warning(message), Form::Ndjson(ndjson)) => ndjson.warn(message),
            (Remark::Warning(message), Form::Github(github)) => github.warn(message),
            _ => self.aside(remark),
        }
    }

    /// Prints how the wait ended; the exit code says the same.
    pub(super) fn end(mut self, ended: &Ended) -> Exit {
        match &mut self.form {
            Form::Quiet => {}
            Form::Ndjson(ndjson) => ndjson.result(0, ended),
            Form::Silent => self.people(ended),
            Form::Live(live) => {
                live.end(ended);
                self.people(ended);
            }
            Form::Log(log) => {
                log.flush();
                self.people(ended);
            }
            Form::Github(github) => {
                github.end(ended);
                if let Err(trouble) = &ended.outcome {
                    trouble.particulars().for_each(output::to_stderr);
                }
            }
        }
        if let Err(trouble) = &ended.outcome {
            trouble.print();
        }
        ended.exit
    }

    fn aside(&self, remark: &Remark) {
        let line = remark.line();
        match &self.form {
            Form::Live(live) => live.aside(line),
            Form::Log(_) | Form::Silent | Form::Ndjson(_) | Form::Github(_) => output::to_stderr(line),
            Form::Quiet => {}
        }
    }

    fn people(&mut self, ended: &Ended) {
        if let Some(json) = &mut self.json {
            json.result(0, ended);
        }
        match &ended.outcome {
            Ok(_) if self.json.is_some() => {}
            Ok(state) => output::to_stdout(format!("{} {}", printable(&self.id, 200), printable(&state.status, 40))),
            Err(trouble) => trouble.particulars().for_each(output::to_stderr),
        }
    }
}
