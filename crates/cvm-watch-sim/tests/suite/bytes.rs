//! Scripts as bytes on the wire.

use std::io;

use cvm_watch_sim::{Attempt, Framing, Script, Sim, Split};

use crate::client::{dechunk, ending, rest, watch};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
const CLOSE: &str = "connection: close\r\n\r\n";

#[track_caller]
fn check(attempt: Attempt, expected: &str) {
    let sim = Sim::start().unwrap();
    sim.script("a", attempt);
    assert_eq!(rest(watch(&sim, "a")), expected);
}

#[test]
fn a_stream_is_chunked_and_ends_with_the_last_chunk() {
    let expected = format!("{HEAD}transfer-encoding: chunked\r\n{CLOSE}9\r\ndata: 1\n\n\r\n0\r\n\r\n");
    check(Attempt::stream().bytes("data: 1\n\n"), &expected);
}

#[test]
fn a_length_counts_every_body_byte() {
    let attempt = Attempt::stream().bytes("abc").bytes("de").framing(Framing::ContentLength);
    check(attempt, &format!("{HEAD}content-length: 5\r\n{CLOSE}abcde"));
}

#[test]
fn a_body_without_framing_ends_with_the_connection() {
    let attempt = Attempt::stream().bytes("abc").framing(Framing::UntilClose);
    check(attempt, &format!("{HEAD}{CLOSE}abc"));
}

#[test]
fn chunks_hold_as_many_bytes_as_asked_for() {
    let attempt = Attempt::stream().bytes("abc").split(Split::Chunks(1));
    let expected = format!("{HEAD}transfer-encoding: chunked\r\n{CLOSE}1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
    check(attempt, &expected);
}

#[test]
fn packets_do_not_change_the_bytes() {
    let attempt = Attempt::stream().bytes("abc").split(Split::Packets(1));
    check(attempt, &format!("{HEAD}transfer-encoding: chunked\r\n{CLOSE}3\r\nabc\r\n0\r\n\r\n"));
}

#[test]
fn raw_bytes_go_out_as_they_are() {
    let raw = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\n";
    let attempt = Attempt::new().raw(raw).state("running").raw_flood("ab", 5).truncate();
    check(attempt, &format!("{raw}event: state\ndata: {{\"status\":\"running\"}}\n\nababa"));
}

#[test]
fn a_truncated_body_ends_without_the_last_chunk() {
    let expected = format!("{HEAD}transfer-encoding: chunked\r\n{CLOSE}3\r\nabc\r\n");
    check(Attempt::stream().bytes("abc").truncate(), &expected);
}

#[test]
fn a_reset_is_an_error_to_the_client() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::new().reset());
    assert_eq!(ending(watch(&sim, "a")), Err(io::ErrorKind::ConnectionReset));
}

#[test]
fn a_refused_request_gets_no_byte() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::new().refuse());
    assert_eq!(ending(watch(&sim, "a")), Ok(Vec::new()));
}

#[test]
fn attempts_come_in_order_and_the_last_is_repeated() {
    let sim = Sim::start().unwrap();
    sim.script("a", ["1", "2", "3"].into_iter().map(|text| Attempt::stream().bytes(text)).collect::<Script>());
    sim.script("b", Attempt::stream().bytes("b"));
    let body = |id: &str| dechunk(&rest(watch(&sim, id)));
    assert_eq!([body("a"), body("b"), body("a"), body("a"), body("a")], ["1", "b", "2", "3", "3"]);
    sim.script("a", Attempt::stream().bytes("new"));
    assert_eq!(body("a"), "new");
    let attempts = sim.log().requests().iter().map(|request| request.attempt).collect::<Vec<_>>();
    assert_eq!(attempts, [Some(1), Some(1), Some(2), Some(3), Some(4), Some(1)]);
}

#[test]
fn a_flood_of_200_mib_arrives_whole_and_is_never_held() {
    use std::io::Read;
    let sim = Sim::start().unwrap();
    let total: u64 = 200 << 20;
    let endless = Attempt::stream().flood("data: x\n", total).framing(Framing::ContentLength);
    sim.script("a", endless);
    let before = peak_memory();
    let mut stream = watch(&sim, "a");
    let (mut buffer, mut received) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => received += count as u64,
        }
    }
    let head = format!("{HEAD}content-length: {total}\r\n{CLOSE}").len() as u64;
    assert_eq!(received, head + total);
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 64 << 20, "grew by {grown} bytes");
}

/// Peak resident memory of this process in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
