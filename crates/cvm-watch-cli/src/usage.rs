//! Arguments that could not be read: one line, and the end that the asked-for output promises.

use std::error::Error;
use std::ffi::OsString;

use clap::ValueEnum;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use cvm_watch_core::printable;

use crate::args::OutputMode;
use crate::exit::Exit;
use crate::output;
use crate::wait;

/// Prints help and versions as asked for, and anything else as a failure.
pub(crate) fn report(error: &clap::Error, args: impl Iterator<Item = OsString>) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed stdout is no reason to fail.
            let _ = error.print();
            return Exit::Success;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return Exit::Usage;
        }
        _ => {}
    }
    let message = message(error);
    match asked_output(args).and_then(|asked| OutputMode::from_str(&asked, false).ok()) {
        None | Some(OutputMode::Text) => {
            output::failure(&message);
            Exit::Usage
        }
        Some(mode) => wait::report_unusable_arguments(mode, &message),
    }
}

/// What is wrong, and what to do.
fn message(error: &clap::Error) -> String {
    let is_id = |argument: &String| argument.starts_with("<ID>");
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // "--interval <TIME>"
    let flag = text(ContextKind::InvalidArg).and_then(|argument| argument.split(' ').next());
    let problem = match (error.kind(), flag, text(ContextKind::InvalidValue), error.source()) {
        (ErrorKind::ValueValidation, Some(flag), Some(value), Some(problem)) => {
            format!("{flag} \"{}\" {problem}", printable(value, 60))
        }
        (ErrorKind::InvalidValue, Some(flag), Some(value), _) if !value.is_empty() => {
            let possible = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) => values.join(", "),
                _ => String::new(),
            };
            format!("{flag} \"{}\" is not one of {possible}", printable(value, 60))
        }
        _ => one_line(&error.render().to_string()),
    };
    let tip = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        // clap says what is required, but not what would do instead.
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) if missing.iter().any(is_id) => {
            "; name a CVM, or give a list with --ids-from"
        }
        _ => "",
    };
    format!("{problem}{tip}; try --help")
}

/// The facts and tips of clap's message, without its headings and usage.
fn one_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let facts = message
        .split("\n\n")
        .take_while(|part| !part.starts_with("Usage:") && !part.starts_with("For more"))
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    facts.collect::<Vec<_>>().join("; ")
}

/// The output that is asked for in arguments that could not be read as a whole; the last one counts.
fn asked_output(args: impl Iterator<Item = OsString>) -> Option<String> {
    let mut args = args.map(|arg| arg.to_string_lossy().into_owned()).take_while(|arg| arg != "--");
    if args.next()? != "wait" {
        return None;
    }
    let mut asked = None;
    while let Some(arg) = args.next() {
        if arg == "--quiet" {
            asked = Some("quiet".to_owned());
        } else if arg == "--output" {
            asked = args.next();
        } else if let Some(value) = arg.strip_prefix("--output=") {
            asked = Some(value.to_owned());
        } else if let Some(flags) = arg.strip_prefix('-').filter(|flags| !flags.starts_with('-')) {
            // Short flags may stand together, as in -vo json.
            let (before, value) = flags.split_once('o').map_or((flags, None), |(before, value)| (before, Some(value)));
            if before.contains('q') {
                asked = Some("quiet".to_owned());
            }
            match value.map(|value| value.strip_prefix('=').unwrap_or(value)) {
                None => {}
                Some("") => asked = args.next(),
                Some(value) => asked = Some(value.to_owned()),
            }
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::Parser;

    fn told(args: &str) -> String {
        message(&Args::try_parse_from(args.split(' ')).unwrap_err())
    }

    #[test]
    fn a_mistake_is_told_in_one_line_that_names_it() {
        for (args, expected) in [
            (
                "cvm-watch wait",
                "the following required arguments were not provided: <ID>...; name a CVM, or give a list with \
                 --ids-from; try --help",
            ),
            ("cvm-watch completions", "the following required arguments were not provided: <SHELL>; try --help"),
            (
                "cvm-watch wait a --interval 4x",
                "--interval \"4x\" is not a duration; write 500ms, 90s, 10m, 1h30m or 1d; try --help",
            ),
            ("cvm-watch wait a --max-retries -1", "--max-retries \"-1\" is not a whole number; try --help"),
            (
                "cvm-watch wait a --outptu text",
                "unexpected argument '--outptu' found; tip: a similar argument exists: '--output'; try --help",
            ),
            (
                "cvm-watch wait a --output xml",
                "--output \"xml\" is not one of text, json, ndjson, github, quiet; try --help",
            ),
            ("cvm-watch decode a b", "unexpected argument 'b' found; try --help"),
            (
                "cvm-watch decode --max-event-bytes 0",
                "--max-event-bytes \"0\" must be from 1 to 1073741824 (1 GiB); try --help",
            ),
        ] {
            assert_eq!(told(args), expected);
        }
    }

    #[test]
    fn the_asked_output_is_found_in_arguments_that_are_wrong() {
        let asked = |args: &str| asked_output(args.split(' ').map(OsString::from));
        for (args, expected) in [
            ("wait --frobnicate --output ndjson", Some("ndjson")),
            ("wait --output=quiet x y", Some("quiet")),
            ("wait --output text --output=ndjson x y", Some("ndjson")),
            ("wait x y -- --output ndjson", None),
            ("wait --output", None),
            ("decode --output ndjson", None),
            ("wait x -o json", Some("json")),
            ("wait x -ojson --nope", Some("json")),
            ("wait x -vo=json", Some("json")),
            ("wait x -q --nope", Some("quiet")),
            ("wait x --quiet", Some("quiet")),
        ] {
            assert_eq!(asked(args).as_deref(), expected, "{args}");
        }
    }
}
