//! `cvm-watch replay`: a recording of `wait --record` once more, without a server and without time.

use std::io::{BufReader, Read, Write};

use cvm_watch_recording::{Difference, Played, Player, ReadError};

use crate::args::ReplayArgs;
use crate::exit::Exit;
use crate::input;
use crate::output::{self, Lines};

pub(crate) fn run(args: &ReplayArgs) -> Exit {
    let played = match input::open(&args.file) {
        Ok(input) => replay(input, output::stdout()),
        Err(exit) => return exit,
    };
    let played = match played {
        Ok(played) => played,
        Err(error) => {
            output::failure(&format!("cannot replay {}: {error}", input::shown(&args.file)));
            return Exit::Usage;
        }
    };
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
    Player::new(BufReader::new(input))?.play(|action| _ = lines.print(action))
}

fn differs(difference: &Difference) {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "nothing".to_owned());
    output::to_stderr(format!("recorded: {}", text(&difference.then)));
    output::to_stderr(format!("now:      {}", text(&difference.now)));
    output::failure(&format!("the watch does not do what it did, first at line {}", difference.line));
}
