//! The command line's arguments, and the help that teaches them.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{RangedU64ValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};
use cvm_watch_core::Fleet;

use crate::completions::{self, CompletionsArgs};
use crate::{duration, man, replay};

const EXAMPLES: &str = "\
Examples:
  cvm-watch demo                             see it work, without an account
  cvm-watch wait my-cvm                      wait until my-cvm is running
  cvm-watch wait my-cvm --deadline 10m && ./deploy
  cvm-watch wait --help                      every flag, exit code and variable

The key is read from PHALA_CLOUD_API_KEY, or from where the phala command line keeps it.";

const WAIT_EXAMPLES: &str = "\
Durations: 500ms, 5s, 1.5m, 1h; a bare number is seconds.

Examples:
  Wait until it runs, ten minutes at most:
    cvm-watch wait my-cvm --deadline 10m
  Wait until it has stopped, and be silent about it:
    cvm-watch wait my-cvm --target stopped --output quiet
  Print every boot step:
    cvm-watch wait my-cvm --output ndjson | jq -r 'select(.type == \"state\").data.boot_progress'
  Try once, without a retry:
    cvm-watch wait my-cvm --max-retries 0
  Retry after 1s, 2s, 4s, ... up to 1m, by and large:
    cvm-watch wait my-cvm --retry-delay 1s --backoff-max 1m
  Wait for the containers too, which running does not promise:
    cvm-watch wait my-cvm --ready --deadline 10m
  Wait for several, of which any will do; or for a list of them:
    cvm-watch wait blue green --any
    cvm-watch wait --ids-from cvms.txt --deadline 15m
    sort new.txt old.txt | cvm-watch wait -
  Restart it, and wait until it is back:
    phala cvms restart my-cvm && cvm-watch wait my-cvm --after-change
  Give up when it is stopped, and wait on whatever else it says:
    cvm-watch wait my-cvm --fail-on stopped
  With the key and the base URL of one profile of the phala command line:
    cvm-watch wait my-cvm --profile staging
  In a workflow of GitHub Actions:
    cvm-watch wait my-cvm --deadline 10m --output github
  Record what happens, and see later what it led to:
    cvm-watch wait my-cvm --record boot.ndjson; cvm-watch replay boot.ndjson
  An id that begins with a dash:
    cvm-watch wait -- -my-cvm

Exit codes:
    0  the target was reached
    1  another failure, such as a certificate that is not trusted
    2  bad usage or input; no request was made
    3  the retries or the deadline are used up
    4  the CVM says that it will not get there: a failed boot, or a status of --fail-on
    5  the server rejected the watch
  130  SIGINT (Ctrl-C)
  143  SIGTERM

Of several CVMs it is 0 when all got there, with --any when one did, and else the worst: 130 and 143,
2, 5, 4, 3, 1.

Key and base URL: a flag first, then the environment, then the current profile of the phala command
line, then the default. --profile is a flag: that profile comes before the environment.

Environment:
  PHALA_CLOUD_API_KEY     the API key; one is needed unless the base URL is this machine
  PHALA_CLOUD_API_PREFIX  the base URL
  PHALA_CLOUD_DIR         where the phala command line keeps credentials.json [default: ~/.phala-cloud]
  HTTPS_PROXY, NO_PROXY   the proxy, and what is reached without it
  SSL_CERT_FILE           trusted certificates in place of the machine's
  GITHUB_OUTPUT, GITHUB_STEP_SUMMARY
                          files to which --output github adds
  NO_COLOR                no colours
  RUST_LOG                what to log on stderr, such as cvm_watch=debug; never the key";

const DEMO_EXAMPLES: &str = "\
Examples:
  cvm-watch demo
  NO_COLOR=1 cvm-watch demo

It needs no account and no network, and ends after about ten seconds with exit code 0; 130 after
Ctrl-C, 1 when no local port can be had.";

const SIM_EXAMPLES: &str = "\
The first line on stdout is the base URL; the scenarios follow. The id of the CVM chooses one by its
prefix, and any other id boots to running in 12 s. Any key will do.

Examples:
  In one terminal:
    cvm-watch sim --port 8080
  In another:
    export PHALA_CLOUD_API_PREFIX=http://127.0.0.1:8080/api/v1
    cvm-watch wait my-cvm
    cvm-watch wait flaky-1
    curl \"$PHALA_CLOUD_API_PREFIX/cvms/slow-1/state?target=running\"

Exit codes: 0 after Ctrl-C or SIGTERM, 1 when the port can't be had, 2 for bad usage.";

const DECODE_EXAMPLES: &str = "\
One line of JSON for each event: {\"event\":\"state\",\"data\":\"...\",\"id\":\"\"}
A retry line:                      {\"retry\":5000}
An event over the limit:           {\"malformed\":\"...\"}

Examples:
  curl -sN https://example.com/events | cvm-watch decode
  cvm-watch decode recorded.txt | jq -r .data
  curl -sN -H \"X-API-Key: $PHALA_CLOUD_API_KEY\" \\
    'https://cloud-api.phala.com/api/v1/cvms/my-cvm/state?target=running' | cvm-watch decode --cvm

Exit codes: 0 at the end of the input, whatever its bytes; 1 when reading or writing fails, 2 for
bad usage or a file that can't be opened.";

const BASE_URL_HELP: &str =
    "Base URL [default: $PHALA_CLOUD_API_PREFIX, the profile's, or https://cloud-api.phala.com/api/v1]";

/// Wait for a confidential VM (CVM) on Phala Cloud
#[derive(Debug, Parser)]
#[command(name = "cvm-watch", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Wait until a CVM has reached a status, or several have
    #[command(after_help = WAIT_EXAMPLES)]
    Wait(Box<WaitArgs>),
    /// Watch a simulated CVM boot: no account, no network
    #[command(after_help = DEMO_EXAMPLES)]
    Demo,
    /// Serve a simulator of the endpoint, with every fault, until Ctrl-C
    #[command(after_help = SIM_EXAMPLES)]
    Sim(SimArgs),
    /// Turn any event stream into NDJSON
    #[command(after_help = DECODE_EXAMPLES)]
    Decode(DecodeArgs),
    /// Print a completion script for a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = man::EXAMPLES)]
    Man,
    /// Play a recording of `wait --record`, and compare what the watch does
    #[command(after_help = replay::EXAMPLES)]
    Replay(ReplayArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// CVM ids, UUIDs, app ids, instance ids or names; - reads a list of them from stdin
    #[arg(value_name = "ID", required_unless_present = "ids_from")]
    pub(crate) ids: Vec<String>,

    /// File with more ids, one a line, and # comments; - is stdin
    #[arg(long, value_name = "FILE")]
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

    #[arg(long, value_name = "URL", help = BASE_URL_HELP)]
    pub(crate) base_url: Option<String>,

    /// Profile of the phala command line whose key and base URL to use, whatever the environment says
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// Let the key travel unencrypted to a host that is not this machine
    #[arg(long)]
    pub(crate) allow_http: bool,

    /// Write down all that the watch is told, secrets replaced, for `replay`; an existing file is
    /// overwritten
    #[arg(long, value_name = "FILE")]
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
