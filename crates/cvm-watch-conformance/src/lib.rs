#![doc = include_str!("../README.md")]

mod black_hole;
mod by_hand;
mod identity;
mod report;
mod rogue;
mod run;
mod scenario;
mod scenarios;
mod seen;
mod selection;
mod stage;

pub use black_hole::BlackHole;
pub use by_hand::{ByHand, Job};
pub use report::{Finding, Report, Verdict};
pub use run::Suite;
pub use scenario::Scenario;
pub use scenarios::scenarios;
pub use stage::Setup;
