//! Answers and TLS faults that fail the watch at once.

use cvm_watch_core::{Action, CloseCause, Failure, Input, Rejection, ResponseHead, Timestamp, TlsFault};
use cvm_watch_sim::{Attempt, Head};

use crate::virtual_time::watch::scripted;
use crate::watches::{SECOND, answer, answered, done};

/// Contract row 13.
#[test]
fn every_other_status_fails_at_once_with_the_servers_message() {
    for status in [201, 204, 206, 304, 400, 401, 402, 403, 404, 405, 410, 418, 422, 451] {
        let body = r#"{"error_code":"E-1","message":"no"}"#;
        let end = scripted(answer(status, &[], body)).end();
        assert_eq!(end, format!("0.000 fail rejected: the server rejected the watch: HTTP {status} (E-1): no"));
    }
}

/// Contract row 13.
#[test]
fn the_body_of_a_rejection_is_read_for_two_seconds_and_to_64_kib() {
    let head = || Attempt::new().head(404, &[]);
    let late = scripted(head().bytes("no such").wait(SECOND).bytes(" CVM").stall()).end();
    assert_eq!(late, "2.000 fail rejected: the server rejected the watch: HTTP 404: no such CVM");
    let cut = scripted(head().bytes("no such").truncate()).end();
    assert_eq!(cut, "0.000 fail rejected: the server rejected the watch: HTTP 404: no such");
    let reset = scripted(head().reset()).end();
    assert_eq!(reset, "0.000 fail rejected: the server rejected the watch: HTTP 404");
    let endless = scripted(head().flood("long ", 1 << 30)).trace();
    assert!(endless.contains("0.000 disconnect\n0.000 fail rejected"), "{endless}");
}

/// The rejection of a watch that received a 422 with this body.
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
fn a_rejection_carries_the_servers_message_and_code() {
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
        let end = scripted(answer(status, &[("location", "https://else.example/x")], "moved")).end();
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
fn an_answer_that_is_not_an_event_stream_is_rejected_at_once() {
    for (headers, found) in [
        (&[("content-type", "text/html; charset=utf-8")][..], "content type \"text/html; charset=utf-8\""),
        (&[("content-type", "application/json")], "content type \"application/json\""),
        (&[("content-encoding", "gzip")], "content encoding \"gzip\""),
    ] {
        scripted(Attempt::new().head(200, headers).stall()).trace().lines().enumerate().for_each(|(number, line)| {
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
        assert_eq!(scripted(stream.complete("running")).end(), "0.000 resolve status=running", "{content_type}");
    }
    let none = Attempt::new().head_exactly(Head::new(200)).complete("running");
    assert_eq!(scripted(none).end(), "0.000 resolve status=running");
}

/// Contract row 16.
#[test]
fn a_refused_certificate_fails_at_once() {
    for (fault, said) in [
        (TlsFault::Certificate, "the server's certificate is not trusted"),
        (TlsFault::HostName, "the server's certificate is for another host"),
        (TlsFault::Authority, "the server presents a certificate authority's own certificate"),
    ] {
        let trace = scripted(done()).faults(&[CloseCause::Tls(fault)]).trace();
        assert_eq!(trace.lines().count(), 2, "{trace}");
        assert!(trace.contains(&format!("0.000 fail tls: {said}")), "{trace}");
    }
}

/// Contract row 16.
#[test]
fn credentials_that_the_proxy_refuses_fail_at_once() {
    let trace = scripted(done()).faults(&[CloseCause::ProxyAuthentication]).trace();
    assert_eq!(trace.lines().count(), 2, "{trace}");
    assert!(trace.contains("0.000 fail proxy_authentication: the proxy requires other credentials"), "{trace}");
}
