#![doc = include_str!("../README.md")]

mod action;
mod echo;
mod error;
mod line;
mod player;
mod recorder;

pub use error::{ReadError, RecordError};
pub use player::{Difference, Played, Player};
pub use recorder::{Recorder, check};
