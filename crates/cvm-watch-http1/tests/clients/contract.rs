//! The contract's rows over real sockets: what the caller sees, and how often the server is asked.

use std::time::Duration;

use cvm_watch_sim::{Attempt, Script, Sim};

use super::client;
use super::played::{ID, SOON, all, check, play};
use crate::subject::{Backoff, Failure, Mode, Update, WatchHandle};

const STARTING: &str = "event: state\ndata: {\"status\":\"starting\"}\n\n";

fn done() -> Attempt {
    Attempt::stream().complete("running")
}

fn starting() -> Attempt {
    Attempt::stream().state("starting")
}

fn at_target() -> Attempt {
    Attempt::stream().state("running")
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Contract row 1.
#[crate::runtime_test]
async fn complete_resolves_with_the_last_state_or_with_just_the_status() {
    let script = Attempt::stream().progress("starting", "done").complete("RUNNING").state("stopped");
    let state = play(script, |watch| watch).await.outcome.unwrap();
    assert_eq!((state.status.as_str(), state.boot_progress.as_deref()), ("RUNNING", Some("done")));
    check(done().stall(), |watch| watch, "complete running; resolved running", 1).await;
}

/// Contract row 2.
#[crate::runtime_test]
async fn complete_with_another_status_is_reported_and_retried() {
    let elsewhere = || starting().complete("stopped").stall();
    check(
        Script::new().then(elsewhere()).then(done()),
        |watch| watch,
        "starting; complete stopped; retry: the server completed with status \"stopped\", which is not the target; \
         complete running; resolved running",
        2,
    )
    .await;
    check(
        elsewhere(),
        |watch| watch.max_retries(0),
        "starting; complete stopped; failed: gave up after 1 attempt: the server completed with status \"stopped\", \
         which is not the target",
        1,
    )
    .await;
}

/// Contract row 3.
#[crate::runtime_test]
async fn at_the_target_any_end_of_the_attempt_resolves() {
    let cut_in_chunk = Attempt::stream().state("running").raw("40\r\ndata: cut");
    for script in [
        at_target().close(),
        at_target().truncate(),
        cut_in_chunk.truncate(),
        at_target().raw("no chunk\r\n").stall(),
        // The pause lets the state be read before the reset takes what is unread.
        at_target().wait(millis(100)).reset(),
    ] {
        check(script, |watch| watch.max_retries(0), "running; resolved running", 1).await;
    }
    check(at_target().timeout("running", 1.0), |watch| watch, "running; timeout; resolved running", 1).await;
    let slow = |watch: WatchHandle| watch.configure(|config| config.complete_grace(SOON * 100));
    check(at_target().stall(), |watch| slow(watch).idle_timeout(millis(500)), "running; resolved running", 1).await;
    check(at_target().stall(), |watch| slow(watch).deadline(millis(1000)), "running; resolved running", 1).await;
}

/// Contract row 3.
#[crate::runtime_test]
async fn another_status_after_the_target_takes_it_back() {
    check(
        at_target().state("stopping").close(),
        |watch| watch.max_retries(0),
        "running; stopping; failed: gave up after 1 attempt: the stream ended",
        1,
    )
    .await;
    check(
        Script::new().then(at_target().state("stopping").stall()).then(done()),
        |watch| watch.configure(|config| config.complete_grace(millis(500))).idle_timeout(millis(1500)),
        "running; stopping; retry: nothing was received within the idle timeout; complete running; resolved running",
        2,
    )
    .await;
}

/// Contract row 4.
#[crate::runtime_test]
async fn a_stream_that_ends_in_another_state_is_retried_however_it_ends() {
    for (lost, cause) in
        [(Attempt::stream().close(), "the stream ended"), (Attempt::stream().truncate(), "the response was cut off")]
    {
        let expected = format!("retry: {cause}; complete running; resolved running");
        check(Script::new().then(lost).then(done()), |watch| watch, &expected, 2).await;
    }
    for (lost, cause) in [
        (starting().close(), "the stream ended"),
        (starting().bytes("event: complete\ndata: {\"status\":\"running\"}\n").close(), "the stream ended"),
        (starting().truncate(), "the response was cut off"),
        (starting().wait(millis(100)).reset(), "the connection was reset"),
        (starting().raw("no chunk\r\n").stall(), "the answer is not valid HTTP"),
    ] {
        let expected = format!("starting; retry: {cause}; complete running; resolved running");
        check(Script::new().then(lost).then(done()), |watch| watch, &expected, 2).await;
    }
}

/// Contract row 5.
#[crate::runtime_test]
async fn a_timeout_event_is_retried_even_if_it_cannot_be_read() {
    let cause = "the server's timeout for this stream was reached";
    for (data, shown) in
        [("{\"error\":\"late\"}", "timeout"), ("{}", "timeout"), ("not JSON", "malformed: the data is not JSON")]
    {
        check(
            Script::new().then(starting().event("timeout", data).stall()).then(done()),
            |watch| watch,
            &format!("starting; {shown}; retry: {cause}; complete running; resolved running"),
            2,
        )
        .await;
    }
}

/// Contract row 6.
#[crate::runtime_test]
async fn an_error_event_ends_nothing_and_is_remembered() {
    check(
        starting().error("busy").complete("running"),
        |watch| watch,
        "starting; error busy; complete running; resolved running",
        1,
    )
    .await;
    check(
        starting().error("no disk").close(),
        |watch| watch.max_retries(0),
        "starting; error no disk; failed: gave up after 1 attempt: the stream ended: no disk",
        1,
    )
    .await;
}

/// Contract rows 7 and 8.
#[crate::runtime_test]
async fn what_is_not_understood_is_reported_and_the_stream_goes_on() {
    let script = Attempt::stream()
        .event("State", "x")
        .bytes("data: y\n\n")
        .event("state", "not JSON")
        .event("state", "[1]")
        .event("complete", "{\"status\":7}")
        .event("state", format!("{{\"status\":\"x\",\"a\":{}{}}}", "[".repeat(200), "]".repeat(200)))
        .event("state", "{\"status\":\"starting\",\"boot_error\":7}")
        .complete("running");
    check(
        script,
        |watch| watch,
        "other State x; other message y; malformed: the data is not JSON; malformed: the data is not a JSON object; \
         malformed: the status is missing or not a string; malformed: the data nests deeper than 128 levels; starting; \
         complete running; resolved running",
        1,
    )
    .await;
}

/// Contract row 9.
#[crate::runtime_test]
async fn an_event_over_the_limit_is_dropped_and_the_next_one_read() {
    let script = Attempt::stream()
        .bytes(format!("data: {}\n\n", "x".repeat(2000)))
        .bytes(format!(": {}\n{STARTING}", "x".repeat(2000)))
        .complete("running");
    check(
        script,
        |watch| watch.configure(|config| config.max_event_bytes(1000)),
        "malformed: the event is larger than 1000 bytes; starting; complete running; resolved running",
        1,
    )
    .await;
}

/// Contract row 10.
#[crate::runtime_test]
async fn max_retries_is_how_many_attempts_follow_the_first() {
    for retries in [0, 1, 3] {
        let attempts = usize::try_from(retries).unwrap() + 1;
        let played = play(Attempt::new().refuse(), |watch| watch.max_retries(retries)).await;
        assert_eq!(played.requests.len(), attempts);
        let Err(error) = played.outcome else { panic!("{}", played.seen) };
        let Some(Failure::MaxRetriesExceeded { attempts: counted, .. }) = error.failure() else { panic!("{error}") };
        assert_eq!(*counted, retries + 1);
    }
}

/// The first delay that is reported on this script; the watch is dropped before it is waited for.
async fn first_delay(script: Attempt, change: impl FnOnce(WatchHandle) -> WatchHandle) -> Duration {
    let sim = Sim::start().unwrap();
    sim.script(ID, script);
    let mut watch = change(client(&sim).watch(ID, "running"));
    while let Some(update) = watch.next_update().await {
        if let Update::Retrying { delay, .. } = update {
            return delay;
        }
    }
    panic!("no retry: {:?}", watch.await);
}

/// Contract row 11.
#[crate::runtime_test]
async fn the_delay_is_as_given_or_as_the_server_asks() {
    let seconds = Duration::from_secs;
    let lost = || Attempt::stream().close();
    let busy = |header: &str| Attempt::new().head(503, &[("retry-after", header)]).close();
    assert_eq!(first_delay(lost(), |watch| watch.retry_delay(millis(1234))).await, millis(1234));
    let asks = Attempt::stream().bytes("retry: 7000\n\n").close();
    assert_eq!(first_delay(asks.clone(), |watch| watch.retry_delay(millis(5))).await, millis(5));
    assert_eq!(first_delay(busy("90"), |watch| watch.retry_delay(Duration::ZERO)).await, seconds(90));
    assert_eq!(first_delay(busy("9000"), |watch| watch).await, seconds(300));
    assert_eq!(first_delay(busy("1"), |watch| watch.retry_delay(seconds(40))).await, seconds(40));
    for (script, least) in [(lost(), 5), (asks, 7), (busy("1"), 5)] {
        let delay = first_delay(script, |watch| watch).await;
        assert!((seconds(least)..=seconds(least) * 6 / 5).contains(&delay), "{delay:?}");
    }
    let backoff = first_delay(lost(), |watch| watch.retry_delay(seconds(4)).backoff(Backoff::default())).await;
    assert!((seconds(2)..=seconds(4)).contains(&backoff), "{backoff:?}");
}

/// Contract row 12.
#[crate::runtime_test]
async fn temporary_errors_are_retried_and_the_last_message_is_kept() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504, 599] {
        check(
            Script::new().then(Attempt::respond(status, "text/plain", "not now")).then(done()),
            |watch| watch,
            &format!("retry: HTTP {status}: not now; complete running; resolved running"),
            2,
        )
        .await;
    }
    let body = "{\"detail\":\"busy\"}";
    check(
        Attempt::json(503, body),
        |watch| watch.max_retries(1),
        "retry: HTTP 503: busy; failed: gave up after 2 attempts: HTTP 503: busy",
        2,
    )
    .await;
}

/// Contract row 13.
#[crate::runtime_test]
async fn final_answers_end_it_after_one_request_with_the_servers_message() {
    for status in [201, 206, 400, 401, 402, 403, 404, 405, 410, 422, 451] {
        check(
            Attempt::json(status, "{\"message\":\"no\",\"error_code\":\"ERR-1\"}"),
            |watch| watch,
            &format!("failed: the server rejected the watch: HTTP {status} (ERR-1): no"),
            1,
        )
        .await;
    }
    let coded = Attempt::json(409, "{\"message\":\"twice\",\"error_code\":\"ERR-2\"}");
    check(coded, |watch| watch, "failed: the server rejected the watch: HTTP 409 (ERR-2): twice", 1).await;
    let empty = Attempt::new().raw("HTTP/1.1 204 No Content\r\n\r\n").stall();
    check(empty, |watch| watch, "failed: the server rejected the watch: HTTP 204", 1).await;
    let endless = Attempt::new().head(403, &[("content-type", "text/plain")]).flood("no ", 1 << 30);
    let played = play(endless, |watch| watch).await;
    assert!(played.seen.starts_with("failed: the server rejected the watch: HTTP 403: no no"), "{}", played.seen);
}

/// Contract row 15.
#[crate::runtime_test]
async fn only_an_event_stream_is_taken_for_one() {
    let typed = |value: &str| Attempt::new().head(200, &[("content-type", value)]).complete("running");
    for taken in ["text/event-stream", "Text/Event-Stream; charset=utf-8"] {
        check(typed(taken), |watch| watch, "complete running; resolved running", 1).await;
    }
    for (refused, found) in [("text/event-streams", "text/event-streams"), ("application/json", "application/json")] {
        let expected = format!(
            "failed: the server rejected the watch: HTTP 200 with content type \"{found}\", not text/event-stream; check \
             the base URL"
        );
        check(typed(refused), |watch| watch, &expected, 1).await;
    }
}

/// Contract row 17.
#[crate::runtime_test]
async fn no_answer_within_the_connect_timeout_is_retried() {
    let half = Attempt::new().raw("HTTP/1.1 200 OK\r\nx-half:").stall();
    for silent in [Attempt::new().stall(), half] {
        check(
            Script::new().then(silent).then(done()),
            |watch| watch.connect_timeout(millis(500)),
            "retry: no response within the connect timeout; complete running; resolved running",
            2,
        )
        .await;
    }
}

/// Contract rows 3 and 18. The shortest timeout there is, and the margin: it takes 20 seconds.
#[crate::runtime_test]
async fn an_attempt_ends_ten_seconds_after_its_timeout_bytes_or_not() {
    let seconds = Duration::from_secs;
    let ticking = |begin: Attempt| begin.repeat(": alive\n\n", seconds(1), u64::MAX);
    let watch = move |watch: WatchHandle| {
        watch.timeout(seconds(10)).max_retries(0).configure(|config| config.complete_grace(seconds(600)))
    };
    let start = std::time::Instant::now();
    all([
        (starting().stall(), "starting; failed: gave up after 1 attempt: the stream outlived its timeout"),
        (ticking(starting()), "starting; failed: gave up after 1 attempt: the stream outlived its timeout"),
        (ticking(at_target()), "running; resolved running"),
    ]
    .map(|(script, expected)| check(script, watch, expected, 1)))
    .await;
    assert!(start.elapsed() >= seconds(20));
}

/// Contract row 19.
#[crate::runtime_test]
async fn silence_for_the_idle_timeout_is_retried() {
    check(
        Script::new().then(starting().stall()).then(done()),
        |watch| watch.idle_timeout(millis(500)),
        "starting; retry: nothing was received within the idle timeout; complete running; resolved running",
        2,
    )
    .await;
}

/// Contract row 20.
#[crate::runtime_test]
async fn the_deadline_ends_it_in_every_phase_with_the_last_status() {
    let deadline = |watch: WatchHandle| watch.deadline(millis(1000));
    check(
        starting().stall(),
        deadline,
        "starting; failed: the deadline of 1s passed; the last status was \"starting\"",
        1,
    )
    .await;
    check(Attempt::new().stall(), deadline, "failed: the deadline of 1s passed; no status was seen", 1).await;
    check(
        starting().close(),
        |watch| deadline(watch).retry_delay(Duration::from_secs(3600)),
        "starting; retry: the stream ended; failed: the deadline of 1s passed; the last status was \"starting\" (the \
         stream ended)",
        1,
    )
    .await;
}

/// Contract row 20.
#[crate::runtime_test]
async fn the_timeout_sent_is_no_longer_than_the_time_left() {
    for (deadline, sent) in [(millis(700), "10"), (millis(39_500), "40"), (Duration::from_secs(3600), "300")] {
        let played = play(done(), |watch| watch.deadline(deadline)).await;
        assert_eq!(played.requests[0].query("timeout").as_deref(), Some(sent), "{deadline:?}");
    }
}

/// Contract row 22.
#[crate::runtime_test]
async fn nothing_that_follows_the_end_is_seen() {
    let script = done().state("stopped").error("late").complete("stopped").flood(STARTING, 1 << 30);
    check(script, |watch| watch, "complete running; resolved running", 1).await;
}

/// Contract row 23.
#[crate::runtime_test]
async fn the_id_is_sent_as_raw_utf_8_unless_a_header_cannot_hold_it() {
    for (line, sent) in [
        ("id: 7", Some("7")),
        ("id: grün→é", Some("grün→é")),
        ("id: a\u{1b}b", None),
        ("id:", None),
        ("retry: 1", None),
    ] {
        let lost = Attempt::stream().bytes(format!("{line}\ndata: x\n\n")).truncate();
        let played = play(Script::new().then(lost).then(done()), |watch| watch).await;
        assert_eq!(played.requests.len(), 2, "{}", played.seen);
        assert_eq!(played.requests[0].header("last-event-id"), None);
        assert_eq!(played.requests[1].header("last-event-id"), sent.map(str::as_bytes), "{line}");
    }
    let long = Attempt::stream().bytes(format!("id: {}\ndata: x\n\n", "7".repeat(2000))).truncate();
    let played = play(Script::new().then(long).then(done()), |watch| watch).await;
    assert_eq!(played.requests[1].header("last-event-id"), None);
}

/// Contract rows 28, 32 and 33.
#[crate::runtime_test]
async fn a_state_and_polls_over_sockets() {
    let json = |status: &str| {
        let head = Attempt::new().head(200, &[("content-type", "application/json")]);
        head.bytes(format!(r#"{{"status":"{status}"}}"#)).close()
    };
    let sim = Sim::start().unwrap();
    sim.script(ID, json("exited"));
    let state = client(&sim).state(ID).await.unwrap();
    assert_eq!(state.status, "exited");
    assert!(sim.log().requests()[0].uri.ends_with("/state"), "{:?}", sim.log().requests());
    check(json("stopped"), |watch| watch.or_target("stopped").mode(Mode::Poll), "stopped; resolved stopped", 1).await;
}
