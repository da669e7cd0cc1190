//! Flags whose values are refused, all of them at once.

use cvm_watch_core::{ConfigError, Policy};
use cvm_watch_driver::BaseUrl;

use super::{policy, setup};
use crate::args::WaitArgs;
use crate::duration;

/// What is wrong with the flags, one message for each that is refused.
pub(crate) fn problems(args: &WaitArgs) -> Vec<String> {
    let mut args = args.clone();
    let mut problems = Vec::new();
    loop {
        let policy = policy::configure(&args, args.deadline, Policy::builder(args.first_target())).build();
        let url = setup::given(&args.connection.base_url).map_or(Ok(()), |url| url.parse::<BaseUrl>().map(drop));
        let Err(error) = policy.map(drop).and(url) else { return problems };
        let problem = named(&error);
        // As it was typed, or nearly so: 20m rather than 1200s.
        let problem = match args.duration(&flag(&error)) {
            Some(given) => problem.replacen(&format!("\"{given:?}\""), &format!("\"{}\"", duration::limit(given)), 1),
            None => problem,
        };
        problems.push(problem);
        // The next one is found without it.
        if !args.leave_out(&flag(&error)) {
            return problems;
        }
    }
}

/// The error's message with the flag in place of the field.
pub(super) fn named(error: &ConfigError) -> String {
    let message = error.to_string();
    let rest = message.strip_prefix(error.field()).unwrap_or(&message);
    let flag = flag(error);
    // Mostly what is meant is a limit of the wait.
    let meant = if flag == "timeout" { "; it limits one attempt, and --deadline limits the wait" } else { "" };
    format!("--{flag}{rest}{meant}")
}

fn flag(error: &ConfigError) -> String {
    error.field().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn found(flags: &str) -> Vec<String> {
        let words = ["cvm-watch", "wait", "my-cvm"].into_iter().chain(flags.split_whitespace());
        let Command::Wait(args) = Args::try_parse_from(words).unwrap().command else { panic!("{flags}") };
        problems(&args)
    }

    #[test]
    fn every_flag_that_is_refused_is_named() {
        assert_eq!(found("--deadline 10m --target stopped"), [""; 0]);
        assert_eq!(found("--base-url="), [""; 0], "blank counts as not given");
        let all = found("--interval 4 --timeout 601 --deadline 0 --fail-on running --base-url nonsense");
        let names: Vec<_> = all.iter().map(|problem| problem.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["--interval", "--timeout", "--deadline", "--fail-on", "--base-url"], "{all:?}");
        assert_eq!(found("--target stopped --ready").len(), 1);
        assert_eq!(found("--target running,stopped --ready"), [""; 0]);
        let all = found("--target running, --stable-for 0 --stall-timeout 0 --wait-for-create=0");
        assert_eq!(all, ["--target must not be blank; give a status such as running or stopped"]);
        let all = found("--stable-for 0 --stall-timeout 0 --wait-for-create=0");
        let names: Vec<_> = all.iter().map(|problem| problem.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["--wait-for-create", "--stable-for", "--stall-timeout"], "{all:?}");
    }
}
