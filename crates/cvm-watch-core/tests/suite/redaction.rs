//! Secrets and control characters in what the server sends.

use cvm_watch_core::{Action, ApiKey, CloseCause, Input, Policy, Timestamp};
use cvm_watch_sim::{Attempt, Script};

use crate::virtual_time::watch::scripted;
use crate::watches::{drain, streaming};

/// Contract row 24.
#[test]
fn a_repeated_key_or_header_is_redacted_wherever_the_server_puts_it() {
    let key = || ApiKey::new("phak_hunter2").unwrap();
    let said =
        r#"{"status":"x phak_hunter2","error":"phak_\u0068unter2","target":"s3cret-s3cret","message":"phak_hunter2"}"#;
    let mut stream = Attempt::stream();
    for name in ["state", "complete", "error", "phak_hunter2", "timeout"] {
        stream = stream.event(name, said);
    }
    let stream = stream.bytes("id: phak_hunter2\ndata: {phak_hunter2\n\n").event("state", "{phak%5Fhunter2").close();
    let page =
        Attempt::new().head(500, &[("x-request-id", "phak_hunter2")]).bytes("<title>phak_hunter2</title>").close();
    let redirect = Attempt::new().head(302, &[("location", "/phak_hunter2")]).close();
    for script in [Script::from(stream.clone()), page.into(), redirect.into()] {
        let settings = |c: cvm_watch_core::PolicyBuilder| {
            c.credential(key()).header("x-secret", "s3cret-s3cret").keep_raw(true).max_retries(3)
        };
        let trace = scripted(script.clone()).with(settings).trace();
        assert!(trace.contains("***") && !trace.contains("hunter2") && !trace.contains("s3cret"), "{trace}");
    }
    // Also in the `Debug` output of actions and watch.
    let (mut watch, attempt) = streaming(Policy::builder("running").credential(key()).keep_raw(true));
    let event = format!("id: phak_hunter2\nevent: state\ndata: {said}\n\n");
    let _ = watch.receive(Timestamp::ZERO, attempt, event.as_bytes());
    // The id is sent with the next request.
    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause: CloseCause::Reset });
    watch.handle(Timestamp::from_secs(9), Input::Tick);
    let actions = drain(&mut watch);
    let Some(Action::Connect { request, .. }) = actions.last() else { panic!("no second attempt: {actions:?}") };
    let ids: Vec<_> = request.headers().iter().filter(|header| header.name() == "Last-Event-ID").collect();
    assert!(ids.len() == 1 && ids[0].value() == "phak_hunter2" && ids[0].sensitive(), "{ids:?}");
    let shown = format!("{actions:?} {watch:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("\\\\u0068unter2"), "{shown}");
}

/// Contract row 26.
#[test]
fn the_message_of_a_failure_can_move_no_cursor_and_start_no_command() {
    let nasty = "\u{1b}[2J\r\n::error::x\u{202e}##vso[task]\u{85}";
    let long = nasty.repeat(200);
    for attempt in [
        Attempt::stream().error(nasty).close(),
        Attempt::new().head(404, &[]).bytes(long.clone()).close(),
        Attempt::new().head(302, &[("location", &long)]).close(),
        Attempt::new().head(200, &[("content-type", nasty)]).close(),
        Attempt::stream().complete(nasty),
    ] {
        let end = scripted(attempt).with(|c| c.max_retries(0)).end();
        let harmless = end.chars().all(|char| !char.is_control() && char != '\u{202e}');
        assert!(harmless && !end.contains("##") && end.len() < 500, "{end:?}");
    }
}
