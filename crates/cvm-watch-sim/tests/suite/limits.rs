//! The limit on event streams, and many connections at once.

use std::io::Read;
use std::net::TcpStream;

use cvm_watch_sim::{Attempt, Sim};

use crate::client::{LONG, read_until, rest, send};

fn open(sim: &Sim, key: &str) -> TcpStream {
    send(sim, "/cvms/a/state?target=running", &format!("X-API-Key: {key}\r\n"))
}

#[test]
fn the_sixth_stream_of_a_key_gets_429_until_one_ends() {
    let sim = Sim::start().unwrap();
    sim.script("a", Attempt::stream().stall());
    let mut streams: Vec<_> = (0..5).map(|_| open(&sim, "k")).collect();
    for stream in &mut streams {
        assert!(read_until(stream, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }
    let refused = rest(open(&sim, "k"));
    assert!(refused.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{refused}");
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(refused.ends_with(r#"{"code":"too_many_streams","message":"at most 5 event streams at a time"}"#));

    let mut other = open(&sim, "another");
    assert!(read_until(&mut other, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    assert!(!rest(send(&sim, "/cvms/b/state", "X-API-Key: k\r\n")).contains(" 429 "));

    let first = sim.log().requests()[0].connection;
    drop(streams.remove(0));
    let gone = sim.log().connections().iter().find(|known| known.number == first).map(|known| known.number);
    sim.log().wait_until_closed(gone.unwrap(), LONG).unwrap();
    let mut sixth = open(&sim, "k");
    assert!(read_until(&mut sixth, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    assert_eq!(sim.peak_streams(), 5);
}

#[test]
fn a_slot_is_free_before_the_client_sees_the_end() {
    let sim = Sim::builder().stream_limit(1).start().unwrap();
    sim.script("a", Attempt::stream().state("running"));
    // Kept open on this side: only the simulator's own end can free the slot.
    let mut ended = Vec::new();
    for _ in 0..100 {
        let mut stream = open(&sim, "k");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "));
        ended.push(stream);
    }
    assert_eq!(sim.peak_streams(), 1);
}

#[test]
fn a_client_that_leaves_and_comes_back_gets_its_slot() {
    let sim = Sim::builder().stream_limit(1).start().unwrap();
    sim.script("a", Attempt::stream().stall());
    for _ in 0..100 {
        let mut stream = open(&sim, "k");
        assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn without_a_limit_hundreds_are_open_at_once() {
    let sim = Sim::builder().stream_limit(0).start().unwrap();
    sim.script("a", Attempt::stream().stall());
    let mut streams: Vec<_> = (0..300).map(|_| open(&sim, "k")).collect();
    for stream in &mut streams {
        assert!(read_until(stream, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }
    assert_eq!((sim.log().open_connections(), sim.peak_streams()), (300, 300));
    drop(streams);
    sim.log().wait_until_idle(LONG).unwrap();
}
