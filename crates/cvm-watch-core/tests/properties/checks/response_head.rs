//! Compares a watch with the reference model of rows 12 to 15, for any response head and error body.

use std::time::Duration;

use cvm_watch_core::{Action, ApiKey, CloseCause, Failure, Input, Phase, Policy, RetryCause, Timestamp, Watch};

use super::answer::{Answer, Asked, Head, Refusal};
use super::choices::Choices;

const SECOND: Duration = Duration::from_secs(1);
const KEY: &str = "phak_secret7";
/// How the key begins in base64, which has three forms by what stands before the key, and in hexadecimal.
const ENCODED_KEY: [&str; 4] = ["cGhh", "BoYW", "waGF", "7068"];
const NAMES: &[&str] = &[
    "content-type",
    "Content-Type",
    "content-encoding",
    "Retry-After",
    "retry-after",
    "date",
    "DATE",
    "location",
    "x-request-id",
    "transfer-encoding",
    "cf-ray",
    "x-other",
];

/// Asserts: a head leads to a stream, a retry or a rejection by the rows, with the delay, message and code of the
/// reference model; the key is never in the output, however the server repeats it.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let status = match choices.byte() {
        0 => 200,
        1 => u16::from_le_bytes([choices.byte(), choices.byte()]),
        other => 100 + u16::from(other) * 2 + u16::from(choices.flag()),
    };
    let wall = choices.flag().then_some(1_000_000_000);
    let count = choices.below(6);
    let headers = (0..count).map(|_| (choices.pick(NAMES).to_owned(), choices.bytes().to_vec())).collect();
    let head = Head { status, headers, wall };
    // Sometimes a body over the limit.
    let times = if choices.byte() == 255 { 1 + choices.below(255) } else { 1 };
    let body = choices.rest().repeat(times);
    let body = &body[..body.len().min(70_000)];

    assert_eq!(head.response().status(), status);
    let found = answered(&head, body);
    if let Some(refusal) = head.refused_at_once() {
        return assert_eq!(found, Found::Rejected(refusal));
    }
    if status == 200 {
        return assert_eq!(found, Found::Stream);
    }
    let expected = match (head.judge(body), &found) {
        (Answer::Rejected(refusal), _) => Found::Rejected(refusal),
        (Answer::Retried { message, retry_after: Asked::Unclear }, Found::Retried { delay, .. }) => {
            Found::Retried { message, delay: *delay }
        }
        (Answer::Retried { message, retry_after }, _) => {
            let asked = if let Asked::Exactly(wait) = retry_after { wait } else { Duration::ZERO };
            Found::Retried { message, delay: asked.clamp(SECOND * 5, SECOND * 300) }
        }
    };
    // The reference model redacts nothing, so messages that may hold the key, or a part of it at a cut, are not
    // compared.
    let texts = head.headers.iter().map(|(_, value)| value.as_slice()).chain([body]);
    let hides = |text: &[u8]| {
        let is_escaped = text.iter().any(|byte| matches!(byte, b'%' | b'\\' | b'&'));
        is_escaped || contains(text, &KEY[..4]) || ENCODED_KEY.iter().any(|part| contains(text, part))
    };
    let may_be_redacted = texts.into_iter().any(hides);
    if may_be_redacted {
        assert_eq!(found.wordless(), expected.wordless());
    } else {
        assert_eq!(found, expected);
    }
}

#[derive(Debug, PartialEq)]
enum Found {
    Stream,
    Retried { message: Option<String>, delay: Duration },
    Rejected(Refusal),
}

impl Found {
    fn wordless(self) -> Self {
        match self {
            Self::Stream => Self::Stream,
            Self::Retried { delay, .. } => Self::Retried { message: None, delay },
            Self::Rejected(refusal) => Self::Rejected(Refusal { message: None, error_code: None, ..refusal }),
        }
    }
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

fn answered(head: &Head, body: &[u8]) -> Found {
    let policy = Policy::builder("running").retry_delay(Duration::from_secs(5));
    let policy = policy.credential(ApiKey::new(KEY).expect("a good key")).build().expect("a good configuration");
    let mut watch = Watch::new(policy.into(), "my-cvm".parse().unwrap(), 1, Timestamp::ZERO);
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    let input = Input::Head { attempt, head: head.response(), wall: head.wall() };
    watch.handle(Timestamp::ZERO, input);
    if watch.phase() == Phase::Streaming {
        return Found::Stream;
    }
    for piece in body.chunks(40_000) {
        assert_eq!(watch.receive(Timestamp::ZERO, attempt, piece), piece.len());
    }
    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause: CloseCause::Truncated });
    let mut found = None;
    while let Some(action) = watch.poll_action() {
        let shown = format!("{action:?}");
        assert!(!contains(shown.as_bytes(), KEY), "the key is in {shown}");
        match action {
            Action::Disconnect { .. } => {}
            Action::Retrying {
                delay,
                cause: cause @ (RetryCause::Status { .. } | RetryCause::TooManyStreams { .. }),
                ..
            } => {
                assert_eq!(cause.http_status(), Some(head.status));
                assert_eq!(matches!(cause, RetryCause::TooManyStreams { .. }), head.status == 429);
                found = Some(Found::Retried { message: cause.server_message().map(str::to_owned), delay });
            }
            Action::Fail(Failure::Rejected(rejection)) => {
                let said = rejection.to_string();
                assert!(!said.contains(|char: char| char.is_control()), "{said:?} can move a cursor");
                found = Some(Found::Rejected(Refusal::of(&rejection)));
            }
            other => panic!("{other:?} after an answer"),
        }
    }
    found.expect("an answer has a consequence")
}
