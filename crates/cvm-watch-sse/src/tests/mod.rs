//! The decoder as a whole: tables of byte strings, the naive twin, memory.

mod api;
mod cases;
mod harness;
mod limit_cases;
mod memory;
mod random;
mod twin;
