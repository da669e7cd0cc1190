//! What the server says on one stream, look by look, in one of many manners: what is documented
//! nowhere is drawn for each stream anew.

use std::rc::Rc;

use cvm_watch_driver::core::MalformedReason;

use crate::random::Random;
use crate::server::{Asked, Ending, Server};
use crate::speech::{Said, Spoken, Told, Writer};
use crate::world::{MILLI, Nanos, SECOND};

/// How long a stream at most outlives its timeout.
const OVERTIME: Nanos = 60 * SECOND;

pub(crate) struct Teller {
    server: Rc<Server>,
    asked: Asked,
    random: Random,
    writer: Writer,
    manner: Manner,
    began: Nanos,
    next_look: Nanos,
    next_beat: Nanos,
    completes_at: Option<Nanos>,
    last: Option<Told>,
    ids: u64,
}

/// The manner of one stream.
struct Manner {
    only_changes: bool,
    beat: Option<Nanos>,
    ids: bool,
    retry: Option<u64>,
    /// It ends then, in some way, though nothing was reached.
    early_end: Option<(Nanos, Ending)>,
    /// It goes on after its timeout, with or without having said so.
    overtime: bool,
    says_timeout: bool,
    says_complete: bool,
    wrong_complete: bool,
    lag: Nanos,
    chatter: u64,
    floods: u64,
}

/// When to ask for more.
pub(crate) enum Then {
    Again(Nanos),
    End(Ending),
}

impl Teller {
    pub(crate) fn new(server: Rc<Server>, asked: Asked, random: &mut Random) -> Self {
        let now = server.world.now();
        let manner = Manner::new(&server, &asked, random);
        let next_beat = manner.beat.map_or(Nanos::MAX, |beat| now + beat);
        Self {
            writer: Writer::new(random),
            random: Random::new(random.next(), 1),
            manner,
            began: now,
            next_look: now,
            next_beat,
            completes_at: None,
            last: None,
            ids: random.below(1000),
            server,
            asked,
        }
    }

    /// What it says now.
    pub(crate) fn tell(&mut self) -> (Vec<u8>, Vec<Spoken>, Then) {
        let now = self.server.world.now();
        let then = self.speak(now);
        let (bytes, spoken) = self.writer.take();
        (bytes, spoken, then)
    }

    fn speak(&mut self, now: Nanos) -> Then {
        let times_out = self.began + self.asked.timeout;
        if now == self.began
            && let Some(millis) = self.manner.retry.take()
        {
            self.writer.retry(millis);
        }
        if let Some((at, ending)) = self.manner.early_end
            && at <= now
        {
            if self.random.chance(50) {
                self.writer.unfinished(&format!("{{\"status\":\"{}\"}}", self.asked.target));
            }
            return Then::End(ending);
        }
        let overdue = times_out + OVERTIME;
        if now >= overdue || (now >= times_out && !self.manner.overtime) {
            if self.manner.says_timeout {
                self.say_timeout();
            }
            return Then::End(Ending::Clean);
        }
        if now >= times_out && self.manner.says_timeout {
            self.manner.says_timeout = false;
            self.say_timeout();
        }
        if now >= self.next_beat {
            self.writer.comment(" still here");
            self.next_beat = now + self.manner.beat.unwrap_or(Nanos::MAX);
        }
        if let Some(at) = self.completes_at
            && at <= now
        {
            self.completes_at = None;
            if self.at_target(now) {
                return self.say_complete(now);
            }
        }
        if now >= self.next_look {
            self.next_look = now + self.asked.interval;
            self.look(now);
        }
        if self.completes_at == Some(now) {
            return self.say_complete(now);
        }
        let ends = if self.manner.overtime && now >= times_out { overdue } else { times_out };
        let early = self.manner.early_end.map_or(Nanos::MAX, |(at, _)| at);
        let completes = self.completes_at.unwrap_or(Nanos::MAX);
        Then::Again([self.next_look, self.next_beat, ends, early, completes].into_iter().min().unwrap_or(ends))
    }

    fn at_target(&self, now: Nanos) -> bool {
        self.server.life(&self.asked.id).at(now).status.eq_ignore_ascii_case(&self.asked.target)
    }

    fn look(&mut self, now: Nanos) {
        let told = self.server.life(&self.asked.id).at(now).clone();
        if self.random.chance(self.manner.chatter) {
            self.chatter();
        }
        if self.random.chance(self.manner.floods) {
            for _ in 0..self.random.between(20, 150) {
                self.say_state(&told, "");
            }
        }
        let reached = self.at_target(now);
        if self.last.as_ref() != Some(&told) || (!self.manner.only_changes && !reached) || self.random.chance(2) {
            let pad = if self.random.chance(self.manner.chatter / 8) { "p".repeat(6000) } else { String::new() };
            self.say_state(&told, &pad);
            self.last = Some(told);
        }
        if reached && self.manner.says_complete && self.completes_at.is_none() {
            self.completes_at = Some(now + self.manner.lag);
        } else if self.manner.wrong_complete && self.random.chance(20) {
            self.manner.wrong_complete = false;
            self.manner.early_end = Some((now + SECOND, Ending::Clean));
            self.say("complete", "{\"status\":\"exited\",\"elapsed\":1.5}", Said::Complete { status: "exited".into() });
        }
    }

    fn say_state(&mut self, told: &Told, pad: &str) {
        let optional = |name: &str, value: &Option<String>| match value {
            Some(value) => format!(",\n\"{name}\":\"{value}\""),
            None => String::new(),
        };
        let data = format!(
            "{{\"status\":\"{}\"{}{},\"pad\":\"{pad}\"}}",
            told.status,
            optional("boot_progress", &told.boot_progress),
            optional("boot_error", &told.boot_error),
        );
        self.say("state", &data, Said::State(told.clone()));
    }

    fn say_timeout(&mut self) {
        self.say("timeout", "{\"error\":\"timeout\",\"elapsed\":300}", Said::Timeout);
    }

    fn say_complete(&mut self, now: Nanos) -> Then {
        let status = self.server.life(&self.asked.id).at(now).status.clone();
        let data = format!("{{\"status\":\"{status}\",\"elapsed\":12.25}}");
        self.say("complete", &data, Said::Complete { status });
        Then::End(if self.random.chance(80) { Ending::Clean } else { Ending::Silence })
    }

    fn chatter(&mut self) {
        match self.random.below(9) {
            0 => self.writer.comment(""),
            1 => self.say("", "hello\nthere", Said::Other { name: "message".into(), data: "hello\nthere".into() }),
            2 => self.say("ping", "{}", Said::Other { name: "ping".into(), data: "{}".into() }),
            3 => {
                let data = "{\"error\":\"cvm_error\",\"message\":\"the node is away\"}";
                self.say("error", data, Said::Error { text: "the node is away".into() });
            }
            4 => {
                let reason = MalformedReason::NotJson;
                self.say("state", "{", Said::Malformed { name: "state".into(), data: "{".into(), reason });
            }
            5 => {
                let reason = MalformedReason::NoStatus;
                self.say("complete", "{}", Said::Malformed { name: "complete".into(), data: "{}".into(), reason });
            }
            6 => self.writer.retry(self.random.pick(&[0, 1500, 20_000, 86_400_000])),
            7 if self.manner.ids => {
                let id = self.next_id();
                self.writer.id_alone(id);
            }
            _ => self.say(
                "State",
                "{\"status\":\"running\"}",
                Said::Other { name: "State".into(), data: "{\"status\":\"running\"}".into() },
            ),
        }
    }

    fn say(&mut self, name: &str, data: &str, what: Said) {
        let id = (self.manner.ids && self.random.chance(60)).then(|| self.next_id());
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

impl Manner {
    fn new(server: &Server, asked: &Asked, random: &mut Random) -> Self {
        let (weather, fine, now) = (&server.weather, server.is_fine(), server.world.now());
        let mut trouble = |chance: u64| !fine && random.chance(chance);
        let (early_end, overtime, no_complete, wrong_complete) = (
            trouble(weather.early_ends),
            trouble(weather.overtime),
            trouble(weather.no_complete),
            trouble(weather.wrong_complete),
        );
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
            says_timeout: random.chance(80),
            says_complete: !no_complete,
            wrong_complete,
            lag: if fine { 0 } else { random.pick(&[0, 0, 500 * MILLI, 2 * SECOND, 5 * SECOND]) },
            chatter: if fine { 0 } else { weather.chatter },
            floods: if fine { 0 } else { weather.floods },
        }
    }
}
