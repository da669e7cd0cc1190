//! Records everything that was reported to a watch or a fleet of
//! [cvm-watch](https://docs.rs/cvm-watch-core), with secrets redacted, and replays it to the same actions,
//! byte for byte: a bug that was seen once is a test.
//!
//! [`Recorder`] takes what an observer sees
//! (`observe` of a handle in [`cvm-watch-driver`](https://docs.rs/cvm-watch-driver)) and writes it as lines
//! of JSON.
//! [`Player`] reads them, reports the same to the core again and compares. The program does both:
//! `cvm-watch wait --record FILE`, `cvm-watch replay FILE`.
//!
//! ```rust
//! use cvm_watch_driver::Observed;
//! use cvm_watch_driver::cvm_watch_core::{ApiKey, CvmId, Input, MemberId, Policy, Timestamp, Watch};
//! use cvm_watch_recording::{Player, Recorder};
//!
//! let policy = Policy::builder("running").credential(ApiKey::new("phak_example")?).build()?;
//! let id = CvmId::new("my-cvm")?;
//! let mut watch = Watch::new(policy.clone().into(), id.clone(), 7, Timestamp::ZERO);
//! let member = MemberId::from_number(0);
//! let mut file = Vec::new();
//! let mut recorder = Recorder::new(&mut file);
//!
//! // With a driver this is: handle.observe(move |observed| _ = recorder.observe(observed))
//! let now = Timestamp::ZERO;
//! recorder.observe(Observed::Started { member, policy: &policy, id: &id, seed: 7, now })?;
//! let drain = |watch: &mut Watch, recorder: &mut Recorder<_>| loop {
//!     let action = watch.poll_action();
//!     recorder.observe(Observed::Polled(action.as_ref().map(|action| (member, action)))).unwrap();
//!     if action.is_none() {
//!         break;
//!     }
//! };
//! drain(&mut watch, &mut recorder);
//! let now = Timestamp::from_secs(1);
//! recorder.observe(Observed::Handled { now, member: None, input: &Input::Abort })?;
//! watch.handle(now, Input::Abort);
//! drain(&mut watch, &mut recorder);
//! drop(recorder);
//!
//! assert!(!String::from_utf8_lossy(&file).contains("phak"));
//! let mut actions = Vec::new();
//! let played = Player::new(&file[..])?.play(|action| actions.push(action.to_owned()))?;
//! assert_eq!((actions.len(), played.difference), (3, None)); // connect, disconnect, fail
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The format, and what happens when the server echoes a secret: `docs/recordings.md` in the repository.
//! The folder `recordings/` holds recordings that this crate's tests replay.

mod action;
mod echo;
mod error;
mod line;
mod player;
mod recorder;

pub use error::{ReadError, RecordError};
pub use player::{Difference, Played, Player};
pub use recorder::{Recorder, check};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
