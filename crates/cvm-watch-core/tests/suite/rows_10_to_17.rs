//! Retries, delays, answers and connections.

use std::time::Duration;

use cvm_watch_core::{
    Action, AttemptId, Backoff, CloseCause, Failure, Input, Policy, Rejection, ResponseHead, Timestamp, TlsFault, Watch,
};
use cvm_watch_sim::{Attempt, Head, Script};

use crate::world::world;

const SECOND: Duration = Duration::from_secs(1);

fn done() -> Attempt {
    Attempt::stream().complete("running")
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Attempt {
    Attempt::new().head(status, headers).bytes(body).close()
}

/// The delays before the retries of a run, in milliseconds.
fn delays(trace: &str) -> Vec<u128> {
    let delay = |line: &str| {
        let delay = line.split_once("retry in ")?.1.split_once(':')?.0;
        let (number, unit) = delay.split_at(delay.find(|c: char| c.is_alphabetic()).unwrap());
        let millis = match unit {
            "s" => 1000.0,
            "ms" => 1.0,
            _ => 0.0,
        };
        Some(Duration::from_secs_f64(number.parse::<f64>().unwrap() * millis / 1000.0).as_millis())
    };
    trace.lines().filter_map(delay).collect()
}

/// Contract row 10.
#[test]
fn max_retries_counts_retries_after_the_first_attempt() {
    for (retries, attempts) in [(0, "1 attempt"), (1, "2 attempts"), (4, "5 attempts")] {
        let trace = world(Attempt::stream().close()).with(|c| c.max_retries(retries)).trace();
        assert_eq!(trace.matches("connect").count() as u64, retries + 1, "{trace}");
        let end = format!("fail max_retries_exceeded: gave up after {attempts}: the stream ended\n");
        assert!(trace.ends_with(&end), "{trace}");
    }
}

/// Contract row 10.
#[test]
fn without_a_limit_it_retries_for_as_long_as_it_takes() {
    let script = (0..500).map(|_| Attempt::new().refuse()).chain([done()]).collect::<Script>();
    let trace = world(script).trace();
    assert!(trace.contains("connect 501") && trace.ends_with("resolve status=running\n"));
}

/// Contract row 11.
#[test]
fn a_given_delay_is_used_exactly_whatever_the_stream_asks_for() {
    for delay in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(3600)] {
        let script = Attempt::stream().bytes("retry: 9000\n\n").close();
        let trace = world(script).with(|c| c.retry_delay(delay).max_retries(3)).trace();
        assert_eq!(delays(&trace), [delay.as_millis(); 3], "{trace}");
    }
}

/// A run whose delay is not given: the streams say `body`, then end.
fn jittered(
    body: &str,
    change: impl FnOnce(cvm_watch_core::PolicyBuilder) -> cvm_watch_core::PolicyBuilder,
) -> Vec<u128> {
    let fresh = || Policy::builder("running").max_retries(40);
    delays(&world(Attempt::stream().bytes(body).close()).with(|_| change(fresh())).trace())
}

/// Contract row 11.
#[test]
fn a_delay_that_is_not_given_is_five_seconds_or_the_streams_own_and_a_little_jitter() {
    for (body, least) in [("", 5000), ("retry: 7000\n", 7000), ("retry: 5\n", 1000), ("retry: 99999999\n", 30_000)] {
        let delays = jittered(body, |c| c);
        assert_eq!(delays.len(), 40);
        assert!(delays.iter().all(|delay| (least..=least * 6 / 5).contains(delay)), "{body}: {delays:?}");
        let spread = delays.iter().max().unwrap() - delays.iter().min().unwrap();
        assert!(spread > least / 20, "{body}: no jitter in {delays:?}");
    }
}

/// Contract row 11.
#[test]
fn the_streams_own_delay_outlives_its_attempt() {
    let script = Script::new()
        .then(Attempt::stream().bytes("retry: 20000\n").close())
        .then(Attempt::new().refuse())
        .then(done());
    let fresh = Policy::builder("running");
    let delays = delays(&world(script).with(|_| fresh).trace());
    assert!(delays.iter().all(|delay| (20_000..=24_000).contains(delay)), "{delays:?}");
}

/// Contract row 11.
#[test]
fn backoff_grows_from_the_base_to_its_cap() {
    let delays = jittered("", |c| c.retry_delay(SECOND).backoff(Backoff::up_to(8 * SECOND)));
    for (delay, full) in delays.iter().zip([1000, 2000, 4000, 8000, 8000, 8000]) {
        assert!((full / 2..=full).contains(delay), "{delays:?}");
    }
}

/// Contract row 11.
#[test]
fn backoff_begins_again_after_a_long_lived_attempt_or_a_timeout_event() {
    for (what, lived) in [
        ("a timeout event", Attempt::stream().timeout("running", 300.0)),
        ("sixty seconds of life", Attempt::stream().wait(60 * SECOND).reset()),
    ] {
        let short = || Attempt::new().refuse();
        let script = Script::new().then(short()).then(short()).then(short()).then(lived).then(done());
        let delays = delays(&world(script).with(|c| c.retry_delay(SECOND).backoff(Backoff::default())).trace());
        assert!(delays[2] >= 2000 && delays[3] <= 1000, "{what}: {delays:?}");
    }
    // Fifty-nine seconds are not enough, nor are sixty spent connecting.
    let almost = Attempt::stream().wait(59 * SECOND).reset();
    let connecting = Attempt::new().wait(70 * SECOND).refuse();
    for attempt in [almost, connecting] {
        let script = Script::new().then(Attempt::new().refuse()).then(attempt).then(done());
        let settings = |c: cvm_watch_core::PolicyBuilder| {
            c.retry_delay(SECOND).backoff(Backoff::default()).connect_timeout(100 * SECOND)
        };
        let delays = delays(&world(script).with(settings).trace());
        assert!(delays[1] >= 1000, "{delays:?}");
    }
}

/// Contract row 11.
#[test]
fn retry_after_lengthens_the_next_delay_only_and_up_to_five_minutes() {
    // The virtual wall clock begins at 2001-09-09 01:46:40 GMT.
    let date = "Sun, 09 Sep 2001 01:47:40 GMT";
    for (headers, expected) in [
        (&[("retry-after", "9")][..], 9000),
        (&[("retry-after", "2")], 5000),
        (&[("retry-after", "86400")], 300_000),
        (&[("retry-after", date)], 60_000),
        (&[("retry-after", date), ("date", "Sun, 09 Sep 2001 01:47:20 GMT")], 20_000),
        (&[("retry-after", "soon")], 5000),
    ] {
        let script = Script::new().then(answer(503, headers, "")).then(Attempt::new().refuse()).then(done());
        assert_eq!(delays(&world(script).trace()), [expected, 5000], "{headers:?}");
    }
}

/// Contract row 12.
#[test]
fn passing_faults_of_the_connection_are_retried() {
    let passing = [
        CloseCause::Dns,
        CloseCause::Refused,
        CloseCause::Reset,
        CloseCause::HostUnreachable,
        CloseCause::Proxy,
        CloseCause::Tls(TlsFault::Other),
        CloseCause::NotHttp,
        CloseCause::HeadTooLarge,
        CloseCause::Truncated,
        CloseCause::Ended,
        CloseCause::Other,
    ];
    let trace = world(done()).faults(&passing).trace();
    assert_eq!(trace.matches("retry in 5s").count(), passing.len(), "{trace}");
    assert!(trace.ends_with("resolve status=running\n"), "{trace}");
}

/// A watch whose first attempt has just got this head.
fn answered(head: ResponseHead<'_>) -> (Watch, AttemptId) {
    let policy = Policy::builder("running").build().unwrap();
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(Timestamp::ZERO, Input::Head { attempt, head, wall: None });
    (watch, attempt)
}

/// Contract row 12.
#[test]
fn every_fault_in_the_middle_of_a_stream_is_retried() {
    let late_certificate = CloseCause::Tls(TlsFault::Certificate);
    for cause in [CloseCause::NotHttp, CloseCause::Truncated, CloseCause::Reset, CloseCause::Other, late_certificate] {
        let (mut watch, attempt) = answered(ResponseHead::new(200));
        watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause });
        let action = watch.poll_action();
        assert!(matches!(action, Some(Action::Retrying { .. })), "{cause:?}: {action:?}");
    }
}

/// Contract row 12.
#[test]
fn a_retried_status_keeps_its_message_for_the_final_failure() {
    for status in [408, 425, 429, 409, 500, 502, 503, 504, 599] {
        let end = world(answer(status, &[], r#"{"detail":"too busy"}"#)).with(|c| c.max_retries(1)).end();
        let expected = format!("5.000 fail max_retries_exceeded: gave up after 2 attempts: HTTP {status}: too busy");
        assert_eq!(end, expected);
    }
    // What came later is no longer an answer, but its words still are the last.
    let script = Script::new().then(answer(503, &[], "too busy")).then(Attempt::new().refuse());
    let end = world(script).with(|c| c.max_retries(1)).end();
    assert_eq!(
        end,
        "5.000 fail max_retries_exceeded: gave up after 2 attempts: the server closed the connection without an answer: too busy"
    );
}

/// Contract row 12.
#[test]
fn a_conflict_is_retried_unless_it_has_an_error_code() {
    let retried = world(Script::new().then(answer(409, &[], r#"{"message":"busy"}"#)).then(done())).end();
    assert_eq!(retried, "5.000 resolve status=running");
    let coded = world(answer(409, &[], r#"{"error_code":"ERR-02","message":"deleted"}"#)).end();
    assert_eq!(coded, "0.000 fail rejected: the server rejected the watch: HTTP 409 (ERR-02): deleted");
}

/// Contract row 13.
#[test]
fn every_other_status_fails_at_once_with_the_servers_words() {
    for status in [201, 204, 206, 304, 400, 401, 402, 403, 404, 405, 410, 418, 422, 451] {
        let body = r#"{"error_code":"E-1","message":"no"}"#;
        let end = world(answer(status, &[], body)).end();
        assert_eq!(end, format!("0.000 fail rejected: the server rejected the watch: HTTP {status} (E-1): no"));
    }
}

/// Contract row 13.
#[test]
fn the_body_of_a_rejection_is_read_for_two_seconds_and_to_64_kib() {
    let head = || Attempt::new().head(404, &[]);
    let late = world(head().bytes("no such").wait(SECOND).bytes(" CVM").stall()).end();
    assert_eq!(late, "2.000 fail rejected: the server rejected the watch: HTTP 404: no such CVM");
    let cut = world(head().bytes("no such").truncate()).end();
    assert_eq!(cut, "0.000 fail rejected: the server rejected the watch: HTTP 404: no such");
    let reset = world(head().reset()).end();
    assert_eq!(reset, "0.000 fail rejected: the server rejected the watch: HTTP 404");
    let endless = world(head().flood("long ", 1 << 30)).trace();
    assert!(endless.contains("0.000 disconnect\n0.000 fail rejected"), "{endless}");
}

/// How a watch is rejected that is answered 422 with this body.
fn rejection(body: &str) -> Rejection {
    let mut head = ResponseHead::new(422);
    head.header("X-Request-Id", b"of-the-head");
    let (mut watch, attempt) = answered(head);
    assert_eq!(watch.receive(Timestamp::ZERO, attempt, body.as_bytes()), body.len());
    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause: CloseCause::Ended });
    match watch.poll_action() {
        Some(Action::Fail(Failure::Rejected(rejection))) => *rejection,
        other => panic!("not rejected: {other:?}"),
    }
}

/// Contract row 13.
#[test]
fn a_rejection_carries_what_the_server_said() {
    let said = rejection(
        r#"{"error_code":"ERR-03-001","message":"no","request_id":"of-the-body","suggestions":["wait","ask"]}"#,
    );
    assert_eq!(
        (said.status, said.message.as_deref(), said.error_code.as_deref()),
        (422, Some("no"), Some("ERR-03-001"))
    );
    assert_eq!(
        (said.suggestions, said.request_id.as_deref()),
        (vec!["wait".into(), "ask".into()], Some("of-the-body"))
    );
    let problems = rejection(r#"{"detail":[{"loc":["query","interval"],"msg":"too small"}]}"#);
    assert_eq!(problems.message.as_deref(), Some("query.interval: too small"));
    assert_eq!(problems.request_id.as_deref(), Some("of-the-head"));
}

/// Contract row 14.
#[test]
fn a_redirect_is_final_and_names_its_location_and_what_to_do() {
    for status in [300, 301, 302, 303, 307, 308] {
        let end = world(answer(status, &[("location", "https://else.example/x")], "moved")).end();
        assert_eq!(
            end,
            format!(
                "0.000 fail rejected: the server rejected the watch: HTTP {status}, a redirect to https://else.example/x; \
                 redirects are not followed, set the base URL to the final address"
            )
        );
    }
}

/// Contract row 15.
#[test]
fn an_answer_that_is_no_event_stream_is_rejected_at_once() {
    for (headers, found) in [
        (&[("content-type", "text/html; charset=utf-8")][..], "content type \"text/html; charset=utf-8\""),
        (&[("content-type", "application/json")], "content type \"application/json\""),
        (&[("content-encoding", "gzip")], "content encoding \"gzip\""),
    ] {
        world(Attempt::new().head(200, headers).stall()).trace().lines().enumerate().for_each(|(number, line)| {
            match number {
                0 => assert_eq!(line, "0.000 connect 1, timeout 300"),
                1 => assert_eq!(line, "0.000 disconnect"),
                _ => assert!(line.starts_with("0.000 fail rejected") && line.contains(found), "{line}"),
            }
        });
    }
}

/// Contract row 15.
#[test]
fn any_case_and_parameters_or_no_content_type_at_all_is_an_event_stream() {
    for content_type in ["TEXT/EVENT-STREAM", "text/event-stream;charset=UTF-8", " text/event-stream ; a=b"] {
        let stream = Attempt::new().head(200, &[("content-type", content_type), ("content-encoding", "identity")]);
        assert_eq!(world(stream.complete("running")).end(), "0.000 resolve status=running", "{content_type}");
    }
    let none = Attempt::new().head_exactly(Head::new(200)).complete("running");
    assert_eq!(world(none).end(), "0.000 resolve status=running");
}

/// Contract row 16.
#[test]
fn a_refused_certificate_fails_at_once() {
    for (fault, said) in [
        (TlsFault::Certificate, "the server's certificate is not trusted"),
        (TlsFault::HostName, "the server's certificate is for another host"),
        (TlsFault::Authority, "the server presents a certificate authority's own certificate"),
    ] {
        let trace = world(done()).faults(&[CloseCause::Tls(fault)]).trace();
        assert_eq!(trace.lines().count(), 2, "{trace}");
        assert!(trace.contains(&format!("0.000 fail tls: {said}")), "{trace}");
    }
}

/// Contract row 16.
#[test]
fn credentials_that_the_proxy_refuses_fail_at_once() {
    let trace = world(done()).faults(&[CloseCause::ProxyAuthentication]).trace();
    assert_eq!(trace.lines().count(), 2, "{trace}");
    assert!(trace.contains("0.000 fail proxy_authentication: the proxy requires other credentials"), "{trace}");
}

/// Contract row 17.
#[test]
fn no_head_within_the_connect_timeout_is_a_loss() {
    let script = || Script::new().then(Attempt::new().stall()).then(done());
    world(script()).check(
        "0.000 connect 1, timeout 300
         30.000 disconnect
         30.000 retry in 5s: no response within the connect timeout
         35.000 connect 2, timeout 300
         35.000 complete running
         35.000 disconnect
         35.000 resolve status=running",
    );
    assert_eq!(world(script()).with(|c| c.connect_timeout(SECOND)).end(), "6.000 resolve status=running");
}

/// Contract row 17.
#[test]
fn the_connect_timeout_never_goes_beyond_the_attempts_deadline() {
    let script = Script::new().then(Attempt::new().stall()).then(done());
    let trace = world(script).with(|c| c.connect_timeout(3600 * SECOND).timeout(30 * SECOND)).trace();
    assert!(trace.contains("40.000 retry in 5s: the stream outlived its timeout"), "{trace}");
}
