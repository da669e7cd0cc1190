//! The text that `--help` and the manual page print after the flags of each command.

pub(crate) const PROGRAM: &str = "\
The key is read from PHALA_CLOUD_API_KEY, or from where the phala command line keeps it.

Examples:
  cvm-watch demo                             see it work, without an account
  cvm-watch wait my-cvm                      wait until my-cvm is running
  cvm-watch wait my-cvm --deadline 10m && ./deploy
  cvm-watch state my-cvm                     which status it has now
  cvm-watch wait --help                      every flag, exit code and variable";

pub(crate) const TARGET: &str = "Target";
pub(crate) const WAITING: &str = "Waiting";
pub(crate) const LIMITS: &str = "Retries and limits";
pub(crate) const CONNECTION: &str = "Connection";
pub(crate) const OUTPUT: &str = "Output";

pub(crate) const WAIT_SHORT: &str = "\
TIME is 500ms, 90s, 10m, 1h30m or 1d; a bare number is seconds.
The key is read from PHALA_CLOUD_API_KEY, or from where the phala command line keeps it.
Example: cvm-watch wait my-cvm --deadline 10m && ./deploy
Examples, exit codes and variables: cvm-watch wait --help";

pub(crate) const WAIT: &str = "\
TIME is 500ms, 90s, 1.5m, 10min, 1h30m or 1d; a bare number is seconds.

Key and base URL: a flag first, then the environment, then the profile of phala.toml or the current
one of the phala command line, then the default. --profile is a flag: that profile comes before the
environment.

Examples:
  Wait until it runs, ten minutes at most:
    cvm-watch wait my-cvm --deadline 10m
  Wait for the containers too:
    cvm-watch wait my-cvm --ready --deadline 10m
  Wait until it has stopped, and print nothing unless it fails:
    cvm-watch wait my-cvm --target stopped -q
  Restart it, and wait until it is back:
    phala cvms restart my-cvm && cvm-watch wait my-cvm --after-change
  Wait for several, for the first of several, or for a list:
    cvm-watch wait web db worker --deadline 15m
    cvm-watch wait blue green --any
    cvm-watch wait --ids-from cvms.txt --deadline 15m
    sort new.txt old.txt | cvm-watch wait -
  Try once, without a retry:
    cvm-watch wait my-cvm --max-retries 0
  Retry after about 1s, 2s, 4s and so on, up to 1m:
    cvm-watch wait my-cvm --retry-delay 1s --backoff-max 1m
  End the wait when it is stopped, and for no other status:
    cvm-watch wait my-cvm --fail-on stopped
  In a GitHub Actions workflow:
    cvm-watch wait my-cvm --deadline 10m -o github
  The result as JSON, or every boot step:
    cvm-watch wait my-cvm -o json | jq .outcome
    cvm-watch wait my-cvm -o ndjson | jq -r 'select(.type == \"state\").data.boot_progress'
  With the key and the base URL of a profile of the phala command line:
    cvm-watch wait my-cvm --profile staging
  Record what happens, and see later what it led to:
    cvm-watch wait my-cvm --record boot.ndjson; cvm-watch replay boot.ndjson
  An id that begins with a dash:
    cvm-watch wait -- -my-cvm

Exit codes:
    0  the target was reached
    1  another failure, such as a certificate that is not trusted
    2  bad usage or input; no request was made
    3  the retries or the deadline are used up
    4  the CVM reports that it will not get there: a failed boot, or a status of --fail-on
    5  the server rejected the watch
  130  SIGINT (Ctrl-C)
  143  SIGTERM

Of several CVMs it is 0 when all got there, with --any when one did. Otherwise it is the worst, in this
order: 130 and 143, 2, 5, 4, 3, 1.

Environment:
  PHALA_CLOUD_API_KEY     the API key; one is needed unless the base URL is this machine
  PHALA_OIDC_TOKEN        a bearer token, used only without a key
  PHALA_CLOUD_API_PREFIX  the base URL
  PHALA_CLOUD_WORKSPACE   the workspace, by its slug
  PHALA_CLOUD_PROFILE     the profile of the phala command line
  PHALA_CLOUD_DIR         where the phala command line keeps credentials.json [default: ~/.phala-cloud]
  HTTPS_PROXY, NO_PROXY   the proxy, and what is reached without it
  SSL_CERT_FILE           trusted certificates in place of the machine's
  GITHUB_OUTPUT, GITHUB_STEP_SUMMARY
                          files to which --output github adds
  NO_COLOR                no colours
  RUST_LOG                what to log on stderr, such as cvm_watch=debug; never the key

Files:
  phala.toml              in the working directory: the CVM when no id is given, profile, api_version
  ~/.phala-cloud/credentials.json
                          the profiles of the phala command line; it is read only";

pub(crate) const STATE: &str = "\
TIME is 500ms, 90s or 10m; a bare number is seconds.

Examples:
  The status now:
    cvm-watch state my-cvm
  Of several, as JSON:
    cvm-watch state web db -o json | jq -r '.[] | .cvm + \" \" + .state.status'
  Only if it is running:
    cvm-watch state my-cvm --target running -q && ./deploy
  Check the set-up: where the key comes from, what is requested, how long the answer takes:
    cvm-watch state my-cvm --verbose

Exit codes:
    0  each request was answered; with --target each CVM has one of these statuses
    1  with --target: a CVM has another status; or another failure, such as an untrusted certificate
    2  bad usage or input; no request was made
    3  no whole answer, or one that wait would retry, such as HTTP 503
    5  the server rejected the request
  130  SIGINT (Ctrl-C)
  143  SIGTERM

Of several CVMs it is the worst, in this order: 130 and 143, 2, 5, 3, 1.";

pub(crate) const DEMO: &str = "\
Examples:
  cvm-watch demo
  NO_COLOR=1 cvm-watch demo

It needs no account and no network, and ends after about ten seconds with exit code 0; 130 after
Ctrl-C, 1 when no local port can be had.";

pub(crate) const SIM: &str = "\
The first line on stdout is the base URL; the scenarios follow. The id of the CVM chooses one by its
prefix, and any other id boots to running in 12 s. Any key will do, unless --require-token is given.
A CVM boots once: to see a boot again take another id, such as my-cvm-2, or start the simulator anew.

Examples:
  In one terminal, with each request on stderr:
    cvm-watch sim --port 8080 --verbose
  In another:
    export PHALA_CLOUD_API_PREFIX=http://127.0.0.1:8080/api/v1
    cvm-watch wait my-cvm
    cvm-watch wait flaky-1
    curl \"$PHALA_CLOUD_API_PREFIX/cvms/slow-1/state?target=running\"
  What there is to try:
    cvm-watch sim --list

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

Exit codes: 0 at the end of the input, even if malformed; 1 when reading or writing fails, 2 for
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

pub(crate) const SCHEMA: &str = "\
JSON Schema 2020-12 of each line of --output ndjson, and of the object of --output json.

Examples:
  cvm-watch schema > cvm-watch.schema.json
  cvm-watch schema | jq -r '.oneOf[].title'

Exit codes: 0, or 1 when writing fails.";

pub(crate) const MAN: &str = "\
Examples:
  cvm-watch man > ~/.local/share/man/man1/cvm-watch.1
  cvm-watch man | man -l -

Exit codes: 0, or 1 when writing fails.";
