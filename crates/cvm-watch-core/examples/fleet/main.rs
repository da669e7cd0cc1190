//! How long a fleet takes to see many CVMs running, in virtual time: over 4 connections, one CVM
//! after another, and as if there were no limit of streams.
//!
//! ```sh
//! cargo run -p cvm-watch-core --example fleet
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "an example"
)]

#[path = "../../tests/virtual_time/mod.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod virtual_time;

use virtual_time::fleet::BootingCvms;

fn main() {
    println!("Each CVM boots within two minutes; the server checks every 5 s and answers within 80 ms.\n");
    println!("{:>5} {:>14} {:>12} {:>12} {:>10}", "CVMs", "one by one, s", "fleet, s", "no limit, s", "most open");
    for cvms in [1, 10, 100, 1000] {
        let booting = BootingCvms::new(cvms, 1);
        let (fleet, ideal) = (booting.run(|c| c), booting.without_limit().run(|c| c));
        let one_by_one = booting.one_after_another();
        assert_eq!(fleet.ends.len(), cvms);
        assert!(fleet.most_open <= booting.max_streams && fleet.refused == 0);
        let seconds = [one_by_one, fleet.finished(), ideal.finished()].map(|time| time.as_secs_f64());
        println!("{cvms:>5} {:>14.1} {:>12.1} {:>12.1} {:>10}", seconds[0], seconds[1], seconds[2], fleet.most_open);
    }
}
