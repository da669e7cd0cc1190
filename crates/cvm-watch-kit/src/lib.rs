#![doc = include_str!("../README.md")]

mod black_hole;
mod identity;
mod report;
mod rogue;
mod run;
mod scenario;
mod scenarios;

pub use report::{Finding, Report, Verdict};
pub use run::{Kit, Setup};
pub use scenario::Scenario;
pub use scenarios::scenarios;
