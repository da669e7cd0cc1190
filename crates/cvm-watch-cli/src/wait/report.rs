//! Where updates go: the output that was asked for.

use std::io::Write;

use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::ended::Ended;
use super::github::Github;
use super::live::Live;
use super::log::Log;
use super::ndjson::Ndjson;
use super::progress;
use super::setup::Remark;
use crate::args::OutputMode;
use crate::exit::Exit;
use crate::output::{self, Queued};

/// An output of a wait.
pub(crate) struct Report {
    /// The CVM as the user named it.
    id: String,
    form: Form,
}

enum Form {
    Live(Live),
    Log(Log<Box<dyn Write>>),
    Ndjson(Ndjson<Queued>),
    Github(Github<Box<dyn Write>>),
    Quiet,
}

impl Report {
    /// `logs`: log records go to stderr, so a line that is redrawn there would be torn.
    pub(crate) fn new(mode: OutputMode, id: &str, logs: bool) -> Self {
        let form = match mode {
            OutputMode::Text if output::stderr_is_lively() && !logs => Form::Live(Live::new(id)),
            OutputMode::Text => return Self::log(Box::new(output::stderr()), id),
            OutputMode::Ndjson => Form::Ndjson(Ndjson::new(output::stdout(), [id])),
            OutputMode::Github => return Self::github(Box::new(output::stdout()), id),
            OutputMode::Quiet => Form::Quiet,
        };
        Self { id: id.to_owned(), form }
    }

    /// Progress as lines, and the result as for people.
    pub(super) fn log(to: Box<dyn Write>, id: &str) -> Self {
        Self { id: id.to_owned(), form: Form::Log(Log::new(to, id)) }
    }

    /// The same as workflow commands.
    pub(super) fn github(to: Box<dyn Write>, id: &str) -> Self {
        Self { id: id.to_owned(), form: Form::Github(Github::new(to, id)) }
    }

    /// Says whether the heartbeat may wait, since something was printed.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        if let (Form::Live(_), Update::SteadyTarget { after, .. }) = (&self.form, update) {
            // The live line is gone at the end; this stays.
            self.aside(&Remark::Note(format!("{} was {}", self.id, progress::steady(*after))));
        }
        match &mut self.form {
            Form::Live(live) => live.update(update),
            Form::Log(log) => return log.update(update),
            Form::Github(github) => return github.update(update),
            Form::Ndjson(ndjson) => ndjson.update(0, update),
            Form::Quiet => {}
        }
        true
    }

    /// Says that the wait goes on, where nothing else does.
    pub(super) fn heartbeat(&mut self) {
        match &mut self.form {
            Form::Log(log) => log.heartbeat(),
            Form::Github(github) => github.heartbeat(),
            Form::Live(_) | Form::Ndjson(_) | Form::Quiet => {}
        }
    }

    /// When a change that was held back is to be printed.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.form {
            Form::Log(log) => log.due(),
            Form::Github(github) => github.due(),
            Form::Live(_) | Form::Ndjson(_) | Form::Quiet => None,
        }
    }

    /// Prints the change that was held back, if there is one.
    pub(super) fn flush(&mut self) {
        match &mut self.form {
            Form::Log(log) => log.flush(),
            Form::Github(github) => github.flush(),
            Form::Live(_) | Form::Ndjson(_) | Form::Quiet => {}
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
            Form::Quiet => return ended.exit,
            Form::Ndjson(ndjson) => ndjson.result(0, ended),
            Form::Live(live) => {
                live.clear();
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
            output::failure(&trouble.message);
        }
        ended.exit
    }

    fn aside(&self, remark: &Remark) {
        let line = remark.line();
        match &self.form {
            Form::Live(live) => live.aside(line),
            Form::Log(_) | Form::Ndjson(_) | Form::Github(_) => output::to_stderr(line),
            Form::Quiet => {}
        }
    }

    fn people(&self, ended: &Ended) {
        match &ended.outcome {
            Ok(state) => output::to_stdout(format!("{} {}", printable(&self.id, 200), printable(&state.status, 40))),
            Err(trouble) => trouble.particulars().for_each(output::to_stderr),
        }
    }
}
