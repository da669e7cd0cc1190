//! The text that `--help` and the manual page print after the flags of each command.

pub(crate) const PROGRAM: &str = "\
Examples:
  cvm-watch demo                             see it work, without an account
  cvm-watch wait my-cvm                      wait until my-cvm is running
  cvm-watch wait my-cvm --deadline 10m && ./deploy
  cvm-watch wait --help                      every flag, exit code and variable

The key is read from PHALA_CLOUD_API_KEY, or from where the phala command line keeps it.";

pub(crate) const WAIT: &str = "\
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

pub(crate) const DEMO: &str = "\
Examples:
  cvm-watch demo
  NO_COLOR=1 cvm-watch demo

It needs no account and no network, and ends after about ten seconds with exit code 0; 130 after
Ctrl-C, 1 when no local port can be had.";

pub(crate) const SIM: &str = "\
The first line on stdout is the base URL; the scenarios follow. The id of the CVM chooses one by its
prefix, and any other id boots to running in 12 s. Any key will do, unless --require-token is given.

Examples:
  In one terminal:
    cvm-watch sim --port 8080
  In another:
    export PHALA_CLOUD_API_PREFIX=http://127.0.0.1:8080/api/v1
    cvm-watch wait my-cvm
    cvm-watch wait flaky-1
    curl \"$PHALA_CLOUD_API_PREFIX/cvms/slow-1/state?target=running\"

Exit codes: 0 after Ctrl-C or SIGTERM, 1 when the port can't be had, 2 for bad usage.";

pub(crate) const DECODE: &str = "\
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

pub(crate) const REPLAY: &str = "\
Prints each action of the watch as one line of JSON, and compares it with the recorded one. Nothing
is requested, no time passes, and no key is needed.

Examples:
  cvm-watch wait my-cvm --record boot.ndjson
  cvm-watch replay boot.ndjson
  cvm-watch replay boot.ndjson | jq -r 'select(.action == \"retrying\").cause'

Exit codes: 0 when every action is the same, 1 when one differs, 2 for bad usage or a file that can't
be read as a recording; the line is named. A last line that was cut off is left out, with a note.";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  bash:  cvm-watch completions bash > ~/.local/share/bash-completion/completions/cvm-watch
  zsh:   cvm-watch completions zsh > \"${fpath[1]}/_cvm-watch\"
  fish:  cvm-watch completions fish > ~/.config/fish/completions/cvm-watch.fish
  In this shell only:
    source <(cvm-watch completions bash)

Exit codes: 0, or 1 when writing fails, 2 for bad usage.";

pub(crate) const MAN: &str = "\
Examples:
  cvm-watch man > ~/.local/share/man/man1/cvm-watch.1
  cvm-watch man | man -l -

Exit codes: 0, or 1 when writing fails.";

pub(crate) const BASE_URL: &str =
    "Base URL [default: $PHALA_CLOUD_API_PREFIX, the profile's, or https://cloud-api.phala.com/api/v1]";
