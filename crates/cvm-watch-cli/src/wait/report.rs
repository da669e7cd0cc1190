//! Where updates go: the output that was asked for.

use std::io::{self, Stdout, Write};

use cvm_watch_core::printable;
use cvm_watch_hyper::Update;

use super::ended::Ended;
use super::live::Live;
use super::log::Log;
use super::ndjson::Ndjson;
use crate::args::OutputMode;
use crate::output;

/// An output of a wait.
pub(crate) struct Report {
    /// The CVM as the user named it.
    id: String,
    form: Form,
}

enum Form {
    Live(Live),
    Log(Log<Box<dyn Write>>),
    Ndjson(Ndjson<Stdout>),
    Quiet,
}

impl Report {
    /// `logs`: log records go to stderr, so a line that is redrawn there would be torn.
    pub(crate) fn new(mode: OutputMode, id: &str, logs: bool) -> Self {
        let form = match mode {
            OutputMode::Text if output::stderr_is_lively() && !logs => Form::Live(Live::new(id)),
            OutputMode::Text => return Self::log(Box::new(io::stderr()), id),
            OutputMode::Ndjson => Form::Ndjson(Ndjson::new(io::stdout(), id)),
            OutputMode::Quiet => Form::Quiet,
        };
        Self { id: id.to_owned(), form }
    }

    /// Progress as lines, and the result as for people.
    pub(super) fn log(to: Box<dyn Write>, id: &str) -> Self {
        Self { id: id.to_owned(), form: Form::Log(Log::new(to, id)) }
    }

    /// Says whether the heartbeat may wait, since something was printed.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        match &mut self.form {
            Form::Live(live) => live.update(update),
            Form::Log(log) => return log.update(update),
            Form::Ndjson(ndjson) => ndjson.update(update),
            Form::Quiet => {}
        }
        true
    }

    /// Says that the wait goes on, where nothing else does.
    pub(super) fn heartbeat(&mut self) {
        if let Form::Log(log) = &mut self.form {
            log.heartbeat();
        }
    }

    /// Prints how it ended.
    pub(super) fn end(&mut self, ended: &Ended) {
        match &mut self.form {
            Form::Quiet => return,
            Form::Ndjson(ndjson) => ndjson.result(ended),
            Form::Live(live) => {
                live.clear();
                self.people(ended);
            }
            Form::Log(_) => self.people(ended),
        }
        if let Err(trouble) = &ended.outcome {
            output::failure(&trouble.message);
        }
    }

    fn people(&self, ended: &Ended) {
        match &ended.outcome {
            Ok(state) => output::to_stdout(format!("{} {}", printable(&self.id, 200), printable(&state.status, 40))),
            Err(trouble) => trouble.hints().for_each(output::to_stderr),
        }
    }
}
