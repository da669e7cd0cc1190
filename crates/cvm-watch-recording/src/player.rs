//! Replays a recording through the core.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};
use std::sync::Arc;

use cvm_watch_driver::cvm_watch_core::{
    Action, AttemptId, CvmId, Fleet, Input, MemberId, Policy, Timestamp, Until, Watch,
};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::action;
use crate::error::ReadError;
use crate::line::{self, ConfigOfFormat1, First, FirstOfFormat1, OwnedHead, Report, Reported};

/// The longest line, in bytes, so that a hostile file cannot exhaust memory.
const LONGEST_LINE: u64 = 64 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Replays a recording: passes the recorded inputs to the core, and compares its actions with the recorded ones.
///
/// ```
/// use cvm_watch_recording::Player;
///
/// let recording = r#"{"recording":2,"by":"0.1.0"}
/// {"at":0,"input":{"watch":{"id":"my-cvm","seed":1,"policy":{"target":"running"}}}}
/// {"at":5,"undrained":true,"input":"abort"}
/// {"action":"fail","kind":"aborted"}
/// "#;
/// let mut actions = Vec::new();
/// let played = Player::new(recording.as_bytes())?.play(|action| actions.push(action.to_owned()))?;
/// assert_eq!(actions, [r#"{"action":"fail","kind":"aborted"}"#]);
/// assert_eq!(played.difference, None);
/// # Ok::<(), cvm_watch_recording::ReadError>(())
/// ```
#[derive(Debug)]
pub struct Player<R> {
    lines: Lines<R>,
    core: Core,
    /// The offset that is added to times, in nanoseconds; 0 except for format 1.
    start: u64,
    /// The policy of the last watch.
    policy: Option<Arc<Policy>>,
    members: BTreeMap<u64, Member>,
    played: Played,
}

/// The core that is replayed: a watch or a fleet.
#[derive(Debug)]
enum Core {
    /// A watch that was not started yet.
    None,
    Watch(Box<Watch>),
    Fleet(Box<Fleet>),
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    attempt: AttemptId,
    /// The last chunk of a member's body, and how much of it was taken.
    chunk: Vec<u8>,
    taken: usize,
}

/// The result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Played {
    /// How many actions there were.
    pub actions: u64,
    /// The first difference, if there is one.
    pub difference: Option<Difference>,
    /// The line at which the replay stopped, because the server repeated a secret, which the recording does not
    /// contain.
    pub echo: Option<u64>,
    /// The last line, if it is incomplete because the program was killed. It was ignored.
    pub unfinished: Option<u64>,
}

/// A difference between the core and the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The line of the recording, from 1.
    pub line: u64,
    /// The recorded action; `None` if there is none.
    pub then: Option<String>,
    /// The action of the core now; `None` if there is none.
    pub now: Option<String>,
}

impl<R: BufRead> Player<R> {
    /// Reads the first line.
    ///
    /// # Errors
    ///
    /// Fails if the first line is not that of a recording, or if the version of the format is unknown.
    pub fn new(recording: R) -> Result<Self, ReadError> {
        let mut lines = Lines { from: recording, number: 0, unfinished: None };
        let Some(text) = lines.next()? else {
            lines.number = 1;
            return Err(lines.wrong("is not the first line of a recording"));
        };
        let format: Format =
            serde_json::from_str(&text).map_err(|_| lines.wrong("is not the first line of a recording"))?;
        if format.recording == 1 {
            let first: FirstOfFormat1 = lines.parse(&text)?;
            let (members, played) = (BTreeMap::new(), Played::default());
            let mut player = Self { lines, core: Core::None, start: first.start, policy: None, members, played };
            let ConfigOfFormat1 { id, policy } = first.config;
            player.begin(Timestamp::from_nanos(first.start), None, &id, first.seed, Some(Box::new(policy)))?;
            return Ok(player);
        }
        if format.recording != line::FORMAT {
            let problem = format!(
                "the format is {}, and only {} is known here; use another version",
                format.recording,
                line::FORMAT
            );
            return Err(lines.wrong(problem));
        }
        let first: First = lines.parse(&text)?;
        let core = match first.fleet {
            None => Core::None,
            Some(line::Fleet { max_streams, until }) => {
                let until = if matches!(until, line::Until::Any) { Until::Any } else { Until::All };
                let fleet = Fleet::new(max_streams, until).map_err(|error| lines.wrong(error.to_string()))?;
                Core::Fleet(Box::new(fleet))
            }
        };
        Ok(Self { lines, core, start: 0, policy: None, members: BTreeMap::new(), played: Played::default() })
    }

    /// Replays the recording, and passes each action of the core to `each`, as a line without a line end.
    ///
    /// # Errors
    ///
    /// Fails at a line that cannot be read, or at a policy that is refused. The lines before it were replayed.
    pub fn play(mut self, mut each: impl FnMut(&str)) -> Result<Played, ReadError> {
        while let Some(text) = self.lines.next()? {
            if text.starts_with(line::ACTION) {
                let now = self.poll(&mut each);
                if now.as_deref() != Some(&text) {
                    self.differs(Some(text), now);
                }
                continue;
            }
            let reported: Reported = self.lines.parse(&text)?;
            if let Report::SecretEchoed = reported.input {
                self.played.echo = Some(self.lines.number);
                return Ok(self.played);
            }
            if !reported.undrained {
                while let Some(now) = self.poll(&mut each) {
                    self.differs(None, Some(now));
                }
            }
            self.report(reported)?;
        }
        self.played.unfinished = self.lines.unfinished;
        Ok(self.played)
    }

    fn report(&mut self, reported: Reported) -> Result<(), ReadError> {
        let Reported { at, member, input, .. } = reported;
        let now = Timestamp::from_nanos(at.saturating_add(self.start));
        match input {
            Report::Watch { id, seed, policy } => self.begin(now, member, &id, seed, policy)?,
            Report::Abort => self.handle(now, member, Input::Abort)?,
            Report::Tick => self.handle(now, member, Input::Tick)?,
            Report::Resumed => self.handle(now, member, Input::Resumed)?,
            Report::Closed { attempt, cause } => {
                self.handle(now, member, Input::Closed { attempt: AttemptId::from_number(attempt), cause })?;
            }
            Report::Head { attempt, status, headers, wall } => {
                let head = OwnedHead::new(status, headers).map_err(|problem| self.lines.wrong(problem))?;
                self.handle(now, member, head.input(attempt, wall))?;
            }
            Report::Credential { attempt, kind, number } => {
                let credential = kind.placeholder(number).map_err(|error| self.lines.wrong(error.to_string()))?;
                self.handle(now, member, Input::Credential { attempt: AttemptId::from_number(attempt), credential })?;
            }
            Report::Chunk { attempt, bytes, taken } => {
                let chunk = bytes.into_vec().map_err(|problem| self.lines.wrong(problem))?;
                let of = self.member(member)?;
                (of.attempt, of.chunk, of.taken) = (AttemptId::from_number(attempt), chunk, 0);
                self.offer(now, member, taken)?;
            }
            Report::Rest { taken } => self.offer(now, member, taken)?,
            Report::Paused(paused) => {
                let id = self.member(member)?.id;
                if let Core::Fleet(fleet) = &mut self.core {
                    fleet.set_paused(now, id, paused);
                }
            }
            Report::Removed => {
                let id = self.member(member)?.id;
                if let Core::Fleet(fleet) = &mut self.core {
                    fleet.remove(id);
                }
                self.members.remove(&id.number());
            }
            Report::SecretEchoed => {}
        }
        Ok(())
    }

    fn begin(
        &mut self,
        now: Timestamp,
        member: Option<u64>,
        id: &str,
        seed: u64,
        policy: Option<Box<Policy>>,
    ) -> Result<(), ReadError> {
        let id = CvmId::new(id).map_err(|error| self.lines.wrong(error.to_string()))?;
        if let Some(policy) = policy {
            self.policy = Some(Arc::from(policy));
        }
        let policy = self.policy.clone().ok_or_else(|| self.lines.wrong("has no policy"))?;
        let number = member.unwrap_or_default();
        let id = match &mut self.core {
            Core::Fleet(fleet) => fleet.add(policy, id, seed, now),
            Core::None => {
                self.core = Core::Watch(Box::new(Watch::new(policy, id, seed, now)));
                MemberId::from_number(0)
            }
            Core::Watch(_) => return Err(self.lines.wrong("begins a second watch outside of a fleet")),
        };
        if id.number() != number {
            return Err(self.lines.wrong(format!("member {number} would be the fleet's member {id}")));
        }
        let attempt = AttemptId::from_number(0);
        self.members.insert(number, Member { id, attempt, chunk: Vec::new(), taken: 0 });
        Ok(())
    }

    fn handle(&mut self, now: Timestamp, member: Option<u64>, input: Input<'_>) -> Result<(), ReadError> {
        match (&mut self.core, member, input) {
            (Core::Watch(watch), _, input) => watch.handle(now, input),
            (Core::Fleet(fleet), None, Input::Tick) => fleet.tick(now),
            (Core::Fleet(fleet), None, Input::Resumed) => fleet.resumed(now),
            (Core::Fleet(fleet), None, Input::Abort) => fleet.abort(now),
            (_, _, input) => {
                let id = self.member(member)?.id;
                if let Core::Fleet(fleet) = &mut self.core {
                    fleet.handle(now, id, input);
                }
            }
        }
        Ok(())
    }

    /// Passes the rest of the member's chunk.
    fn offer(&mut self, now: Timestamp, member: Option<u64>, then: usize) -> Result<(), ReadError> {
        self.member(member)?;
        let Some(member) = self.members.get_mut(&member.unwrap_or_default()) else { return Ok(()) };
        let rest = member.chunk.get(member.taken..).unwrap_or_default();
        let taken = match &mut self.core {
            Core::Watch(watch) => watch.receive(now, member.attempt, rest),
            Core::Fleet(fleet) => fleet.receive(now, member.id, member.attempt, rest),
            Core::None => 0,
        };
        member.taken += taken;
        if taken != then {
            self.differs(Some(format!("{then} bytes taken")), Some(format!("{taken} bytes taken")));
        }
        Ok(())
    }

    fn member(&mut self, number: Option<u64>) -> Result<&mut Member, ReadError> {
        let number = number.unwrap_or_default();
        let problem = self.lines.wrong(format!("member {number} has not begun"));
        self.members.get_mut(&number).ok_or(problem)
    }

    fn poll(&mut self, each: &mut impl FnMut(&str)) -> Option<String> {
        let line = match &mut self.core {
            Core::None => return None,
            Core::Watch(watch) => action::line(None, &watch.poll_action()?),
            Core::Fleet(fleet) => {
                let (member, action): (MemberId, Action) = fleet.poll_action()?;
                action::line(Some(member.number()), &action)
            }
        };
        self.played.actions += 1;
        each(&line);
        Some(line)
    }

    fn differs(&mut self, then: Option<String>, now: Option<String>) {
        self.played.difference.get_or_insert(Difference { line: self.lines.number, then, now });
    }
}

/// The part of the first line that every version has.
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
    /// Returns the next line that is not blank, without its line end (LF or CRLF) and without a byte order mark at
    /// the start of the file. A last line without a line end counts if it is complete JSON.
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
