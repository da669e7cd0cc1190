//! What the server sends. Its bytes are made before any request comes, and the clients know how
//! many there are.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::corpus;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
    connection: close\r\ntransfer-encoding: chunked\r\n\r\n";
/// What follows the last chunk.
pub const END: &[u8] = b"0\r\n\r\n";
/// The chunks of [`Script::Blocks`].
const BLOCK: usize = 16 * 1024;

/// How the server answers one request. It is named in the CVM identifier that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// So many states and `complete`, in one write; an HTTP chunk for each event.
    Burst { states: u32 },
    /// The same, an HTTP chunk for each 16 KiB.
    Blocks { states: u32 },
    /// The same, each event written by itself, `pause` after the one before.
    Paced { states: u32, pause: Duration },
    /// So many states, paced; then silence until the client closes.
    Held { states: u32, pause: Duration },
    /// Paced states, each with the time it was written at as its uptime; then `complete`.
    Timed { states: u32, pause: Duration },
    /// A state, then silence; the server tells when the client has closed.
    Open { number: u32 },
    /// No answer; the server tells when the client has closed.
    Unanswered { number: u32 },
}

impl Script {
    /// The pieces that are written one after the other, the head before them left out.
    pub fn pieces(self) -> Vec<Vec<u8>> {
        match self {
            Self::Burst { states } => {
                let mut whole: Vec<Vec<u8>> = body(states).iter().map(|event| chunk(event)).collect();
                whole.push(END.to_vec());
                vec![whole.concat()]
            }
            Self::Blocks { states } => {
                let mut whole: Vec<Vec<u8>> = body(states).concat().chunks(BLOCK).map(chunk).collect();
                whole.push(END.to_vec());
                vec![whole.concat()]
            }
            Self::Paced { states, .. } => {
                let mut pieces: Vec<Vec<u8>> = body(states).iter().map(|event| chunk(event)).collect();
                if let Some(last) = pieces.last_mut() {
                    last.extend(END);
                }
                pieces
            }
            Self::Held { states, .. } => (0..states).map(|number| chunk(&state(number, "starting"))).collect(),
            Self::Open { .. } => vec![chunk(&state(0, "starting"))],
            Self::Timed { .. } | Self::Unanswered { .. } => Vec::new(),
        }
    }

    /// The response head.
    pub fn head(self) -> &'static [u8] {
        HEAD.as_bytes()
    }

    /// How many bytes of events there are.
    pub fn body_bytes(self) -> u64 {
        let events = match self {
            Self::Burst { states } | Self::Blocks { states } | Self::Paced { states, .. } => body(states),
            Self::Held { states, .. } => (0..states).map(|number| state(number, "starting")).collect(),
            Self::Open { .. } => vec![state(0, "starting")],
            Self::Timed { .. } | Self::Unanswered { .. } => Vec::new(),
        };
        events.iter().map(|event| event.len() as u64).sum()
    }

    /// How many bytes the whole response has.
    pub fn response_bytes(self) -> u64 {
        self.pieces().iter().map(|piece| piece.len() as u64).sum::<u64>() + HEAD.len() as u64
    }

    /// How many `state` events there are.
    pub fn states(self) -> u32 {
        match self {
            Self::Burst { states } | Self::Blocks { states } => states,
            Self::Paced { states, .. } | Self::Held { states, .. } | Self::Timed { states, .. } => states,
            Self::Open { .. } => 1,
            Self::Unanswered { .. } => 0,
        }
    }
}

/// As in the CVM identifier.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, first, pause) = match *self {
            Self::Burst { states } => ("burst", states, Duration::ZERO),
            Self::Blocks { states } => ("blocks", states, Duration::ZERO),
            Self::Paced { states, pause } => ("paced", states, pause),
            Self::Held { states, pause } => ("held", states, pause),
            Self::Timed { states, pause } => ("timed", states, pause),
            Self::Open { number } => ("open", number, Duration::ZERO),
            Self::Unanswered { number } => ("unanswered", number, Duration::ZERO),
        };
        write!(f, "{word}-{first}-{}", pause.as_micros())
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text} names no script");
        let mut parts = text.split('-');
        let word = parts.next().unwrap_or_default();
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or_else(unknown);
        let (first, pause) = (number()?, Duration::from_micros(u64::from(number()?)));
        Ok(match word {
            "burst" => Self::Burst { states: first },
            "blocks" => Self::Blocks { states: first },
            "paced" => Self::Paced { states: first, pause },
            "held" => Self::Held { states: first, pause },
            "timed" => Self::Timed { states: first, pause },
            "open" => Self::Open { number: first },
            "unanswered" => Self::Unanswered { number: first },
            _ => return Err(unknown()),
        })
    }
}

/// One `state` event that says when it was written, in nanoseconds of the monotonic clock.
pub fn timed(now: u64) -> Vec<u8> {
    chunk(format!("event: state\ndata: {{\"status\":\"starting\",\"uptime\":\"{now}\"}}\n\n").as_bytes())
}

/// The `complete` event, and the end of the response.
pub fn completed() -> Vec<u8> {
    [chunk(&complete()).as_slice(), END].concat()
}

fn body(states: u32) -> Vec<Vec<u8>> {
    let status = |number| if number + 1 == states { "running" } else { "starting" };
    (0..states).map(|number| state(number, status(number))).chain([complete()]).collect()
}

fn state(number: u32, status: &str) -> Vec<u8> {
    let json =
        corpus::state(number, "compose-web").replace(r#""status":"starting""#, &format!(r#""status":"{status}""#));
    format!("event: state\ndata: {json}\n\n").into_bytes()
}

fn complete() -> Vec<u8> {
    b"event: complete\ndata: {\"status\":\"running\",\"target\":\"running\",\"elapsed\":12.5}\n\n".to_vec()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_the_same_after_it_was_named_and_read() {
        let pause = Duration::from_micros(1500);
        for script in [
            Script::Burst { states: 20 },
            Script::Blocks { states: 20 },
            Script::Paced { states: 20, pause },
            Script::Held { states: 5, pause },
            Script::Timed { states: 9, pause },
            Script::Open { number: 3 },
            Script::Unanswered { number: 4 },
        ] {
            assert_eq!(script.to_string().parse(), Ok(script));
        }
        assert!("burst-x-0".parse::<Script>().is_err());
        assert!("other-1-0".parse::<Script>().is_err());
    }

    #[test]
    fn each_way_of_writing_sends_the_same_events() {
        let pause = Duration::ZERO;
        let (burst, blocks) = (Script::Burst { states: 200 }, Script::Blocks { states: 200 });
        let paced = Script::Paced { states: 200, pause };
        assert_eq!(burst.pieces().concat(), paced.pieces().concat());
        assert_eq!(burst.body_bytes(), blocks.body_bytes());
        assert!(blocks.response_bytes() < burst.response_bytes());
        assert!(burst.pieces().concat().ends_with(END));
    }
}
