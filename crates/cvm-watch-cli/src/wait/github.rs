//! A wait as a step of GitHub Actions: a group of progress lines, an annotation of the result, the
//! step's outputs and its summary.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cvm_watch_core::printable;
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::ended::{Ended, Trouble};
use super::log::Log;
use super::progress;
use crate::output;

/// The most characters of a status in the step's outputs.
const STATUS_WIDTH: usize = 200;
/// The most characters of a message in the step's summary.
const MESSAGE_WIDTH: usize = 600;

/// Progress and result as workflow commands, which a runner finds at the beginning of lines.
pub(super) struct Github<W> {
    log: Log<W>,
    /// The CVM as the user named it.
    id: String,
    group_is_open: bool,
}

impl<W: Write> Github<W> {
    pub(super) fn new(to: W, id: &str) -> Self {
        Self { log: Log::new(to, id), id: id.to_owned(), group_is_open: false }
    }

    /// Says whether there was something to print.
    pub(super) fn update(&mut self, update: &Update) -> bool {
        if !self.group_is_open {
            self.group_is_open = true;
            self.log.line(begin(&printable(&self.id, 100)));
        }
        self.log.update(update)
    }

    pub(super) fn heartbeat(&mut self) {
        self.log.heartbeat();
    }

    /// When a change that was held back is to be printed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.log.due()
    }

    /// Prints the change that was held back, if there is one.
    pub(super) fn flush(&mut self) {
        self.log.flush();
    }

    pub(super) fn warn(&mut self, message: &str) {
        self.log.line(warning(&self.id, message));
    }

    /// Prints the result, and adds it to the step's outputs and its summary.
    pub(super) fn end(&mut self, ended: &Ended) {
        self.log.flush();
        if self.group_is_open {
            self.log.line(END.to_owned());
        }
        let passed = self.log.passed();
        match &ended.outcome {
            Ok(state) => {
                let (id, status) = (printable(&self.id, 100), printable(&state.status, 40));
                let steady = self.log.steady().map(|after| format!(", {}", progress::steady(after)));
                let steady = steady.unwrap_or_default();
                self.log.line(notice(&self.id, &format!("{id} is {status} after {passed}{steady}")));
            }
            Err(trouble) => self.log.line(error(&self.id, trouble)),
        }
        add_end(&self.id, ended, &passed);
    }
}

/// Adds one end to the step's outputs and its summary. An empty id is none.
pub(super) fn add_end(id: &str, ended: &Ended, passed: &str) {
    add("GITHUB_OUTPUT", &outputs(ended));
    add("GITHUB_STEP_SUMMARY", &format!("{TABLE}{}\n", row(id, ended, None, passed)));
}

/// A `name=value` line each.
fn outputs(ended: &Ended) -> String {
    let status = match &ended.outcome {
        Ok(state) => Some(&state.status),
        Err(trouble) => trouble.last_status.as_ref(),
    };
    let mut lines = format!("outcome={}\n", ended.word());
    if let Some(status) = status {
        lines.push_str(&format!("status={}\n", plain(status)));
    }
    if let Err(trouble) = &ended.outcome {
        lines.push_str(&format!("error={}\n", trouble.kind));
    }
    lines
}

/// A status of the server as a word of the step's outputs, which workflows put into scripts: nothing
/// in it means anything to a shell, an expression or the file of outputs. Known ones stay as they are.
pub(super) fn plain(status: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-');
    status.chars().take(STATUS_WIDTH).map(|char| if is_plain(char) { char } else { '_' }).collect()
}

/// Begins a group of lines about these CVMs.
pub(super) fn begin(whom: &str) -> String {
    format!("::group::{}", data(&format!("Waiting for {whom}")))
}

/// Ends the group.
pub(super) const END: &str = "::endgroup::";

pub(super) fn warning(id: &str, message: &str) -> String {
    annotation("warning", id, &printable(message, MESSAGE_WIDTH))
}

pub(super) fn notice(id: &str, message: &str) -> String {
    annotation("notice", id, message)
}

/// A failure, with what to do next.
pub(super) fn error(id: &str, trouble: &Trouble) -> String {
    let hint = trouble.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    annotation("error", id, &format!("{}{hint}", printable(&trouble.message, MESSAGE_WIDTH)))
}

/// The head of the table of CVMs in the step's summary.
pub(super) const TABLE: &str = "\n| CVM | Outcome | Status | Time | Detail |\n| --- | --- | --- | ---: | --- |\n";

/// A row of the table.
pub(super) fn row(id: &str, ended: &Ended, last_status: Option<&str>, passed: &str) -> String {
    let (status, detail) = match &ended.outcome {
        Ok(state) => (Some(state.status.as_str()), String::new()),
        Err(trouble) => (trouble.last_status.as_deref().or(last_status), cell(&trouble.message)),
    };
    let status = status.map(cell).unwrap_or_default();
    let name = if id.trim().is_empty() { "cvm-watch".to_owned() } else { cell(id) };
    format!("| {name} | {} | {status} | {passed} | {detail} |\n", ended.word())
}

/// Any text as a code span in a cell, which a bar would end.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// An empty id is none.
fn annotation(kind: &str, id: &str, message: &str) -> String {
    let title = match id {
        "" => "cvm-watch".to_owned(),
        id => format!("cvm-watch: {}", printable(id, 100)),
    };
    format!("::{kind} title={}::{}", property(&title), data(message))
}

/// Adds to the file that the variable names, if it names one. The exit code reports the wait, so a file
/// that cannot be written changes nothing about it.
pub(super) fn add(variable: &str, text: &str) {
    let Some(path) = env::var_os(variable).filter(|path| !path.is_empty()) else { return };
    if let Err(error) = append(Path::new(&path), text) {
        output::to_stderr(printable(&format!("warning: cannot write to {variable}: {error}"), MESSAGE_WIDTH));
    }
}

/// Adds whole lines to a file, or nothing. An earlier line that was not ended is ended first.
fn append(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // A pipe without a reader, or with one that stalls, is an error and not a wait.
    #[cfg(unix)]
    options.custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
    let mut file = options.open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return file.write_all(text.as_bytes());
    }
    let text = if ends_in_a_line(path).unwrap_or(true) { text.to_owned() } else { format!("\n{text}") };
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        // A part of a line would make the runner refuse the whole file.
        let _ = file.set_len(before.len());
    }
    written
}

/// Whether the file's last line is ended; also that of an empty one.
fn ends_in_a_line(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Text as the message of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text as a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text as a code span of Markdown, in which nothing is markup: neither a link nor HTML.
fn code(text: &str) -> String {
    let text = printable(text, MESSAGE_WIDTH);
    if text.trim().is_empty() {
        return "cvm-watch".to_owned();
    }
    // The fence is longer than any row of backticks in the text, and a space at either end, which is
    // not shown, keeps them apart from it.
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if longest == 0 { "" } else { " " };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_line_or_property() {
        assert_eq!(data("100%\r\n::error::x, y"), "100%25%0D%0A::error::x, y");
        assert_eq!(data("%0A"), "%250A", "what looks escaped already is not");
        assert_eq!(property("a: b, c%"), "a%3A b%2C c%25");
    }

    #[test]
    fn a_status_is_a_plain_word() {
        for (status, expected) in [
            ("in_progress", "in_progress"),
            ("Running-2.0", "Running-2.0"),
            ("$(x)`y`\nerror=\u{e9}", "__x__y__error__"),
            ("", ""),
        ] {
            assert_eq!(plain(status), expected);
        }
        assert_eq!(plain(&"\u{e9}".repeat(1000)), "_".repeat(200));
    }

    #[test]
    fn a_bar_does_not_end_a_cell() {
        let ended = Ended::invalid("a|b `c`");
        assert_eq!(row("x|y", &ended, None, "1s"), "| `x\\|y` | failed |  | 1s | `` a\\|b `c` `` |\n");
        assert_eq!(row("", &ended, Some("a\nb"), "1s"), "| cvm-watch | failed | `a\\nb` | 1s | `` a\\|b `c` `` |\n");
    }

    #[test]
    fn a_code_span_holds_any_text() {
        for (text, expected) in [
            ("my-cvm", "`my-cvm`"),
            ("a`b", "`` a`b ``"),
            ("``` `", "```` ``` ` ````"),
            ("[x](https://x) <b> @y", "`[x](https://x) <b> @y`"),
            ("a\nb", r"`a\nb`"),
            ("", "cvm-watch"),
            (" ", "cvm-watch"),
        ] {
            assert_eq!(code(text), expected);
        }
    }
}
