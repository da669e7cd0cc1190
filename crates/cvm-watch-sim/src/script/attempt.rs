//! One attempt's steps, written by verbs.

use std::time::Duration;

use serde_json::json;

use super::{Ending, Payload, Split, Step};
use crate::head::{Framing, Head};
use crate::wire;

/// What a server does with one connection, written verb by verb.
///
/// An attempt that has no end step ends like [`close`](Attempt::close).
///
/// ```
/// use std::time::Duration;
/// use cvm_watch_sim::Attempt;
///
/// let attempt = Attempt::new()
///     .head(200, &[])
///     .progress("starting", "booting")
///     .wait(Duration::from_millis(300))
///     .state("running")
///     .complete("running");
/// assert_eq!(attempt.steps().len(), 5);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempt {
    pub(super) steps: Vec<Step>,
    pub(super) framing: Framing,
    pub(super) split: Split,
}

impl Attempt {
    /// No steps: the connection is closed without an answer.
    pub const fn new() -> Attempt {
        Attempt { steps: Vec::new(), framing: Framing::Chunked, split: Split::Whole }
    }

    /// A head of 200 with `Content-Type: text/event-stream`, to be followed by events.
    pub fn stream() -> Attempt {
        Attempt::new().head(200, &[])
    }

    /// A whole answer: head, `Content-Length`, body, end.
    pub fn respond(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Attempt {
        Attempt::new()
            .head(status, &[("content-type", content_type)])
            .framing(Framing::ContentLength)
            .bytes(body)
            .close()
    }

    /// A whole answer of JSON; `body` is anything that prints as JSON, such as a `serde_json::Value`.
    pub fn json(status: u16, body: impl ToString) -> Attempt {
        Attempt::respond(status, "application/json", body.to_string())
    }

    /// Sends a head. For 200, the content type is `text/event-stream` unless given.
    #[must_use]
    pub fn head(self, status: u16, headers: &[(&str, &str)]) -> Attempt {
        let mut head = Head::new(status);
        let given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if status == 200 && !given {
            head = head.header("content-type", "text/event-stream");
        }
        for (name, value) in headers {
            head = head.header(name, *value);
        }
        self.head_exactly(head)
    }

    /// Sends just this head, with no content type but what it says.
    #[must_use]
    pub fn head_exactly(self, head: Head) -> Attempt {
        self.step(Step::Head(head))
    }

    /// Adds a header to the last head sent so far; without one it does nothing.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Attempt {
        let heads = self.steps.iter_mut().rev();
        let last = heads.filter_map(|step| match step {
            Step::Head(head) => Some(head),
            _ => None,
        });
        if let Some(head) = last.into_iter().next() {
            head.headers.push((name.to_owned(), value.into()));
        }
        self
    }

    /// Sends an event; `data` is anything that prints as JSON, or any text. A line of it is a `data:` line.
    #[must_use]
    pub fn event(self, name: &str, data: impl ToString) -> Attempt {
        self.bytes(wire::event(name, &data.to_string()))
    }

    /// Sends a `state` event with just this status.
    #[must_use]
    pub fn state(self, status: &str) -> Attempt {
        self.event("state", json!({ "status": status }))
    }

    /// Sends a `state` event with this status and boot progress.
    #[must_use]
    pub fn progress(self, status: &str, boot_progress: &str) -> Attempt {
        self.event("state", json!({ "status": status, "boot_progress": boot_progress }))
    }

    /// Sends a `complete` event whose status and target are both `status`, after 1.5 s by its own count.
    #[must_use]
    pub fn complete(self, status: &str) -> Attempt {
        self.event("complete", json!({ "status": status, "target": status, "elapsed": 1.5 }))
    }

    /// Sends a `timeout` event for this target, after `elapsed` seconds by its own count.
    #[must_use]
    pub fn timeout(self, target: &str, elapsed: f64) -> Attempt {
        let error = format!("timed out waiting for {target}");
        self.event("timeout", json!({ "error": error, "target": target, "elapsed": elapsed }))
    }

    /// Sends an `error` event with this text.
    #[must_use]
    pub fn error(self, text: &str) -> Attempt {
        self.event("error", json!({ "error": text }))
    }

    /// Sends a comment, as heartbeats are.
    #[must_use]
    pub fn comment(self, text: &str) -> Attempt {
        self.bytes(wire::comment(text))
    }

    /// Sends body bytes as they are.
    #[must_use]
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> Attempt {
        self.step(Step::Body(Payload::once(bytes)))
    }

    /// Sends `total` body bytes of `pattern` over and over, without holding them in memory.
    #[must_use]
    pub fn flood(self, pattern: impl AsRef<[u8]>, total: u64) -> Attempt {
        self.step(Step::Body(Payload::repeat(pattern, total)))
    }

    /// Sends bytes on the socket as they are. Body bytes with no [`head`](Attempt::head) before them go out unframed,
    /// so a raw head works: `raw("HTTP/1.0 200 OK\r\n\r\n").state("running")`.
    #[must_use]
    pub fn raw(self, bytes: impl Into<Vec<u8>>) -> Attempt {
        self.step(Step::Raw(Payload::once(bytes)))
    }

    /// Sends `total` bytes of `pattern` over and over on the socket, as endless headers are.
    #[must_use]
    pub fn raw_flood(self, pattern: impl AsRef<[u8]>, total: u64) -> Attempt {
        self.step(Step::Raw(Payload::repeat(pattern, total)))
    }

    /// `times` times: waits `every`, then sends `bytes` as body bytes. `u64::MAX` has no end in practice.
    #[must_use]
    pub fn repeat(self, bytes: impl Into<Vec<u8>>, every: Duration, times: u64) -> Attempt {
        self.step(Step::Repeat { payload: Payload::once(bytes), every, times })
    }

    /// Sends nothing for this long.
    #[must_use]
    pub fn wait(self, time: Duration) -> Attempt {
        self.step(Step::Wait(time))
    }

    /// Stays open and silent until the client leaves.
    #[must_use]
    pub fn stall(self) -> Attempt {
        self.step(Step::End(Ending::Stall))
    }

    /// Ends the body properly, then the connection.
    #[must_use]
    pub fn close(self) -> Attempt {
        self.step(Step::End(Ending::Close))
    }

    /// Ends the connection (FIN) in the middle of the body.
    #[must_use]
    pub fn truncate(self) -> Attempt {
        self.step(Step::End(Ending::Truncate))
    }

    /// Resets the connection (RST). What was sent just before may be lost with it; a [`wait`](Attempt::wait) between
    /// lets it arrive.
    #[must_use]
    pub fn reset(self) -> Attempt {
        self.step(Step::End(Ending::Reset))
    }

    /// Closes the connection without an answer. For a port where nothing listens, see
    /// [`RefusedPort`](crate::RefusedPort).
    #[must_use]
    pub fn refuse(self) -> Attempt {
        self.step(Step::End(Ending::Refuse))
    }

    /// Adds any step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Attempt {
        self.steps.push(step);
        self
    }

    /// Sets how the end of the body is marked; [`Framing::Chunked`] unless set.
    #[must_use]
    pub const fn framing(mut self, framing: Framing) -> Attempt {
        self.framing = framing;
        self
    }

    /// Sets how bytes are cut; [`Split::Whole`] unless set.
    #[must_use]
    pub const fn split(mut self, split: Split) -> Attempt {
        self.split = split;
        self
    }

    /// The steps as written.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How the end of the body is marked.
    pub const fn framing_mode(&self) -> Framing {
        self.framing
    }

    /// How bytes are cut.
    pub const fn split_mode(&self) -> Split {
        self.split
    }

    /// Whether some step only means something on a socket: raw bytes.
    pub fn needs_socket(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Raw(_)))
    }

    /// The `Content-Length` to promise: all body bytes, and one more if the body won't be finished.
    pub(crate) fn content_length(&self) -> u64 {
        let mut length: u64 = 0;
        for step in &self.steps {
            match step {
                Step::Body(payload) => length = length.saturating_add(payload.len()),
                Step::Repeat { payload, times, .. } => {
                    length = length.saturating_add(payload.len().saturating_mul(*times));
                }
                Step::End(Ending::Stall | Ending::Truncate | Ending::Reset) => return length.saturating_add(1),
                Step::End(Ending::Close | Ending::Refuse) => break,
                Step::Head(_) | Step::Raw(_) | Step::Wait(_) => {}
            }
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Move;

    fn body(attempt: &Attempt) -> String {
        let bytes = attempt.moves().filter_map(|next| match next {
            Move::Body(bytes) => Some(bytes),
            _ => None,
        });
        String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
    }

    #[test]
    fn the_event_verbs_write_the_endpoints_events() {
        let attempt = Attempt::new()
            .progress("starting", "booting")
            .complete("running")
            .timeout("running", 300.0)
            .error("poll failed")
            .comment("ping");
        assert_eq!(
            body(&attempt),
            "event: state\ndata: {\"boot_progress\":\"booting\",\"status\":\"starting\"}\n\n\
             event: complete\ndata: {\"elapsed\":1.5,\"status\":\"running\",\"target\":\"running\"}\n\n\
             event: timeout\ndata: {\"elapsed\":300.0,\"error\":\"timed out waiting for running\",\"target\":\"running\"}\n\n\
             event: error\ndata: {\"error\":\"poll failed\"}\n\n\
             : ping\n\n"
        );
    }

    #[test]
    fn only_a_200_gets_the_event_stream_type_and_only_when_none_is_given() {
        let content_type = |attempt: Attempt| match attempt.steps() {
            [Step::Head(head)] => head.value("content-type").map(<[u8]>::to_vec),
            steps => panic!("{steps:?}"),
        };
        assert_eq!(content_type(Attempt::stream()), Some(b"text/event-stream".to_vec()));
        assert_eq!(content_type(Attempt::new().head(503, &[])), None);
        let html = Attempt::new().head(200, &[("Content-Type", "text/html")]);
        assert_eq!(content_type(html), Some(b"text/html".to_vec()));
        assert_eq!(content_type(Attempt::new().head_exactly(Head::new(200))), None);
        let added = Attempt::new().head(503, &[]).header("content-type", "text/plain");
        assert_eq!(content_type(added), Some(b"text/plain".to_vec()));
    }

    #[test]
    fn an_unfinished_body_promises_one_byte_more() {
        let attempt = Attempt::stream().bytes("abc").flood("x", 10);
        assert_eq!(attempt.content_length(), 13);
        assert_eq!(attempt.clone().close().bytes("late").content_length(), 13);
        assert_eq!(attempt.clone().truncate().content_length(), 14);
        let forever = attempt.repeat("x", Duration::ZERO, u64::MAX);
        assert_eq!(forever.content_length(), u64::MAX);
    }

    #[test]
    fn raw_bytes_need_a_socket() {
        assert!(Attempt::new().raw("HTTP/1.0 200 OK\r\n\r\n").needs_socket());
        assert!(!Attempt::stream().state("running").stall().needs_socket());
    }
}
