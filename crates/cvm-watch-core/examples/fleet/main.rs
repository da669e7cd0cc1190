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

mod town;

use town::Town;

fn main() {
    println!("Each CVM boots within two minutes; the server looks every 5 s and answers within 80 ms.\n");
    println!("{:>5} {:>14} {:>12} {:>12} {:>10}", "CVMs", "one by one, s", "fleet, s", "no limit, s", "most open");
    for cvms in [1, 10, 100, 1000] {
        let town = Town::of(cvms, 1);
        let (fleet, ideal) = (town.play(|c| c), town.without_limit().play(|c| c));
        let one_by_one = town.one_after_another();
        assert_eq!(fleet.ends.len(), cvms);
        assert!(fleet.most_open <= town.max_streams && fleet.refused == 0);
        let seconds = [one_by_one, fleet.finished(), ideal.finished()].map(|time| time.as_secs_f64());
        println!("{cvms:>5} {:>14.1} {:>12.1} {:>12.1} {:>10}", seconds[0], seconds[1], seconds[2], fleet.most_open);
    }
}
