//! The command line's arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use cvm_watch_core::Fleet;

use crate::{duration, help};

/// Wait for a confidential VM (CVM) on Phala Cloud
#[derive(Debug, Parser)]
#[command(name = "cvm-watch", version, after_help = help::PROGRAM, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Wait until a CVM has reached a status, or several have
    #[command(after_help = help::WAIT)]
    Wait(Box<WaitArgs>),
    /// Watch a simulated CVM boot: no account, no network
    #[command(after_help = help::DEMO)]
    Demo,
    /// Serve a simulator of the endpoint, with every fault, until Ctrl-C
    #[command(after_help = help::SIM)]
    Sim(SimArgs),
    /// Turn any event stream into NDJSON
    #[command(after_help = help::DECODE)]
    Decode(DecodeArgs),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = help::MAN)]
    Man,
    /// Play a recording of `wait --record`, and compare what the watch does
    #[command(after_help = help::REPLAY)]
    Replay(ReplayArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// CVM ids, UUIDs, app ids, instance ids or names; - reads a list of them from stdin
    #[arg(value_name = "ID", required_unless_present = "ids_from")]
    pub(crate) ids: Vec<String>,

    /// File with more ids, one a line, and # comments; - is stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ids_from: Vec<String>,

    /// Be done when one of several CVMs got there, rather than all
    #[arg(long)]
    pub(crate) any: bool,

    /// Event streams open at a time, at least 1; the endpoint allows a user 5
    #[arg(long, value_name = "N", default_value_t = Fleet::DEFAULT_MAX_STREAMS, value_parser = at_least_one())]
    pub(crate) max_streams: usize,

    /// Status to wait for, in any case: running, stopped, exited, …
    #[arg(long, value_name = "STATUS", default_value = "running")]
    pub(crate) target: String,

    /// How often the server looks at the CVM: whole seconds, 5s to 30s [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) interval: Option<Duration>,

    /// When the server ends one stream, upon which a new one is opened: whole seconds, 10s to 600s
    /// [default: 300s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Retries after the first attempt; 0 is none [default: no limit]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_retries: Option<u64>,

    /// Exact delay before each retry [default: 5s or what the server asks for, with some jitter]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, allow_negative_numbers = true)]
    pub(crate) retry_delay: Option<Duration>,

    /// Double the delay with each loss in a row, up to this [default: no doubling]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) backoff_max: Option<Duration>,

    /// Longest time to the response head: name lookup, proxy and TLS included [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Longest silence of a stream [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Longest time for everything, retries included [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) deadline: Option<Duration>,

    /// Statuses that end the wait, instead of error, exited and removing, which do for target
    /// running; seen twice in a row
    #[arg(long, value_name = "STATUS,...", value_delimiter = ',', conflicts_with = "no_fail_early")]
    pub(crate) fail_on: Vec<String>,

    /// Wait on whatever the CVM says, boot errors included
    #[arg(long)]
    pub(crate) no_fail_early: bool,

    /// With target running: the boot must be done too, and without an error
    #[arg(long)]
    pub(crate) ready: bool,

    /// The target counts only after another status, as after a restart that was just asked for; or
    /// when it was steady for so long [default with the bare flag: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, num_args = 0..=1, require_equals = true,
          default_missing_value = "60s")]
    pub(crate) after_change: Option<Duration>,

    #[arg(long, value_name = "URL", help = help::BASE_URL)]
    pub(crate) base_url: Option<String>,

    /// Profile of the phala command line whose key and base URL to use, whatever the environment says
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// Let the key travel unencrypted to a host that is not this machine
    #[arg(long)]
    pub(crate) allow_http: bool,

    /// Write down all that the watch is told, secrets replaced, for `replay`; an existing file is
    /// overwritten
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) record: Option<PathBuf>,

    /// What to print
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = OutputMode::Text)]
    pub(crate) output: OutputMode,

    /// Say on stderr where the key and the base URL come from; never the key
    #[arg(long)]
    pub(crate) verbose: bool,
}

fn at_least_one() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::from(1..)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputMode {
    /// Progress on stderr, the result on stdout
    Text,
    /// One JSON object a line on stdout
    Ndjson,
    /// For GitHub Actions: a group of progress on stdout, then a notice or an error
    Github,
    /// Nothing: the exit code tells
    Quiet,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// Port on 127.0.0.1; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,

    /// How many times as fast as real time
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) speed: f64,

    /// Event streams one key may have open; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) max_streams: usize,

    /// Refuse requests without a bearer token minted by GET /token, and no longer ago than this
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) require_token: Option<Duration>,

    /// Refuse requests whose X-Phala-Workspace is not this
    #[arg(long, value_name = "SLUG")]
    pub(crate) require_workspace: Option<String>,

    /// Refuse requests whose X-Phala-Version is not this
    #[arg(long, value_name = "VERSION")]
    pub(crate) require_version: Option<String>,

    /// Origin whose web pages may read the answers (CORS); * is any
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) cors: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// Recording to play; - is stdin
    pub(crate) file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DecodeArgs {
    /// File to read; - is stdin
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,

    /// Read the events as those of a CVM, and add their types and fields
    #[arg(long)]
    pub(crate) cvm: bool,

    /// Most bytes of one event: 1 to 1073741824 (1 GiB)
    #[arg(long, value_name = "N", default_value_t = 4 << 20, value_parser = clap::value_parser!(u32).range(1..=1 << 30))]
    pub(crate) max_event_bytes: u32,
}

/// What `completions` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Completions {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
    /// The names of the profiles, for the scripts.
    #[value(hide = true)]
    Profiles,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_enum)]
    pub(crate) shell: Completions,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_absent_flag_is_not_given() {
        let args = Args::try_parse_from(["cvm-watch", "wait", "my-cvm"]).unwrap();
        let Command::Wait(args) = args.command else { panic!("{args:?}") };
        assert_eq!(
            (args.ids.as_slice(), args.target.as_str(), args.output),
            (&["my-cvm".to_owned()][..], "running", OutputMode::Text)
        );
        let durations =
            [args.interval, args.timeout, args.retry_delay, args.backoff_max, args.connect_timeout, args.deadline];
        assert_eq!(durations, [None; 6]);
        assert_eq!((args.idle_timeout, args.max_retries, args.base_url), (None, None, None));
    }

    #[test]
    fn two_dashes_end_the_flags() {
        let args = Args::try_parse_from(["cvm-watch", "wait", "--target", "stopped", "--", "--target"]).unwrap();
        let Command::Wait(args) = args.command else { panic!("{args:?}") };
        assert_eq!((args.ids.as_slice(), args.target.as_str()), (&["--target".to_owned()][..], "stopped"));
    }

    #[test]
    fn no_flag_takes_the_key_and_every_command_shows_examples() {
        let mut command = Args::command();
        for subcommand in command.get_subcommands_mut() {
            let help = subcommand.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{help}");
            assert!(help.contains("Exit codes:") || help.contains("exit code 0"), "{help}");
            let keys = subcommand.get_arguments().filter(|arg| arg.get_id().as_str().contains("key"));
            assert_eq!(keys.count(), 0);
        }
    }
}
