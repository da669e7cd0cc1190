//! A recording played through the core.

use std::io::{BufRead, Read};
use std::sync::Arc;

use cvm_watch_driver::core::{AttemptId, Input, Timestamp, Watch};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::action;
use crate::error::ReadError;
use crate::line::{self, First, OwnedHead, Told, What};

/// The most bytes of one line; a hostile file makes the player hold no more.
const LONGEST_LINE: u64 = 64 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Plays a recording: tells the core all that it was told then, and compares what it answers.
///
/// ```
/// use cvm_watch_recording::Player;
///
/// let recording = r#"{"recording":1,"by":"0.1.0","start":0,"seed":1,"config":{"id":"my-cvm","target":"running"}}
/// {"at":5,"undrained":true,"told":"abort"}
/// {"action":"fail","kind":"aborted","text":"the watch was aborted"}
/// "#;
/// let mut actions = Vec::new();
/// let played = Player::new(recording.as_bytes())?.play(|action| actions.push(action.to_owned()))?;
/// assert_eq!(actions, [r#"{"action":"fail","kind":"aborted","text":"the watch was aborted"}"#]);
/// assert_eq!(played.difference, None);
/// # Ok::<(), cvm_watch_recording::ReadError>(())
/// ```
#[derive(Debug)]
pub struct Player<R> {
    lines: Lines<R>,
    watch: Watch,
    start: Timestamp,
    /// The chunk that was told last, and how much of it was taken.
    chunk: Vec<u8>,
    taken: usize,
    attempt: u64,
    played: Played,
}

/// How a recording was played.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Played {
    /// How many actions came.
    pub actions: u64,
    /// Where the core did otherwise than it did then, if it did: the first time.
    pub difference: Option<Difference>,
    /// The last line, if it ends in the middle, as that of a program that was killed does. It was
    /// left out.
    pub unfinished: Option<u64>,
}

/// Where the core did otherwise than the recording says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The line of the recording, from 1.
    pub line: u64,
    /// What the core did then; `None` if nothing.
    pub then: Option<String>,
    /// What it does now; `None` if nothing.
    pub now: Option<String>,
}

impl<R: BufRead> Player<R> {
    /// Reads the first line, and begins the watch.
    ///
    /// # Errors
    ///
    /// A first line that is not that of a recording, or of a format that is not known here, or with
    /// parameters that are refused.
    pub fn new(recording: R) -> Result<Self, ReadError> {
        let mut lines = Lines { from: recording, number: 0, unfinished: None };
        let Some(text) = lines.next()? else {
            lines.number = 1;
            return Err(lines.wrong("is not the first line of a recording"));
        };
        let format: Format =
            serde_json::from_str(&text).map_err(|_| lines.wrong("is not the first line of a recording"))?;
        if format.recording != line::FORMAT {
            let problem = format!(
                "the format is {}, and only {} is known here; use another version",
                format.recording,
                line::FORMAT
            );
            return Err(lines.wrong(problem));
        }
        let first: First = lines.parse(&text)?;
        let (id, policy) = first.config.build().map_err(|error| lines.wrong(error.to_string()))?;
        let policy = Arc::new(policy);
        let start = Timestamp::from_nanos(first.start);
        let watch = if first.permits {
            Watch::with_permits(policy, id, first.seed, start)
        } else {
            Watch::new(policy, id, first.seed, start)
        };
        Ok(Self { lines, watch, start, chunk: Vec::new(), taken: 0, attempt: 0, played: Played::default() })
    }

    /// Plays the rest, and gives each action of the core to `each`, as a line without its end.
    ///
    /// # Errors
    ///
    /// A line that cannot be read. What comes before it was played.
    pub fn play(mut self, mut each: impl FnMut(&str)) -> Result<Played, ReadError> {
        while let Some(text) = self.lines.next()? {
            if text.starts_with(line::ACTION) {
                let now = self.poll(&mut each);
                if now.as_deref() != Some(&text) {
                    self.differs(Some(text), now);
                }
            } else {
                let told = self.lines.parse(&text)?;
                self.tell(told, &mut each)?;
            }
        }
        self.played.unfinished = self.lines.unfinished;
        Ok(self.played)
    }

    fn tell(&mut self, told: Told, each: &mut impl FnMut(&str)) -> Result<(), ReadError> {
        if !told.undrained {
            while let Some(now) = self.poll(each) {
                self.differs(None, Some(now));
            }
        }
        let now = self.start + core::time::Duration::from_nanos(told.at);
        match told.told {
            What::Abort => self.watch.handle(now, Input::Abort),
            What::Tick => self.watch.handle(now, Input::Tick),
            What::Resumed => self.watch.handle(now, Input::Resumed),
            What::Permit => self.watch.handle(now, Input::Permit),
            What::Yield { attempt } => {
                self.watch.handle(now, Input::Yield { attempt: AttemptId::from_number(attempt) });
            }
            What::Closed { attempt, cause } => {
                let cause = line::cause(&cause).map_err(|problem| self.lines.wrong(problem))?;
                self.watch.handle(now, Input::Closed { attempt: AttemptId::from_number(attempt), cause });
            }
            What::Head { attempt, status, headers, wall } => {
                let head = OwnedHead::new(status, headers).map_err(|problem| self.lines.wrong(problem))?;
                self.watch.handle(now, head.input(attempt, wall));
            }
            What::Chunk { attempt, bytes, taken } => {
                self.chunk = bytes.into_vec().map_err(|problem| self.lines.wrong(problem))?;
                self.taken = 0;
                self.attempt = attempt;
                self.offer(now, taken);
            }
            What::Rest { taken } => self.offer(now, taken),
        }
        Ok(())
    }

    /// Offers what is left of the chunk.
    fn offer(&mut self, now: Timestamp, then: usize) {
        let rest = self.chunk.get(self.taken..).unwrap_or_default();
        let taken = self.watch.receive(now, AttemptId::from_number(self.attempt), rest);
        self.taken += taken;
        if taken != then {
            self.differs(Some(format!("{then} bytes taken")), Some(format!("{taken} bytes taken")));
        }
    }

    fn poll(&mut self, each: &mut impl FnMut(&str)) -> Option<String> {
        let line = action::line(&self.watch.poll_action()?);
        self.played.actions += 1;
        each(&line);
        Some(line)
    }

    fn differs(&mut self, then: Option<String>, now: Option<String>) {
        self.played.difference.get_or_insert(Difference { line: self.lines.number, then, now });
    }
}

/// As much of the first line as every version has.
#[derive(serde::Deserialize)]
struct Format {
    recording: u32,
}

#[derive(Debug)]
struct Lines<R> {
    from: R,
    /// The line that was read last.
    number: u64,
    unfinished: Option<u64>,
}

impl<R: BufRead> Lines<R> {
    /// The next line that is not blank, without its end, which may be that of another system, and
    /// without the byte order mark that an editor may have put before the first. A last line without
    /// an end counts if it is whole JSON.
    fn next(&mut self) -> Result<Option<String>, ReadError> {
        loop {
            let mut bytes = Vec::new();
            self.number += 1;
            let read = (&mut self.from).take(LONGEST_LINE + 1).read_until(b'\n', &mut bytes);
            read.map_err(|source| ReadError::Read { line: self.number, source })?;
            let ended = bytes.pop_if(|byte| *byte == b'\n').is_some();
            if bytes.is_empty() && !ended {
                return Ok(None);
            }
            if bytes.len() as u64 > LONGEST_LINE {
                return Err(self.wrong(format!("is longer than {LONGEST_LINE} bytes")));
            }
            bytes.pop_if(|byte| *byte == b'\r');
            if self.number == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
                bytes.drain(..BYTE_ORDER_MARK.len());
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            return match String::from_utf8(bytes) {
                Ok(text) if ended || serde_json::from_str::<IgnoredAny>(&text).is_ok() => Ok(Some(text)),
                _ if !ended => {
                    self.unfinished = Some(self.number);
                    Ok(None)
                }
                _ => Err(self.wrong("is not UTF-8")),
            };
        }
    }

    fn parse<T: DeserializeOwned>(&self, text: &str) -> Result<T, ReadError> {
        serde_json::from_str(text).map_err(|error| self.wrong(error.to_string()))
    }

    fn wrong(&self, problem: impl Into<String>) -> ReadError {
        ReadError::Line { line: self.number, problem: problem.into() }
    }
}
