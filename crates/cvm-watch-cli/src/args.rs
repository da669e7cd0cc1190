//! The command line's arguments.

#![allow(clippy::doc_markdown, rustdoc::bare_urls, reason = "doc comments are the help, which is printed as it stands")]

use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{NonEmptyStringValueParser, OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum, ValueHint};
use cvm_watch_core::{Fleet, Mode};

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
    #[command(after_help = help::WAIT_SHORT, after_long_help = help::WAIT)]
    Wait(Box<WaitArgs>),
    /// Check once which status a CVM has, or several
    #[command(after_help = help::STATE)]
    State(Box<StateArgs>),
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
    /// Print the JSON Schema of the outputs ndjson and json
    #[command(after_help = help::SCHEMA)]
    Schema,
    /// Print the manual page
    #[command(after_help = help::MAN)]
    Man,
    /// Play a recording of `wait --record`, and compare what the watch does
    #[command(after_help = help::REPLAY)]
    Replay(ReplayArgs),
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// CVM id, UUID, app id, instance id or name; - reads a list from stdin
    ///
    /// Without any: the one that phala.toml in the working directory names.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,

    /// Read ids from a file, one per line; - is stdin
    ///
    /// Blank lines do not count, nor does what follows a # at the beginning of a line or after a space.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = help::TARGET)]
    pub(crate) ids_from: Vec<String>,

    /// Succeed when the first of several CVMs is at the target
    #[arg(long, help_heading = help::TARGET)]
    pub(crate) any: bool,

    /// Status to wait for; several as in running,stopped
    ///
    /// Of several any is enough, and the result says which one it was.
    ///
    /// Known are running, starting, restarting, stopping, stopped, shutting_down, exited, creating,
    /// removing, deleting, deleted, provisioning, updating, in_progress and error, in any case. Another
    /// one gives a warning.
    #[arg(long, value_name = "STATUS,...", default_value = "running", value_delimiter = ',',
          help_heading = help::TARGET)]
    pub(crate) target: Vec<String>,

    /// With target running: wait for the end of the boot too
    ///
    /// The boot must be done, and without an error: running alone does not promise that the containers run.
    #[arg(long, help_heading = help::TARGET)]
    pub(crate) ready: bool,

    /// Count the target only after another status was seen
    ///
    /// As after a restart that was just asked for. The target also counts when it was steady for this
    /// long, 60s without a value, since the change may have been over before the wait began.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, num_args = 0..=1, require_equals = true,
          default_missing_value = "60s", help_heading = help::TARGET)]
    pub(crate) after_change: Option<Duration>,

    /// Count the target only once it was seen for this long without another status
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::TARGET)]
    pub(crate) stable_for: Option<Duration>,

    /// Wait for a CVM that does not exist yet
    ///
    /// HTTP 404 is retried for this long from the start, 60s without a value, and does not count as a retry.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, num_args = 0..=1, require_equals = true,
          default_missing_value = "60s", help_heading = help::WAITING)]
    pub(crate) wait_for_create: Option<Duration>,

    /// Give up when status and boot progress have not changed for this long [default: no limit]
    ///
    /// Only while the server reports; a silent server does not count. The exit code is 3.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::WAITING)]
    pub(crate) stall_timeout: Option<Duration>,

    /// Limit of the whole wait [default: no limit]
    ///
    /// Attempts, retries, and reading ids and certificates are included.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::WAITING)]
    pub(crate) deadline: Option<Duration>,

    /// How often the server checks the CVM, 5s to 30s [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::WAITING)]
    pub(crate) interval: Option<Duration>,

    /// Statuses that end the wait early
    ///
    /// A status counts when it was seen twice in a row. With target running the default is error, exited,
    /// removing, deleting and deleted, with any other target none. A boot error ends a wait for running too.
    #[arg(long, value_name = "STATUS,...", value_delimiter = ',', conflicts_with = "no_fail_early",
          help_heading = help::WAITING)]
    pub(crate) fail_on: Vec<String>,

    /// Keep waiting even if the CVM reports a failure, such as a boot error
    #[arg(long, help_heading = help::WAITING)]
    pub(crate) no_fail_early: bool,

    /// Retries after the first attempt; 0 is none [default: no limit]
    #[arg(long, value_name = "N", value_parser = number::<u64>(), allow_negative_numbers = true,
          help_heading = help::LIMITS)]
    pub(crate) max_retries: Option<u64>,

    /// Delay before each retry [default: 5s or what the server asks for]
    ///
    /// Exactly this, or longer if the server asks for it with Retry-After. The default has up to 20 % of
    /// jitter.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::LIMITS)]
    pub(crate) retry_delay: Option<Duration>,

    /// Double the delay after each failed attempt, up to this
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::LIMITS)]
    pub(crate) backoff_max: Option<Duration>,

    /// Limit of one attempt, not of the wait; 10s to 600s [default: 5m]
    ///
    /// When the server ends the stream of one attempt; the next attempt follows. --deadline limits the
    /// whole wait.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::LIMITS)]
    pub(crate) timeout: Option<Duration>,

    /// Longest silence of a stream [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::LIMITS)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Event streams open at a time; a user may have 5
    #[arg(long, value_name = "N", default_value_t = Fleet::DEFAULT_MAX_STREAMS, value_parser = at_least_one(),
          allow_negative_numbers = true, help_heading = help::LIMITS)]
    pub(crate) max_streams: usize,

    /// How to learn of the status: auto, stream or poll
    ///
    /// stream: from event streams. poll: by one request each --interval. auto: from event streams, and by
    /// polling once three in a row have brought nothing, as behind a proxy that holds them back.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = WatchMode::Auto, hide_possible_values = true,
          help_heading = help::CONNECTION)]
    pub(crate) mode: WatchMode,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// What to print: text, json, ndjson, github or quiet
    ///
    /// text: progress on stderr, the result on stdout. json: progress on stderr, one object with the
    /// result on stdout. ndjson: one object per line on stdout, for each event and the result. github: for
    /// GitHub Actions, a group of progress, annotations, outputs and a summary. quiet: nothing but errors.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = OutputMode::Text,
          hide_possible_values = true, help_heading = help::OUTPUT)]
    pub(crate) output: OutputMode,

    /// How progress is shown: auto, plain or none
    ///
    /// With the outputs text and json. auto: a live line on a terminal, and a line per change elsewhere.
    /// plain: a line per change. none: no progress.
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressMode::Auto, hide_possible_values = true,
          help_heading = help::OUTPUT)]
    pub(crate) progress: ProgressMode,

    /// Write what the watch receives to a file, for cvm-watch replay
    ///
    /// Secrets are replaced. An existing file is overwritten.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = help::OUTPUT)]
    pub(crate) record: Option<PathBuf>,
}

/// How to reach the endpoint, and how much to report of that.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// Base URL [default: https://cloud-api.phala.com/api/v1]
    ///
    /// Without this flag: PHALA_CLOUD_API_PREFIX, then the profile's, then the default.
    #[arg(long, value_name = "URL", help_heading = help::CONNECTION)]
    pub(crate) base_url: Option<String>,

    /// Profile of the phala command line to take key and base URL from
    ///
    /// It comes before the environment. Without this flag: PHALA_CLOUD_PROFILE, the profile of phala.toml,
    /// then the current one.
    #[arg(long, value_name = "NAME", help_heading = help::CONNECTION)]
    pub(crate) profile: Option<String>,

    /// Read the credential from a file before each attempt
    ///
    /// A text that begins with phak_ is an API key, any other a bearer token. It comes before the
    /// environment and the profile.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "token_command",
          value_parser = OsStringValueParser::new().map(PathBuf::from), help_heading = help::CONNECTION)]
    pub(crate) token_file: Option<PathBuf>,

    /// Run a program before each attempt, whose output is the credential
    ///
    /// As in "vault-token --ttl 5m": a program and its arguments, without a shell, split at spaces. Given
    /// several times, each is one argument as it is. A text that begins with phak_ is an API key, any other
    /// a bearer token. The connect timeout limits it.
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true,
          help_heading = help::CONNECTION)]
    pub(crate) token_command: Vec<String>,

    /// Workspace of the CVM, by its slug
    ///
    /// Without this flag: PHALA_CLOUD_WORKSPACE, then the account's own.
    #[arg(long, value_name = "SLUG", help_heading = help::CONNECTION)]
    pub(crate) workspace: Option<String>,

    /// Version of the API to ask for; none for no version [default: 2026-06-23]
    ///
    /// Without this flag: the api_version of phala.toml, then the default.
    #[arg(long, value_name = "DATE", help_heading = help::CONNECTION)]
    pub(crate) api_version: Option<String>,

    /// Send the key unencrypted to a host that is not this machine
    #[arg(long, help_heading = help::CONNECTION)]
    pub(crate) allow_http: bool,

    /// Limit until the response head [default: 30s]
    ///
    /// Name lookup, connecting, proxy and TLS are included.
    #[arg(long, value_name = "TIME", value_parser = duration::parse, allow_negative_numbers = true,
          help_heading = help::CONNECTION)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Print nothing but errors
    #[arg(short, long, conflicts_with_all = ["output", "verbose"], help_heading = help::OUTPUT)]
    pub(crate) quiet: bool,

    /// Print more: where key and base URL come from, never the key
    #[arg(short, long, help_heading = help::OUTPUT)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StateArgs {
    /// CVM id, UUID, app id, instance id or name; - reads a list from stdin
    ///
    /// Without any: the one that phala.toml in the working directory names.
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,

    /// Read ids from a file, one per line; - is stdin
    ///
    /// Blank lines do not count, nor does what follows a # at the beginning of a line or after a space.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = help::TARGET)]
    pub(crate) ids_from: Vec<String>,

    /// Fail unless each CVM has this status, or one of several
    ///
    /// As in running,stopped, in any case. The exit code is 1 if a CVM has another status. Without this flag
    /// the exit code is 0 for any status.
    #[arg(long, value_name = "STATUS,...", value_delimiter = ',', help_heading = help::TARGET)]
    pub(crate) target: Vec<String>,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// What to print: text or json
    ///
    /// text: a line for each CVM. json: one object, and of several CVMs an array of objects.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = StateOutput::Text,
          hide_possible_values = true, help_heading = help::OUTPUT)]
    pub(crate) output: StateOutput,
}

/// What `state` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateOutput {
    /// A line for each CVM
    Text,
    /// One object, or an array of objects
    Json,
}

impl WaitArgs {
    /// The value of the flag of this name, if it is a duration.
    pub(crate) fn duration(&self, flag: &str) -> Option<Duration> {
        match flag {
            "interval" => self.interval,
            "timeout" => self.timeout,
            "deadline" => self.deadline,
            "connect-timeout" => self.connection.connect_timeout,
            "idle-timeout" => self.idle_timeout,
            "backoff-max" => self.backoff_max,
            _ => None,
        }
    }

    /// Leaves out the flag of this name, as far as it has a value that can be refused; returns whether that
    /// changed anything.
    pub(crate) fn leave_out(&mut self, flag: &str) -> bool {
        match flag {
            "interval" => self.interval.take().is_some(),
            "timeout" => self.timeout.take().is_some(),
            "deadline" => self.deadline.take().is_some(),
            "connect-timeout" => self.connection.connect_timeout.take().is_some(),
            "idle-timeout" => self.idle_timeout.take().is_some(),
            "retry-delay" => self.retry_delay.take().is_some(),
            "backoff-max" => self.backoff_max.take().is_some(),
            "after-change" => self.after_change.take().is_some(),
            "stable-for" => self.stable_for.take().is_some(),
            "wait-for-create" => self.wait_for_create.take().is_some(),
            "stall-timeout" => self.stall_timeout.take().is_some(),
            "fail-on" => !std::mem::take(&mut self.fail_on).is_empty(),
            "ready" => std::mem::take(&mut self.ready),
            "base-url" => self.connection.base_url.take().is_some(),
            _ => false,
        }
    }

    /// Returns the target of the request.
    pub(crate) fn first_target(&self) -> &str {
        self.target.first().map_or("", String::as_str)
    }

    /// Returns the output mode, from `--quiet` or `--output`.
    pub(crate) fn output(&self) -> OutputMode {
        if self.connection.quiet { OutputMode::Quiet } else { self.output }
    }
}

/// A whole number from 0 on.
fn number<T: std::str::FromStr<Err = ParseIntError> + Clone + Send + Sync + 'static>()
-> impl TypedValueParser<Value = T> {
    NonEmptyStringValueParser::new().try_map(|text| {
        text.parse::<T>().map_err(|error| match error.kind() {
            IntErrorKind::PosOverflow => "is too large a number".to_owned(),
            _ => "is not a whole number".to_owned(),
        })
    })
}

fn event_bytes() -> impl TypedValueParser<Value = u32> {
    number::<u32>().try_map(|number| {
        if (1..=1 << 30).contains(&number) { Ok(number) } else { Err("must be from 1 to 1073741824 (1 GiB)") }
    })
}

fn at_least_one() -> impl TypedValueParser<Value = usize> {
    number::<usize>().try_map(|number| if number > 0 { Ok(number) } else { Err("must be at least 1") })
}

/// How to learn of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WatchMode {
    /// Event streams, and polls where those bring nothing
    Auto,
    /// Event streams
    Stream,
    /// One request each interval
    Poll,
}

impl From<WatchMode> for Mode {
    fn from(mode: WatchMode) -> Self {
        match mode {
            WatchMode::Auto => Self::Auto,
            WatchMode::Stream => Self::Stream,
            WatchMode::Poll => Self::Poll,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputMode {
    /// Progress on stderr, the result on stdout
    Text,
    /// Progress on stderr, one JSON object with the result on stdout
    Json,
    /// One JSON object per line on stdout: each event, then the result
    Ndjson,
    /// For GitHub Actions: progress as a group, annotations, outputs and summary
    Github,
    /// Nothing but errors
    Quiet,
}

/// How progress is shown on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// A live line on a terminal, a line per change elsewhere
    Auto,
    /// A line per change
    Plain,
    /// None
    None,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// Port on 127.0.0.1; 0 is any free one
    #[arg(long, value_name = "PORT", default_value_t = 0, value_parser = number::<u16>(), allow_negative_numbers = true)]
    pub(crate) port: u16,

    /// How many times as fast as real time
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, allow_negative_numbers = true)]
    pub(crate) speed: f64,

    /// Event streams one key may have open; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = number::<usize>(), allow_negative_numbers = true)]
    pub(crate) max_streams: usize,

    /// Print the scenarios, and serve nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// Print each request on stderr
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Refuse requests without a bearer token minted by GET /token, and no longer ago than this
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
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
    #[arg(long, value_name = "N", default_value_t = 4 << 20, value_parser = event_bytes())]
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
            (args.ids.as_slice(), args.first_target(), args.output),
            (&["my-cvm".to_owned()][..], "running", OutputMode::Text)
        );
        let durations = [
            args.interval,
            args.timeout,
            args.retry_delay,
            args.backoff_max,
            args.connection.connect_timeout,
            args.deadline,
        ];
        assert_eq!(durations, [None; 6]);
        assert_eq!((args.idle_timeout, args.max_retries, args.connection.base_url), (None, None, None));
    }

    #[test]
    fn two_dashes_end_the_flags() {
        let args = Args::try_parse_from(["cvm-watch", "wait", "--target", "stopped", "--", "--target"]).unwrap();
        let Command::Wait(args) = args.command else { panic!("{args:?}") };
        assert_eq!((args.ids.as_slice(), args.first_target()), (&["--target".to_owned()][..], "stopped"));
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
