//! Which side ended a connection, and when.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use cvm_watch_sim::{Attempt, End, Sim};

use crate::client::{LONG, read_until, request, rest, watch};

/// Leaves after `text` has arrived (at once if it is empty), and returns how the simulator recorded it.
#[track_caller]
fn left(attempt: Attempt, text: &str) -> Option<End> {
    let sim = Sim::start().unwrap();
    sim.script("a", attempt);
    let mut stream = watch(&sim, "a");
    sim.log().wait_for_requests(1, LONG).unwrap();
    read_until(&mut stream, text);
    assert_eq!(sim.log().open_connections(), 1);
    drop(stream);
    let record = sim.log().wait_until_closed(1, LONG).unwrap();
    assert_eq!(sim.log().open_connections(), 0);
    record.end.map(|(end, _)| end)
}

#[test]
fn a_leaving_client_is_noticed_in_each_phase() {
    let hour = Duration::from_secs(3600);
    for (phase, attempt, text) in [
        ("before the head", Attempt::new().stall(), ""),
        ("waiting before the head", Attempt::new().wait(hour), ""),
        ("stalled", Attempt::stream().state("starting").stall(), "\n\n\r\n"),
        ("waiting", Attempt::stream().comment("x").wait(hour), "\n\n\r\n"),
        ("repeating", Attempt::stream().repeat("x", hour, u64::MAX), "\r\n\r\n"),
        ("flooding", Attempt::stream().flood("data: x\n", u64::MAX), "data: x\n"),
        ("blocked by a full socket", Attempt::stream().flood("data: x\n", u64::MAX), ""),
    ] {
        assert_eq!(left(attempt, text), Some(End::ClientLeft), "{phase}");
    }
}

#[test]
fn a_client_that_leaves_before_its_request_is_noticed() {
    let sim = Sim::start().unwrap();
    drop(request(&sim, "GET /api/v1/cv"));
    assert!(sim.log().wait_until_closed(1, LONG).unwrap().left_by_client());
    drop(TcpStream::connect(sim.addr()).unwrap());
    assert!(sim.log().wait_until_closed(2, LONG).unwrap().left_by_client());
    assert_eq!(sim.log().requests(), []);
}

#[test]
fn closing_the_sending_side_counts_as_leaving() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::new().stall());
    let stream = watch(&sim, "a");
    sim.log().wait_for_requests(1, LONG).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(sim.log().wait_until_closed(1, LONG).unwrap().left_by_client());
}

#[test]
fn an_end_by_the_simulator_is_recorded_as_such() {
    let sim = Sim::start().unwrap();
    sim.script("closed", Attempt::stream().state("running"));
    sim.script("cut", Attempt::stream().truncate());
    sim.script("reset", Attempt::new().reset());
    for (number, id, end) in [(1, "closed", End::Closed), (2, "cut", End::Closed), (3, "reset", End::Reset)] {
        let stream = watch(&sim, id);
        let record = sim.log().wait_until_closed(number, LONG).unwrap();
        assert_eq!(record.end.map(|(end, _)| end), Some(end), "{id}");
        assert!(!record.left_by_client());
        drop(stream);
    }
}

#[test]
fn a_record_counts_what_was_sent_and_the_silence_after_it() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::stream().bytes("data: 1\n\n").stall());
    let mut stream = watch(&sim, "a");
    let seen = read_until(&mut stream, "data: 1\n\n\r\n");
    drop(stream);
    let record = sim.log().wait_until_closed(1, LONG).unwrap();
    assert_eq!(record.sent, seen.len() as u64);
    assert!(record.silence_before_end().unwrap() <= record.end.unwrap().1 - record.accepted_at);
}

#[test]
fn stopping_ends_every_connection_and_outlives_in_the_log() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::stream().stall());
    let mut streams: Vec<_> = (0..5).map(|_| watch(&sim, "a")).collect();
    for stream in &mut streams {
        read_until(stream, "\r\n\r\n");
    }
    let log = sim.log().clone();
    let addr = sim.addr();
    drop(sim);
    for stream in streams {
        assert_eq!(rest(stream), "");
    }
    assert_eq!(log.open_connections(), 0);
    assert!(log.connections().iter().all(|known| matches!(known.end, Some((End::Stopped, _)))));
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_request_may_come_in_pieces() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::json(200, "{}"));
    let mut stream = request(&sim, "GET /api/v1/cvms/a/st");
    sim.script("b", Attempt::json(200, "{}"));
    stream.write_all(b"ate HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xff\r\n\r\n").unwrap();
    assert!(rest(stream).ends_with("\r\n\r\n{}"));
    assert_eq!(sim.log().requests()[0].header("x-odd"), Some(b"\xff".as_slice()));
}
