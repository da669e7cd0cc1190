//! For people who write a [`Transport`](https://docs.rs/cvm-watch-driver/latest/cvm_watch_driver/trait.Transport.html) for
//! [`cvm-watch-driver`](https://docs.rs/cvm-watch-driver): runs every socket scenario of the simulator against it, TLS
//! faults and addresses that answer nothing included, and says where it differs.
//!
//! Give [`Suite::new`] a function that makes your transport and timer, and await [`Suite::run`] on your
//! runtime. It takes some ten seconds. [`Report`] prints a line for each scenario, and for one that
//! failed what was expected and what came; [`Report::assert_passed`] is for tests. A scenario that your
//! stack cannot pass is left out by [`Suite::skip`], with the reason.
//!
//! A test dependency: it starts servers on 127.0.0.1 and makes its own certificates.

mod black_hole;
mod by_hand;
mod identity;
mod misbehaving;
mod report;
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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
