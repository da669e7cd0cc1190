//! What proxies between server and client make of an attempt.

use std::time::Duration;

use super::{Attempt, Ending, Payload, Step};

/// What Cloudflare answers when the server was silent for too long.
const EDGE_TIMEOUT_PAGE: &str = "<html><head><title>524: A timeout occurred</title></head></html>";

impl Attempt {
    /// This attempt as a client sees it behind a proxy that buffers: the head arrives at once, the body not before its
    /// end and in one piece. After `patience` the proxy gives up and cuts the connection, without a byte of the body.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cvm_watch_sim::{Attempt, Ending, Move};
    ///
    /// let second = Duration::from_secs(1);
    /// let stream = Attempt::new().bytes("a").wait(second).bytes("b");
    /// let moves: Vec<_> = stream.clone().through_buffering_proxy(9 * second).moves().map(|next| format!("{next:?}")).collect();
    /// assert_eq!(moves, ["Wait(1s)", "Body([97])", "Body([98])", "End(Close)"]);
    /// let stalled = stream.stall().through_buffering_proxy(9 * second);
    /// assert_eq!(stalled.moves().collect::<Vec<_>>(), [Move::Wait(9 * second), Move::End(Ending::Truncate)]);
    /// ```
    #[must_use]
    pub fn through_buffering_proxy(self, patience: Duration) -> Attempt {
        let mut sent = Attempt { steps: Vec::new(), ..self };
        let mut held = Vec::new();
        let mut elapsed = Duration::ZERO;
        for step in self.steps {
            let (step, takes) = match step {
                Step::End(Ending::Stall) => (None, Duration::MAX),
                Step::Wait(time) => (None, time),
                Step::Repeat { payload, every, times } => {
                    let takes = every.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX));
                    (Some(Step::Repeat { payload, every: Duration::ZERO, times }), takes)
                }
                step => (Some(step), Duration::ZERO),
            };
            elapsed = elapsed.saturating_add(takes);
            if elapsed >= patience {
                return sent.wait(patience).truncate();
            }
            match step {
                Some(head @ Step::Head(_)) if held.is_empty() => sent.steps.push(head),
                Some(end @ Step::End(_)) => {
                    held.push(end);
                    break;
                }
                Some(step) => held.push(step),
                None => {}
            }
        }
        if !elapsed.is_zero() {
            sent = sent.wait(elapsed);
        }
        sent.steps.extend(held);
        sent
    }

    /// This attempt as a client sees it behind an edge such as Cloudflare's: the head is held until the first byte of the
    /// body, and after `silence` without a byte the connection is cut, or answered with 524 where no head was sent yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cvm_watch_sim::{Attempt, Ending, Move};
    ///
    /// let second = Duration::from_secs(1);
    /// let stream = Attempt::new().wait(5 * second).bytes("a").stall().through_edge(100 * second);
    /// let moves: Vec<Move> = stream.moves().collect();
    /// let cut = [Move::Wait(100 * second), Move::End(Ending::Truncate)];
    /// assert_eq!(moves, [Move::Wait(5 * second), Move::Body(b"a"), cut[0], cut[1]]);
    /// ```
    #[must_use]
    pub fn through_edge(self, silence: Duration) -> Attempt {
        let sent = Attempt { steps: Vec::new(), ..self };
        let mut edge = Edge { sent, head: None, quiet: Duration::ZERO, silence };
        for step in self.steps {
            match step {
                Step::Head(head) => edge.head = Some(head),
                Step::Body(_) | Step::Raw(_) => edge.pass(step),
                Step::Wait(time) => {
                    if !edge.wait(time) {
                        return edge.cut();
                    }
                }
                Step::Repeat { payload, every, times } => {
                    if times > 0 && (!edge.wait(every) || !edge.repeat(payload, every, times)) {
                        return edge.cut();
                    }
                }
                Step::End(Ending::Stall) => return edge.cut(),
                Step::End(_) => {
                    edge.pass(step);
                    return edge.sent;
                }
            }
        }
        edge.pass(Step::End(Ending::Close));
        edge.sent
    }
}

/// An attempt on its way through an edge.
struct Edge {
    sent: Attempt,
    /// The head that is held.
    head: Option<super::Head>,
    /// How long nothing came from the server.
    quiet: Duration,
    silence: Duration,
}

impl Edge {
    /// Whether the silence goes on no longer than the edge allows.
    fn wait(&mut self, time: Duration) -> bool {
        self.quiet = self.quiet.saturating_add(time);
        self.quiet <= self.silence
    }

    /// Sends what comes after the silence, and the head before it.
    fn pass(&mut self, step: Step) {
        if !self.quiet.is_zero() {
            self.sent.steps.push(Step::Wait(self.quiet));
            self.quiet = Duration::ZERO;
        }
        self.sent.steps.extend(self.head.take().map(Step::Head));
        self.sent.steps.push(step);
    }

    /// The first repetition, whose pause is over, and those after it; `false` when the next pause is too long.
    fn repeat(&mut self, payload: Payload, every: Duration, times: u64) -> bool {
        self.pass(Step::Body(payload.clone()));
        if times > 1 && every > self.silence {
            return false;
        }
        if times > 1 {
            self.sent.steps.push(Step::Repeat { payload, every, times: times - 1 });
        }
        true
    }

    /// What the edge does when the server was silent for too long.
    fn cut(mut self) -> Attempt {
        let Some(_) = self.head.take() else { return self.sent.wait(self.silence).truncate() };
        let page =
            Attempt::respond(524, "text/html; charset=UTF-8", EDGE_TIMEOUT_PAGE).header("cf-ray", "sim-edge-0001");
        let mut answer = Attempt { steps: self.sent.steps, ..page.clone() }.wait(self.silence);
        answer.steps.extend(page.steps);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Move;

    const SECOND: Duration = Duration::from_secs(1);

    /// One word for each move.
    #[track_caller]
    fn check(attempt: &Attempt, expected: &str) {
        let words = attempt.moves().map(|next| match next {
            Move::Head(head) => format!("head-{}", head.status),
            Move::Body(bytes) | Move::Raw(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Move::Wait(time) => format!("{}s", time.as_secs()),
            Move::End(ending) => format!("{ending:?}"),
        });
        assert_eq!(words.collect::<Vec<_>>().join(" "), expected);
    }

    fn slow() -> Attempt {
        Attempt::stream().wait(5 * SECOND).bytes("a").wait(20 * SECOND).bytes("b")
    }

    #[test]
    fn a_buffering_proxy_sends_the_head_at_once_and_the_body_at_its_end() {
        let through = |attempt: Attempt| attempt.through_buffering_proxy(60 * SECOND);
        check(&through(slow()), "head-200 25s a b Close");
        check(&through(slow().reset()), "head-200 25s a b Reset");
        check(&through(slow().close().bytes("late").stall()), "head-200 25s a b Close");
        check(&through(slow().wait(35 * SECOND).bytes("c")), "head-200 60s Truncate");
        check(&through(slow().stall()), "head-200 60s Truncate");
        check(&through(Attempt::stream().repeat("x", SECOND, 3)), "head-200 3s 0s x 0s x 0s x Close");
        check(&through(Attempt::stream().repeat("x", SECOND, u64::MAX)), "head-200 60s Truncate");
        check(&through(Attempt::new().refuse()), "Refuse");
        check(&through(Attempt::json(200, "{}")), "head-200 {} Close");
    }

    #[test]
    fn an_edge_holds_the_head_and_cuts_a_silent_stream() {
        let through = |attempt: Attempt| attempt.through_edge(100 * SECOND);
        check(&through(slow()), "5s head-200 a 20s b Close");
        check(&through(slow().stall()), "5s head-200 a 20s b 100s Truncate");
        check(&through(slow().wait(101 * SECOND).bytes("c")), "5s head-200 a 20s b 100s Truncate");
        check(&through(slow().wait(100 * SECOND).bytes("c").reset()), "5s head-200 a 20s b 100s c Reset");
        check(&through(slow().wait(60 * SECOND).wait(60 * SECOND)), "5s head-200 a 20s b 100s Truncate");
        check(&through(Attempt::json(200, "{}")), "head-200 {} Close");
        check(&through(Attempt::new().reset()), "Reset");
        let page = format!("100s head-524 {EDGE_TIMEOUT_PAGE} Close");
        check(&through(Attempt::stream().stall()), &page);
        check(&through(Attempt::stream().wait(101 * SECOND).bytes("a")), &page);
    }

    #[test]
    fn an_edge_lets_repetitions_pass_that_come_often_enough() {
        let through = |every: Duration, times| Attempt::stream().repeat("x", every, times).through_edge(100 * SECOND);
        check(&through(50 * SECOND, 3), "50s head-200 x 50s x 50s x Close");
        let page = format!("100s head-524 {EDGE_TIMEOUT_PAGE} Close");
        check(&through(101 * SECOND, 3), &page);
        assert_eq!(through(SECOND, u64::MAX).moves().take(1000).count(), 1000);
        let slower = Attempt::stream().bytes("a").repeat("x", 60 * SECOND, 0).wait(SECOND).bytes("b");
        check(&slower.through_edge(100 * SECOND), "head-200 a 1s b Close");
    }
}
