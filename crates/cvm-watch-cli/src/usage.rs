//! Arguments that could not be read: one line, and the end that the asked-for output promises.

use std::error::Error;
use std::ffi::OsString;

use clap::ValueEnum;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use cvm_watch_core::printable;

use clap::Parser;

use crate::args::{Args, Command, OutputMode};
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
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut problems = problems(error, &args);
    if let Some(last) = problems.last_mut().filter(|last| !last.ends_with('?')) {
        last.push_str("; try --help");
    }
    match asked_output(args.into_iter()).and_then(|asked| OutputMode::from_str(&asked, false).ok()) {
        None => {
            problems.iter().for_each(|problem| output::failure(problem));
            Exit::Usage
        }
        Some(mode) => wait::report_unusable_arguments(mode, problems),
    }
}

/// What is wrong with the arguments: what clap found, and what is found without that.
fn problems(error: &clap::Error, args: &[String]) -> Vec<String> {
    let mut problems = vec![message(error)];
    let mut args = args.to_vec();
    let mut refused = refused(error);
    while let Some((flag, has_value)) = refused.take() {
        let assigned = format!("{flag}=");
        let Some(at) = args.iter().position(|arg| *arg == flag || arg.starts_with(&assigned)) else { break };
        let is_alone = args.remove(at) == flag;
        if is_alone && has_value && at < args.len() {
            args.remove(at);
        }
        match Args::try_parse_from(["cvm-watch".to_owned()].iter().chain(&args)) {
            Ok(Args { command: Command::Wait(args) }) => problems.extend(wait::flag_problems(&args)),
            Ok(_) => {}
            Err(error) => {
                refused = self::refused(&error);
                // Another error may be due to what was left out.
                problems.extend(refused.is_some().then(|| message(&error)));
            }
        }
    }
    problems
}

/// The flag that is refused, and whether it has a value.
fn refused(error: &clap::Error) -> Option<(String, bool)> {
    let has_value = match error.kind() {
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => true,
        ErrorKind::UnknownArgument => false,
        _ => return None,
    };
    let flag = text(error, ContextKind::InvalidArg)?.split(['[', ' ', '=']).next()?;
    flag.starts_with('-').then(|| (flag.to_owned(), has_value))
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// Flags that people expect, and what does it here. clap would propose one that is spelled alike.
const EXPECTED: [(&[&str], &str); 9] = [
    (&["--for", "--status", "--state", "--until", "--wait-for", "--condition"], "the status is given with --target"),
    (
        &["--api-key", "--apikey", "--key", "--token", "-k"],
        "no flag takes the key, since process lists show flags; set PHALA_CLOUD_API_KEY",
    ),
    (&["--url", "--endpoint", "--host", "--api-url", "--api-prefix", "--server"], "use --base-url"),
    (&["--json", "--format"], "use --output json"),
    (&["--ndjson", "--stream"], "use --output ndjson"),
    (&["--silent"], "use --quiet"),
    (&["--retries", "--retry", "--max-attempts", "--attempts"], "use --max-retries"),
    (&["--wait", "--max-wait", "--max-time", "--limit", "-t"], "use --deadline"),
    (&["--id", "--cvm", "--cvm-id", "--name"], "ids are given without a flag: cvm-watch wait my-cvm"),
];

/// What is wrong, and what to do.
fn message(error: &clap::Error) -> String {
    // "--interval <TIME>"
    let flag = text(error, ContextKind::InvalidArg).and_then(|argument| argument.split(['[', ' ']).next());
    let value = text(error, ContextKind::InvalidValue).map(|value| printable(value, 60));
    match (error.kind(), flag, value, error.source()) {
        (ErrorKind::ValueValidation, Some(flag), Some(value), Some(problem)) => {
            format!("{flag} \"{value}\" {problem}")
        }
        (ErrorKind::InvalidValue, Some(flag), Some(value), _) if !value.is_empty() => {
            let possible = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) => values.join(", "),
                _ => String::new(),
            };
            format!("{flag} \"{value}\" is not one of {possible}")
        }
        // A value that is missing.
        (ErrorKind::InvalidValue, Some(flag), ..) => format!("{flag} needs a value"),
        (ErrorKind::UnknownArgument, ..) => {
            let flag = text(error, ContextKind::InvalidArg).unwrap_or_default();
            let expected = EXPECTED.iter().find(|(flags, _)| flags.contains(&flag)).map(|(_, instead)| *instead);
            let alike = text(error, ContextKind::SuggestedArg).map(|alike| format!("did you mean {alike}?"));
            let instead = expected.map(str::to_owned).or(alike).map(|instead| format!("; {instead}"));
            if !flag.starts_with('-') {
                return format!("\"{}\" is one argument too many", printable(flag, 60));
            }
            format!("there is no flag {}{}", printable(flag, 60), instead.unwrap_or_default())
        }
        (ErrorKind::InvalidSubcommand, ..) => {
            let word = text(error, ContextKind::InvalidSubcommand).map(|word| printable(word, 60)).unwrap_or_default();
            let alike = match error.get(ContextKind::SuggestedSubcommand) {
                Some(ContextValue::String(alike)) => Some(alike),
                Some(ContextValue::Strings(alike)) => alike.first(),
                _ => None,
            };
            match alike {
                Some(alike) => format!("there is no command \"{word}\"; did you mean {alike}?"),
                None => {
                    format!("there is no command \"{word}\"; to wait for a CVM of this name: cvm-watch wait {word}")
                }
            }
        }
        _ => one_line(&error.render().to_string()),
    }
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
fn asked_output(args: impl Iterator<Item = String>) -> Option<String> {
    let mut args = args.take_while(|arg| arg != "--");
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

    fn told(args: &str) -> String {
        let words: Vec<_> = args.split(' ').skip(1).map(str::to_owned).collect();
        problems(&Args::try_parse_from(args.split(' ')).unwrap_err(), &words).join(" | ")
    }

    #[test]
    fn a_usage_error_is_one_line_that_names_it() {
        for (args, expected) in [
            ("cvm-watch completions", "the following required arguments were not provided: <SHELL>"),
            (
                "cvm-watch wait a --interval 4x",
                "--interval \"4x\" is not a duration; write 500ms, 90s, 10m, 1h30m or 1d",
            ),
            ("cvm-watch wait a --max-retries -1", "--max-retries \"-1\" is not a whole number"),
            ("cvm-watch wait a --outptu text", "there is no flag --outptu; did you mean --output?"),
            ("cvm-watch wait a --output xml", "--output \"xml\" is not one of text, json, ndjson, github, quiet"),
            ("cvm-watch wait a --for running", "there is no flag --for; the status is given with --target"),
            (
                "cvm-watch wait a --api-key=x",
                "there is no flag --api-key; no flag takes the key, since process lists show flags; set PHALA_CLOUD_API_KEY",
            ),
            (
                "cvm-watch my-cvm",
                "there is no command \"my-cvm\"; to wait for a CVM of this name: cvm-watch wait my-cvm",
            ),
            (
                "cvm-watch wait a --interval 4x --nope --max-retries=b --timeout 9",
                "there is no flag --nope | --interval \"4x\" is not a duration; write 500ms, 90s, 10m, 1h30m or 1d | --max-retries \"b\" is not a whole number | --timeout \"9s\" must be whole seconds from 10s to \
                 600s; it limits one attempt, and --deadline limits the wait",
            ),
            ("cvm-watch decode a b", "\"b\" is one argument too many"),
            ("cvm-watch decode --max-event-bytes 0", "--max-event-bytes \"0\" must be from 1 to 1073741824 (1 GiB)"),
        ] {
            assert_eq!(told(args), expected);
        }
    }

    #[test]
    fn the_asked_output_is_found_in_arguments_that_are_wrong() {
        let asked = |args: &str| asked_output(args.split(' ').map(str::to_owned));
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
