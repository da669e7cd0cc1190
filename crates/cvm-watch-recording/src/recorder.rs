//! Records a watch or a fleet, line by line.

use std::collections::BTreeMap;
use std::io::Write;

use cvm_watch_driver::Observed;
use cvm_watch_driver::cvm_watch_core::{
    Action, AttemptId, Credential, CvmId, Input, MemberId, Policy, Redactor, Timestamp, Until,
};

use crate::action;
use crate::echo::{self, Tail};
use crate::error::RecordError;
use crate::line::{self, Bytes, First, Kind, Report, Reported};

/// The most bytes that wait until it is known whether they hold a secret.
const MOST_HELD: usize = 1 << 20;

/// Records the calls that an observer of a watch or a fleet sees, with secrets redacted.
///
/// Lines are written and flushed as soon as an action is polled, so at most the last input is missing if the program
/// is killed. Only bytes that may be the beginning of a secret, and the lines after them, wait for the next bytes or
/// the end of the connection. Lines that still wait are written when the recorder is dropped.
///
/// ```
/// use cvm_watch_driver::cvm_watch_core::{CvmId, MemberId, Policy, Timestamp};
/// use cvm_watch_driver::Observed;
/// use cvm_watch_recording::Recorder;
///
/// let policy = Policy::builder("running").build()?;
/// let id = CvmId::new("my-cvm")?;
/// let mut file = Vec::new();
/// let mut recorder = Recorder::new(&mut file);
/// let (member, now) = (MemberId::from_number(0), Timestamp::ZERO);
/// recorder.observe(Observed::Started { member, policy: &policy, id: &id, seed: 1, now })?;
/// recorder.observe(Observed::Polled(None))?;
/// drop(recorder);
/// assert!(file.starts_with(b"{\"recording\":2,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recorder<W: Write> {
    to: W,
    has_failed: bool,
    lines: Lines,
}

/// Checks that a watch can be recorded: that the id, the statuses and the header names hold none of its secrets.
///
/// # Errors
///
/// Fails if a secret is also part of the id, of a status or of a header's name.
///
/// ```
/// use cvm_watch_driver::cvm_watch_core::{ApiKey, CvmId, Policy};
///
/// let policy = Policy::builder("running").credential(ApiKey::new("my-secret")?).build()?;
/// assert!(cvm_watch_recording::check(&policy, &CvmId::new("my-cvm")?).is_ok());
/// assert!(cvm_watch_recording::check(&policy, &CvmId::new("not-my-secret")?).is_err());
/// # Ok::<(), cvm_watch_driver::cvm_watch_core::ConfigError>(())
/// ```
pub fn check(policy: &Policy, id: &CvmId) -> Result<(), RecordError> {
    let line = line::json(&(id.as_str(), policy));
    if redact(&line, policy.redactor()) == line { Ok(()) } else { Err(RecordError::Secret) }
}

/// Redacts the strings of a line.
fn redact(line: &str, redactor: &Redactor) -> String {
    line::map_strings(line, |text| echo::redact(text, redactor))
}

impl<W: Write> Recorder<W> {
    /// Makes a recorder that writes to a file or any other writer.
    pub fn new(to: W) -> Self {
        Self { to, has_failed: false, lines: Lines::default() }
    }

    /// Records one call.
    ///
    /// # Errors
    ///
    /// Fails when a watch starts that does not pass [`check`], and when writing fails. After an error nothing more is
    /// written and no further error is returned, since a recording with a gap could not be replayed.
    pub fn observe(&mut self, observed: Observed<'_>) -> Result<(), RecordError> {
        if self.has_failed {
            return Ok(());
        }
        let written = self.lines.add(observed).and_then(|()| self.write());
        self.has_failed = written.is_err();
        written
    }

    fn write(&mut self) -> Result<(), RecordError> {
        let ready = std::mem::take(&mut self.lines.ready);
        if !ready.is_empty() {
            self.to.write_all(ready.as_bytes())?;
            self.to.flush()?;
        }
        Ok(())
    }
}

impl<W: Write> Drop for Recorder<W> {
    fn drop(&mut self) {
        if !self.has_failed {
            self.lines.end_bodies(None);
            self.lines.release();
            // In `drop` an error cannot be reported.
            let _ = self.write();
        }
    }
}

/// What is to be written.
#[derive(Default)]
struct Lines {
    /// Lines to be written next.
    ready: String,
    /// Lines that wait, from the first bytes on that may be part of a secret.
    held: Vec<Held>,
    held_bytes: usize,
    is_fleet: bool,
    /// The secrets of all members.
    redactor: Redactor,
    /// The credentials that attempts were given.
    credentials: Vec<Credential>,
    /// The policy of the last watch, as it was written.
    policy: String,
    bodies: BTreeMap<MemberId, Body>,
    now: Timestamp,
    is_drained: bool,
    has_echo: bool,
}

enum Held {
    Line(String),
    /// A chunk, whose bytes are left out if they hold a secret.
    Chunk(Reported),
}

/// The body that a member reads.
struct Body {
    attempt: AttemptId,
    tail: Tail,
}

impl Lines {
    fn add(&mut self, observed: Observed<'_>) -> Result<(), RecordError> {
        match observed {
            Observed::FleetStarted { max_streams, until } => {
                self.is_fleet = true;
                let until = if until == Until::Any { line::Until::Any } else { line::Until::All };
                self.begin(Some(line::Fleet { max_streams, until }));
            }
            Observed::Started { member, policy, id, seed, now } => self.watch(member, policy, id, seed, now)?,
            Observed::Handled { now, member, input } => self.handled(now, member, input)?,
            Observed::Received { now, member, attempt, chunk, from, taken } => {
                self.now = now;
                match from {
                    0 => self.chunk(member, attempt, chunk, taken),
                    _ => self.report(Some(member), Report::Rest { taken }),
                }
            }
            Observed::Polled(action) => self.polled(action),
            Observed::Paused { now, member, paused } => {
                self.now = now;
                self.report(Some(member), Report::Paused(paused));
            }
            Observed::Removed(member) => self.report(Some(member), Report::Removed),
            _ => return Err(RecordError::Unknown),
        }
        Ok(())
    }

    fn begin(&mut self, fleet: Option<line::Fleet>) {
        let first = First { recording: line::FORMAT, by: env!("CARGO_PKG_VERSION").to_owned(), fleet };
        self.ready = line::json(&first) + "\n";
        self.is_drained = true;
    }

    fn watch(
        &mut self,
        member: MemberId,
        policy: &Policy,
        id: &CvmId,
        seed: u64,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        if !self.is_fleet {
            self.begin(None);
        }
        check(policy, id)?;
        self.redactor.extend(policy.redactor());
        self.now = now;
        let written = line::json(policy);
        let is_new = written != self.policy;
        self.policy = written;
        let policy = is_new.then(|| Box::new(policy.clone()));
        self.report(Some(member), Report::Watch { id: id.as_str().to_owned(), seed, policy });
        Ok(())
    }

    fn handled(&mut self, now: Timestamp, member: Option<MemberId>, input: &Input<'_>) -> Result<(), RecordError> {
        self.now = now;
        if let (Input::Closed { .. }, Some(member)) = (input, member) {
            self.end_bodies(Some(member));
        }
        if let Input::Credential { attempt, credential } = input {
            let report = self.credential(*attempt, credential);
            self.report(member, report);
            return Ok(());
        }
        let mut report = Report::new(input).ok_or(RecordError::Unknown)?;
        if let (Report::Head { headers, .. }, Input::Head { head, .. }) = (&mut report, input) {
            for (header, (_, value)) in headers.iter_mut().zip(head.headers()) {
                let text = String::from_utf8_lossy(value);
                let redacted = echo::redact(&text, &self.redactor);
                if redacted != text {
                    header.value = Bytes::Text(redacted.into_owned());
                    self.echoed(member);
                }
            }
        }
        self.report(member, report);
        Ok(())
    }

    fn credential(&mut self, attempt: AttemptId, credential: &Credential) -> Report {
        let known = self.credentials.iter().position(|known| known == credential);
        let number = known.unwrap_or_else(|| {
            self.credentials.push(credential.clone());
            self.redactor.add(credential.expose());
            self.credentials.len() - 1
        });
        Report::Credential { attempt: attempt.number(), kind: Kind::of(credential), number: number + 1 }
    }

    fn chunk(&mut self, member: MemberId, attempt: AttemptId, chunk: &[u8], taken: usize) {
        if self.bodies.get(&member).is_some_and(|body| body.attempt != attempt) {
            self.end_bodies(Some(member));
        }
        let body = self.bodies.entry(member).or_insert_with(|| Body { attempt, tail: Tail::default() });
        let has_echo = body.tail.push(chunk, &self.redactor);
        let bytes = Bytes::new(chunk.to_vec());
        let reported = self.reported(Some(member), Report::Chunk { attempt: attempt.number(), bytes, taken });
        self.held.push(Held::Chunk(reported));
        self.held_bytes += chunk.len();
        if has_echo || self.held_bytes > MOST_HELD {
            self.echoed(Some(member));
        }
    }

    fn polled(&mut self, action: Option<(MemberId, &Action)>) {
        self.is_drained = action.is_none();
        if let Some((member, action)) = action {
            if !matches!(action, Action::Emit { .. } | Action::SteadyTarget { .. }) {
                // No more bytes of this connection will be read.
                self.end_bodies(Some(member));
            }
            let line = action::line(self.number(Some(member)), action);
            let redacted = redact(&line, &self.redactor);
            if redacted != line {
                self.echoed(Some(member));
            }
            self.held.push(Held::Line(redacted));
        }
        if !self.bodies.values().any(|body| body.tail.has_begun()) {
            self.release();
        }
    }

    /// Ends the body of a member, or all bodies: an incomplete secret cannot continue.
    fn end_bodies(&mut self, member: Option<MemberId>) {
        let ends = |of: &MemberId| member.is_none_or(|member| *of == member);
        let ended: Vec<_> = self.bodies.keys().copied().filter(ends).collect();
        for member in ended {
            if self.bodies.remove(&member).is_some_and(|body| body.tail.has_begun()) {
                self.echoed(Some(member));
            }
        }
    }

    /// The last bytes hold a secret: leaves out the member's bytes that wait.
    fn echoed(&mut self, member: Option<MemberId>) {
        if !self.has_echo {
            self.has_echo = true;
            let echoed =
                Reported { at: self.now.as_nanos(), member: None, undrained: false, input: Report::SecretEchoed };
            self.held.insert(0, Held::Line(line::json(&echoed)));
        }
        let number = self.number(member);
        for held in &mut self.held {
            if let Held::Chunk(Reported { member, input: Report::Chunk { bytes, .. }, .. }) = held
                && *member == number
            {
                bytes.omit();
            }
        }
    }

    fn report(&mut self, member: Option<MemberId>, report: Report) {
        let reported = self.reported(member, report);
        self.held.push(Held::Line(line::json(&reported)));
    }

    fn reported(&mut self, member: Option<MemberId>, input: Report) -> Reported {
        let undrained = !std::mem::replace(&mut self.is_drained, false);
        Reported { at: self.now.as_nanos(), member: self.number(member), undrained, input }
    }

    /// A member's number in the recording; `None` without a fleet.
    fn number(&self, member: Option<MemberId>) -> Option<u64> {
        member.filter(|_| self.is_fleet).map(MemberId::number)
    }

    /// Releases the lines that wait.
    fn release(&mut self) {
        for held in self.held.drain(..) {
            let line = match held {
                Held::Line(line) => line,
                Held::Chunk(reported) => line::json(&reported),
            };
            self.ready.push_str(&line);
            self.ready.push('\n');
        }
        self.held_bytes = 0;
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("now", &self.now).finish_non_exhaustive()
    }
}
