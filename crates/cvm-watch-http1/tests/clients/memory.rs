//! 200 MiB of what never ends: the process does not grow with it.
//!
//! One test, so that nothing else runs in its process meanwhile.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Sim};

use crate::subject::{Client, Event, MalformedReason, Update};

const MIB: u64 = 1 << 20;

/// Contract row 9.
#[crate::runtime_test]
async fn two_hundred_mebibytes_without_an_end_leave_the_process_small() {
    let sim = Sim::start().unwrap();
    let flood = |prefix: &str, pattern: &str| {
        Attempt::stream().bytes(prefix).flood(pattern, 200 * MIB).bytes("\n\n").complete("running")
    };
    sim.script("warm-up", Attempt::stream().complete("running"));
    sim.script("endless line", flood("data: ", "x"));
    sim.script("endless data lines", flood("", "data: xxxxxxxxxxxxxxxxxxxxxxxx\n"));
    sim.script("endless comment", flood(": ", "x"));
    sim.script("endless comments", flood("", ": xxxxxxxxxxxxxxxxxxxxxxxxxxx\n"));
    sim.script("endless unknown field", flood("field: ", "x"));
    sim.script(
        "endless headers",
        Attempt::new().raw("HTTP/1.1 200 OK\r\n").raw_flood("x-more: and more\r\n", 200 * MIB).stall(),
    );
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    client.watch("warm-up", "running").await.unwrap();

    for (id, expected) in [
        ("endless line", "too large, running"),
        ("endless data lines", "too large, running"),
        ("endless comment", "running"),
        ("endless comments", "running"),
        ("endless unknown field", "running"),
        ("endless headers", "gave up after 1 attempt: the response head is too large"),
    ] {
        let before = peak();
        let mut watch = client.watch(id, "running").max_retries(0).deadline(Duration::from_secs(120));
        let mut seen = String::new();
        while let Some(update) = watch.next_update().await {
            if let Update::Event {
                event: Event::Malformed { reason: MalformedReason::EventTooLarge { .. }, .. }, ..
            } = update
            {
                seen += "too large, ";
            }
        }
        seen += &watch.await.map_or_else(|error| error.to_string(), |state| state.status);
        assert_eq!(seen, expected, "{id}");
        let grown = peak() - before;
        println!("{id}: the peak grew by {} KiB", grown / 1024);
        assert!(grown < 16 * MIB, "{id}: the process grew by {} MiB", grown / MIB);
    }
}

/// The most memory that the process has held, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
