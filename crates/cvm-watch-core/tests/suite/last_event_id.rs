//! The id from which a stream resumes.

use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::done;

/// Contract row 23.
#[test]
fn the_streams_id_is_sent_on_reconnect_if_a_header_can_hold_it() {
    let long = "x".repeat(1025);
    for (stream, sent) in [
        ("id: 7\ndata: x\n\n", ", Last-Event-ID \"7\""),
        ("id: ünï→\n\n", ", Last-Event-ID \"ünï→\""),
        ("id: 7\n\nid\n\n", ""),
        ("id: 7\n\nid: 8\ndata: cut off", ", Last-Event-ID \"7\""),
        ("id: a\u{1}b\n\n", ""),
        ("id: a\u{7f}\n\n", ""),
        (&format!("id: {}\n\n", &long[1..]), &format!(", Last-Event-ID {:?}", &long[1..])),
        (&format!("id: 7\n\nid: {long}\n\n"), ""),
    ] {
        let script = Script::new().then(Attempt::stream().bytes(stream).reset()).then(done());
        let trace = scripted(script).trace();
        assert!(trace.contains(&format!("5.000 connect 2, timeout 300{sent}\n")), "{stream:?}: {trace}");
    }
}

/// Contract row 23.
#[test]
fn an_id_that_cannot_be_sent_is_still_reported() {
    let script = Script::new().then(Attempt::stream().bytes("id: a\u{1}\ndata: x\n\ndata: y\n\n").reset()).then(done());
    let trace = scripted(script).trace();
    assert!(trace.contains("other message \"y\" (id \"a\\u{1}\")"), "{trace}");
    assert!(trace.contains("connect 2, timeout 300\n"), "{trace}");
}

/// Contract row 23.
#[test]
fn the_id_is_kept_over_attempts_without_one() {
    let script = Script::new()
        .then(Attempt::stream().bytes("id: 7\ndata: x\n\n").reset())
        .then(Attempt::new().refuse())
        .then(Attempt::stream().bytes("data: y\n\n").reset())
        .then(done());
    let trace = scripted(script).trace();
    assert!(trace.contains("connect 4, timeout 300, Last-Event-ID \"7\""), "{trace}");
    assert!(trace.contains("other message \"y\" (id \"7\")"), "{trace}");
}
