#![doc = include_str!("../README.md")]

mod action;
mod echo;
mod error;
mod line;
mod parameters;
mod player;
mod recorder;
mod stand_in;

pub use error::{ReadError, RecordError};
pub use player::{Difference, Played, Player};
pub use recorder::Recorder;
pub use stand_in::check;
