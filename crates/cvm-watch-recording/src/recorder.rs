//! A watch as it happens, written down line by line.

use std::collections::VecDeque;
use std::io::Write;

use cvm_watch_driver::Observed;
use cvm_watch_driver::core::{Action, AttemptId, CvmId, Input, Policy, Timestamp};

use crate::action;
use crate::echo::{self, Body};
use crate::error::RecordError;
use crate::line::{self, Bytes, First, Told, What};
use crate::parameters::Parameters;
use crate::stand_in::StandIns;

/// Writes down what an observer of a watch sees, with a stand-in for every secret.
///
/// Lines are written and flushed as soon as an action is asked for, so what is lost when the program
/// is killed is at most the last input. Only bytes that may be the beginning of an echo of a secret,
/// and what comes after them, wait until the next bytes or the end of the connection decide. What
/// still waits is written when the recorder is dropped.
///
/// ```
/// use cvm_watch_driver::Observed;
/// use cvm_watch_driver::core::{CvmId, MemberId, Policy, Timestamp};
/// use cvm_watch_recording::Recorder;
///
/// let policy = Policy::builder("running").build()?;
/// let id = CvmId::new("my-cvm")?;
/// let mut file = Vec::new();
/// let mut recorder = Recorder::new(&mut file);
/// recorder.observe(Observed::Started { member: MemberId::from_number(0), policy: &policy, id: &id, seed: 1, now: Timestamp::ZERO })?;
/// recorder.observe(Observed::Polled(None))?;
/// drop(recorder);
/// assert!(file.starts_with(b"{\"recording\":1,"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recorder<W: Write> {
    to: W,
    /// Lines to be written next.
    ready: String,
    watch: Option<Started>,
    failed: bool,
}

/// A watch that has begun.
struct Started {
    start: Timestamp,
    stand_ins: StandIns,
    /// The body that is being read.
    body: Body,
    attempt: u64,
    /// What comes after bytes that are not final.
    held: VecDeque<Held>,
    drained: bool,
}

enum Held {
    Line(String),
    /// A chunk whose bytes are in the body.
    Chunk {
        told: Told,
        length: usize,
    },
}

impl<W: Write> Recorder<W> {
    /// A recorder that writes to a file, or whatever.
    pub fn new(to: W) -> Self {
        Self { to, ready: String::new(), watch: None, failed: false }
    }

    /// Writes down one thing that was observed.
    ///
    /// # Errors
    ///
    /// With the start of the watch: a secret that could not be kept out of the recording. At any
    /// time: what could not be written. After an error nothing more is written, and no further error
    /// is given: a recording that lacks something in the middle would be none.
    pub fn observe(&mut self, observed: Observed<'_>) -> Result<(), RecordError> {
        if self.failed {
            return Ok(());
        }
        let written = self.write_down(observed);
        self.failed = written.is_err();
        written
    }

    fn write_down(&mut self, observed: Observed<'_>) -> Result<(), RecordError> {
        if let Observed::FleetStarted { .. } = observed {
            return Err(RecordError::Fleet);
        }
        if let Observed::Started { policy, id, seed, now, .. } = observed {
            let (first, started) = Started::new(policy, id, seed, now, false)?;
            self.ready.push_str(&line::json(&first));
            self.ready.push('\n');
            self.watch = Some(started);
            return self.flush();
        }
        let Some(watch) = &mut self.watch else { return Ok(()) };
        match observed {
            Observed::Handled { now, input, .. } => watch.handled(now, input)?,
            Observed::Received { now, attempt, chunk, from, taken, .. } => {
                watch.received(now, attempt, chunk, from, taken);
            }
            Observed::Polled(action) => {
                watch.polled(action.map(|(_, action)| action));
                watch.release(&mut self.ready);
                return self.flush();
            }
            _ => {}
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        if !self.ready.is_empty() {
            self.to.write_all(self.ready.as_bytes())?;
            self.to.flush()?;
            self.ready.clear();
        }
        Ok(())
    }
}

impl<W: Write> Drop for Recorder<W> {
    fn drop(&mut self) {
        if let Some(watch) = &mut self.watch
            && !self.failed
        {
            watch.body.end(&watch.stand_ins);
            watch.release(&mut self.ready);
            // Nobody is left to be told.
            let _ = self.flush();
        }
    }
}

impl Started {
    fn new(
        policy: &Policy,
        id: &CvmId,
        seed: u64,
        now: Timestamp,
        permits: bool,
    ) -> Result<(First, Self), RecordError> {
        let stand_ins = StandIns::new(policy, id)?;
        let first = First {
            recording: line::FORMAT,
            by: env!("CARGO_PKG_VERSION").to_owned(),
            start: now.as_nanos(),
            seed,
            permits,
            config: Parameters::of(policy, id, &stand_ins),
        };
        let started =
            Self { start: now, stand_ins, body: Body::default(), attempt: 0, held: VecDeque::new(), drained: false };
        Ok((first, started))
    }

    fn handled(&mut self, now: Timestamp, input: &Input<'_>) -> Result<(), RecordError> {
        if let Input::Closed { .. } = input {
            self.body.end(&self.stand_ins);
        }
        let what = What::new(input, |text| echo::replace(text, &self.stand_ins)).ok_or(RecordError::Unknown)?;
        let told = self.told(now, what);
        self.held.push_back(Held::Line(line::json(&told)));
        Ok(())
    }

    fn received(&mut self, now: Timestamp, attempt: AttemptId, chunk: &[u8], from: usize, taken: usize) {
        if from > 0 {
            let told = self.told(now, What::Rest { taken });
            self.held.push_back(Held::Line(line::json(&told)));
            return;
        }
        if attempt.number() != self.attempt {
            self.body.end(&self.stand_ins);
            self.attempt = attempt.number();
        }
        self.body.push(chunk, &self.stand_ins);
        let bytes = Bytes::Text(String::new());
        let told = self.told(now, What::Chunk { attempt: attempt.number(), bytes, taken });
        self.held.push_back(Held::Chunk { told, length: chunk.len() });
    }

    fn polled(&mut self, action: Option<&Action>) {
        self.drained = action.is_none();
        let Some(action) = action else { return };
        if !matches!(action, Action::Emit { .. }) {
            // Whatever else is done, no byte of this connection is read any more.
            self.body.end(&self.stand_ins);
        }
        // What the core did not mask is replaced as it was in what it was told.
        let line = line::map_strings(&action::line(action), |text| echo::replace(text, &self.stand_ins));
        self.held.push_back(Held::Line(line));
    }

    fn told(&mut self, now: Timestamp, told: What) -> Told {
        let at = u64::try_from(now.since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let undrained = !core::mem::replace(&mut self.drained, false);
        Told { at, undrained, told }
    }

    /// Moves every line that is final to those that are written.
    fn release(&mut self, ready: &mut String) {
        while let Some(held) = self.held.pop_front() {
            let line = match held {
                Held::Line(line) => line,
                Held::Chunk { mut told, length } => {
                    let Some(taken) = self.body.take(length) else {
                        self.held.push_front(Held::Chunk { told, length });
                        return;
                    };
                    if let What::Chunk { bytes, .. } = &mut told.told {
                        *bytes = Bytes::new(taken);
                    }
                    line::json(&told)
                }
            };
            ready.push_str(&line);
            ready.push('\n');
        }
    }
}

impl core::fmt::Debug for Started {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Started").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
