//! What the flags ask of each watch: its parameters, and when it gives up or counts as done.

use std::time::Duration;

use cvm_watch_core::{Backoff, FailEarly, PolicyBuilder};

use crate::args::{OutputMode, WaitArgs};

/// Sets what the flags say; what they leave out stays as it is. `deadline` is what is left of the one
/// that they give.
pub(super) fn configure(args: &WaitArgs, deadline: Option<Duration>, mut policy: PolicyBuilder) -> PolicyBuilder {
    fn set<T>(
        policy: PolicyBuilder,
        value: Option<T>,
        set: impl Fn(PolicyBuilder, T) -> PolicyBuilder,
    ) -> PolicyBuilder {
        match value {
            Some(value) => set(policy, value),
            None => policy,
        }
    }
    policy = set(policy, args.interval, PolicyBuilder::interval);
    policy = set(policy, args.timeout, PolicyBuilder::timeout);
    policy = set(policy, args.max_retries, PolicyBuilder::max_retries);
    policy = set(policy, args.retry_delay, PolicyBuilder::retry_delay);
    policy = set(policy, args.backoff_max.map(Backoff::up_to), PolicyBuilder::backoff);
    policy = set(policy, args.connection.connect_timeout, PolicyBuilder::connect_timeout);
    policy = set(policy, args.idle_timeout, PolicyBuilder::idle_timeout);
    policy = set(policy, deadline, PolicyBuilder::deadline);
    policy = set(policy, fail_early(args), PolicyBuilder::fail_early);
    policy = set(policy, args.after_change, PolicyBuilder::after_change);
    policy = set(policy, args.stable_for, PolicyBuilder::stable_for);
    policy = set(policy, args.wait_for_create, PolicyBuilder::wait_for_create);
    policy = set(policy, args.stall_timeout, PolicyBuilder::stall_timeout);
    policy = args.target.iter().skip(1).fold(policy, PolicyBuilder::or_target);
    policy.mode(args.mode.into()).ready(args.ready).keep_raw(args.output() == OutputMode::Ndjson)
}

/// What ends a watch before its deadline. A boot that has failed will not get to `running`; of other
/// targets only the user knows what keeps a CVM from them.
fn fail_early(args: &WaitArgs) -> Option<FailEarly> {
    let is_target = |status: &str| args.target.iter().any(|target| target.eq_ignore_ascii_case(status));
    let is_boot = is_target("running");
    match (args.no_fail_early, args.fail_on.as_slice()) {
        (true, _) => None,
        (false, []) => is_boot.then(|| {
            let early = FailEarly::of_a_boot();
            FailEarly::on(early.statuses().filter(|status| !is_target(status))).boot_errors(true)
        }),
        (false, statuses) => Some(FailEarly::on(statuses).boot_errors(is_boot)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    const BOOT: [&str; 5] = ["error", "exited", "removing", "deleting", "deleted"];

    /// The statuses that fail early, and whether boot errors do.
    fn early(flags: &str) -> Option<(Vec<String>, bool)> {
        let words = ["cvm-watch", "wait", "my-cvm"].into_iter().chain(flags.split_whitespace());
        let Command::Wait(args) = Args::try_parse_from(words).unwrap().command else { panic!("{flags}") };
        fail_early(&args).map(|early| (early.statuses().map(str::to_owned).collect(), early.counts_boot_errors()))
    }

    #[test]
    fn a_failed_boot_ends_the_wait_for_running_and_other_targets_only_what_was_named() {
        let on =
            |statuses: &[&str], boot_errors| Some((statuses.iter().map(ToString::to_string).collect(), boot_errors));
        for (flags, expected) in [
            ("", on(&BOOT, true)),
            ("--target Running", on(&BOOT, true)),
            ("--fail-on stopped,ERROR", on(&["stopped", "ERROR"], true)),
            ("--fail-on stopped --fail-on error", on(&["stopped", "error"], true)),
            ("--no-fail-early", None),
            ("--target stopped", None),
            ("--target stopped,running", on(&BOOT, true)),
            ("--target running,Exited", on(&["error", "removing", "deleting", "deleted"], true)),
            ("--target stopped --fail-on error", on(&["error"], false)),
            ("--target stopped --no-fail-early", None),
        ] {
            assert_eq!(early(flags), expected, "{flags}");
        }
    }
}
