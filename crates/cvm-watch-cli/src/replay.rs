//! `cvm-watch replay`: a recording of `wait --record` once more, without a server and without time.

use std::error::Error;
use std::io::{BufReader, Read, Write};

use cvm_watch_core::printable;
use cvm_watch_recording::{Difference, Played, Player, ReadError};

use crate::args::ReplayArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Lines, Standard};

/// The most characters that are shown of an action.
const WIDTH: usize = 400;
/// How many of them stand before the first one that differs.
const CONTEXT: usize = 80;

pub(crate) fn run(args: &ReplayArgs) -> Exit {
    let played = match input::open(&args.file) {
        Ok(input) => replay(input, Standard::Output),
        Err(exit) => return exit,
    };
    let played = match played {
        Ok(played) => played,
        Err(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            output::failure(&format!("cannot replay {}: {error}{source}", input::shown(&args.file)));
            return Exit::Usage;
        }
    };
    if let Some(line) = played.echo {
        output::to_stderr(format!("note: the server echoed a secret, so the recording is compared up to line {line}"));
    }
    if let Some(line) = played.unfinished {
        output::to_stderr(format!("note: line {line}, the last one, is cut off and was left out"));
    }
    match &played.difference {
        Some(difference) => {
            differs(difference);
            Exit::Failure
        }
        None => Exit::Success,
    }
}

fn replay(input: impl Read, output: impl Write) -> Result<Played, ReadError> {
    let mut lines = Lines::new(output);
    // A closed stdout ends the printing, not the comparison.
    let print = |action: &str| lines.print(action).unwrap_or_else(|error| output::warn_of(&error));
    Player::new(BufReader::new(input))?.play(print)
}

/// Prints both actions where they begin to differ. The recorded one may be a stranger's text.
fn differs(difference: &Difference) {
    let (then, now) = (difference.then.as_deref(), difference.now.as_deref());
    let (then, now) = (then.unwrap_or("nothing"), now.unwrap_or("nothing"));
    let same = then.chars().zip(now.chars()).take_while(|(then, now)| then == now).count();
    output::to_stderr(format!("recorded: {}", excerpt(then, same)));
    output::to_stderr(format!("now:      {}", excerpt(now, same)));
    output::failure(&format!("the watch does not do what it did, first at line {}", difference.line));
}

/// The part of a long text that is worth reading, from a little before this character on.
fn excerpt(text: &str, from: usize) -> String {
    match from.saturating_sub(CONTEXT) {
        0 => printable(text, WIDTH),
        skipped => format!("…{}", printable(&text.chars().skip(skipped).collect::<String>(), WIDTH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_harmless_and_has_the_difference_in_it() {
        assert_eq!(excerpt("{\"action\":\"\x1b[2J ##[x]\"}", 11), r#"{"action":"\x1b[2J #\x23[x]"}"#);
        let long = format!("{}difference{}", "a".repeat(5000), "b".repeat(5000));
        let shown = excerpt(&long, 5000);
        assert!(shown.starts_with("…aaa") && shown.contains("difference") && shown.ends_with('…'), "{shown}");
        assert_eq!(shown.chars().count(), WIDTH + 1);
    }
}
