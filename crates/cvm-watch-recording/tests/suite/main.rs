//! Recordings: what they hold, how they are played, and what is never in one.

mod folder;
mod format;
mod life;
mod random;
mod secrets;
