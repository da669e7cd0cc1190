//! What the server sends on one stream. Behaviour that is not documented is drawn at random for each stream.

use std::rc::Rc;

use cvm_watch_driver::cvm_watch_core::MalformedReason;

use crate::message::{Message, SentMessage, Status, Writer};
use crate::random::Random;
use crate::server::{Asked, Ending, Server};
use crate::simulation::{MILLI, Nanos, SECOND};

/// How long a stream may outlive its timeout.
const OVERTIME: Nanos = 60 * SECOND;

pub(crate) struct ServerStream {
    server: Rc<Server>,
    asked: Asked,
    random: Random,
    writer: Writer,
    style: Style,
    began: Nanos,
    next_check: Nanos,
    next_beat: Nanos,
    completes_at: Option<Nanos>,
    last: Option<Status>,
    ids: u64,
}

/// How one stream behaves.
struct Style {
    only_changes: bool,
    beat: Option<Nanos>,
    ids: bool,
    retry: Option<u64>,
    /// When and how it ends before the target was reached.
    early_end: Option<(Nanos, Ending)>,
    /// Whether it goes on after its timeout.
    overtime: bool,
    sends_timeout: bool,
    sends_complete: bool,
    wrong_complete: bool,
    lag: Nanos,
    chatter: u64,
    floods: u64,
}

/// What happens after the messages: more at a given time, or the end.
pub(crate) enum Then {
    Again(Nanos),
    End(Ending),
}

impl ServerStream {
    pub(crate) fn new(server: Rc<Server>, asked: Asked, random: &mut Random) -> Self {
        let now = server.simulation.now();
        let style = Style::new(&server, &asked, random);
        let next_beat = style.beat.map_or(Nanos::MAX, |beat| now + beat);
        Self {
            writer: Writer::new(random),
            random: Random::new(random.next(), 1),
            style,
            began: now,
            next_check: now,
            next_beat,
            completes_at: None,
            last: None,
            ids: random.below(1000),
            server,
            asked,
        }
    }

    /// The bytes to send now, their messages, and what happens then.
    pub(crate) fn next(&mut self) -> (Vec<u8>, Vec<SentMessage>, Then) {
        let now = self.server.simulation.now();
        let then = self.advance(now);
        let (bytes, sent_messages) = self.writer.take();
        (bytes, sent_messages, then)
    }

    fn advance(&mut self, now: Nanos) -> Then {
        let times_out = self.began + self.asked.timeout;
        if now == self.began
            && let Some(millis) = self.style.retry.take()
        {
            self.writer.retry(millis);
        }
        if let Some((at, ending)) = self.style.early_end
            && at <= now
        {
            if self.random.chance(50) {
                self.writer.unfinished(&format!("{{\"status\":\"{}\"}}", self.asked.target));
            }
            return Then::End(ending);
        }
        let overdue = times_out + OVERTIME;
        if now >= overdue || (now >= times_out && !self.style.overtime) {
            if self.style.sends_timeout {
                self.send_timeout();
            }
            return Then::End(Ending::Clean);
        }
        if now >= times_out && self.style.sends_timeout {
            self.style.sends_timeout = false;
            self.send_timeout();
        }
        if now >= self.next_beat {
            self.writer.comment(" still here");
            self.next_beat = now + self.style.beat.unwrap_or(Nanos::MAX);
        }
        if let Some(at) = self.completes_at
            && at <= now
        {
            self.completes_at = None;
            if self.at_target(now) {
                return self.send_complete(now);
            }
        }
        if now >= self.next_check {
            self.next_check = now + self.asked.interval;
            self.check(now);
        }
        if self.completes_at == Some(now) {
            return self.send_complete(now);
        }
        let ends = if self.style.overtime && now >= times_out { overdue } else { times_out };
        let early = self.style.early_end.map_or(Nanos::MAX, |(at, _)| at);
        let completes = self.completes_at.unwrap_or(Nanos::MAX);
        Then::Again([self.next_check, self.next_beat, ends, early, completes].into_iter().min().unwrap_or(ends))
    }

    fn at_target(&self, now: Nanos) -> bool {
        self.server.timeline(&self.asked.id).at(now).status.eq_ignore_ascii_case(&self.asked.target)
    }

    fn check(&mut self, now: Nanos) {
        let status = self.server.timeline(&self.asked.id).at(now).clone();
        if self.random.chance(self.style.chatter) {
            self.chatter();
        }
        if self.random.chance(self.style.floods) {
            for _ in 0..self.random.between(20, 150) {
                self.send_state(&status, "");
            }
        }
        let reached = self.at_target(now);
        if self.last.as_ref() != Some(&status) || (!self.style.only_changes && !reached) || self.random.chance(2) {
            let pad = if self.random.chance(self.style.chatter / 8) { "p".repeat(6000) } else { String::new() };
            self.send_state(&status, &pad);
            self.last = Some(status);
        }
        if reached && self.style.sends_complete && self.completes_at.is_none() {
            self.completes_at = Some(now + self.style.lag);
        } else if self.style.wrong_complete && self.random.chance(20) {
            self.style.wrong_complete = false;
            self.style.early_end = Some((now + SECOND, Ending::Clean));
            self.send(
                "complete",
                "{\"status\":\"exited\",\"elapsed\":1.5}",
                Message::Complete { status: "exited".into() },
            );
        }
    }

    fn send_state(&mut self, status: &Status, pad: &str) {
        let optional = |name: &str, value: &Option<String>| match value {
            Some(value) => format!(",\n\"{name}\":\"{value}\""),
            None => String::new(),
        };
        let data = format!(
            "{{\"status\":\"{}\"{}{},\"pad\":\"{pad}\"}}",
            status.status,
            optional("boot_progress", &status.boot_progress),
            optional("boot_error", &status.boot_error),
        );
        self.send("state", &data, Message::State(status.clone()));
    }

    fn send_timeout(&mut self) {
        self.send("timeout", "{\"error\":\"timeout\",\"elapsed\":300}", Message::Timeout);
    }

    fn send_complete(&mut self, now: Nanos) -> Then {
        let status = self.server.timeline(&self.asked.id).at(now).status.clone();
        let data = format!("{{\"status\":\"{status}\",\"elapsed\":12.25}}");
        self.send("complete", &data, Message::Complete { status });
        Then::End(if self.random.chance(80) { Ending::Clean } else { Ending::Silence })
    }

    fn chatter(&mut self) {
        match self.random.below(9) {
            0 => self.writer.comment(""),
            1 => self.send("", "hello\nthere", Message::Other { name: "message".into(), data: "hello\nthere".into() }),
            2 => self.send("ping", "{}", Message::Other { name: "ping".into(), data: "{}".into() }),
            3 => {
                let data = "{\"error\":\"cvm_error\",\"message\":\"the node is away\"}";
                self.send("error", data, Message::Error { text: "the node is away".into() });
            }
            4 => {
                let reason = MalformedReason::NotJson;
                self.send("state", "{", Message::Malformed { name: "state".into(), data: "{".into(), reason });
            }
            5 => {
                let reason = MalformedReason::NoStatus;
                self.send("complete", "{}", Message::Malformed { name: "complete".into(), data: "{}".into(), reason });
            }
            6 => self.writer.retry(self.random.pick(&[0, 1500, 20_000, 86_400_000])),
            7 if self.style.ids => {
                let id = self.next_id();
                self.writer.id_alone(id);
            }
            _ => self.send(
                "State",
                "{\"status\":\"running\"}",
                Message::Other { name: "State".into(), data: "{\"status\":\"running\"}".into() },
            ),
        }
    }

    fn send(&mut self, name: &str, data: &str, what: Message) {
        let id = (self.style.ids && self.random.chance(60)).then(|| self.next_id());
        self.writer.event(name, data, id, what);
    }

    fn next_id(&mut self) -> String {
        self.ids += 1;
        match self.random.below(12) {
            0 => String::new(),
            1 => format!("ünï-{}", self.ids),
            _ => self.ids.to_string(),
        }
    }
}

impl Style {
    fn new(server: &Server, asked: &Asked, random: &mut Random) -> Self {
        let (faults, is_healthy, now) = (&server.faults, server.is_healthy(), server.simulation.now());
        let mut fails = |chance: u64| !is_healthy && random.chance(chance);
        let (early_end, overtime, no_complete, wrong_complete) =
            (fails(faults.early_ends), fails(faults.overtime), fails(faults.no_complete), fails(faults.wrong_complete));
        Self {
            only_changes: random.chance(50),
            beat: random.chance(40).then(|| random.pick(&[SECOND, 15 * SECOND, 20 * SECOND, 60 * SECOND])),
            ids: random.chance(40),
            retry: random.chance(20).then(|| random.pick(&[0, 500, 3000, 12_345, 60_000])),
            early_end: early_end.then(|| {
                let ending = random.pick(&[Ending::Clean, Ending::Clean, Ending::Reset, Ending::Truncated]);
                (now + random.between(0, asked.timeout), ending)
            }),
            overtime,
            sends_timeout: random.chance(80),
            sends_complete: !no_complete,
            wrong_complete,
            lag: if is_healthy { 0 } else { random.pick(&[0, 0, 500 * MILLI, 2 * SECOND, 5 * SECOND]) },
            chatter: if is_healthy { 0 } else { faults.chatter },
            floods: if is_healthy { 0 } else { faults.floods },
        }
    }
}
