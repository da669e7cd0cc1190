# Sourced by the scripts in this folder: steps with their times, what is skipped and why, and tools.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CARGO_TERM_COLOR=never

# The nightly toolchain and the tools are pinned: a new release of one of them must not fail the gate.
NIGHTLY=nightly-2026-05-20
MSRV=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# Outside the clone, so that the next clone on this machine finds the tools.
TOOLS=${CI_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/cvm-watch-ci}
PATH=$TOOLS/python/bin:$TOOLS/cargo/bin:$PATH

# Starts a script that has steps. When it ends, the times of all steps are printed.
begin() {
    scratch=$(mktemp -d)
    export CI_SKIPPED=$scratch/skipped
    : > "$CI_SKIPPED"
    current='' table=''
    trap 'finish $?' EXIT
}

# Sets `cpu` to the CPU seconds of all commands that have ended. They are printed beside the time
# that passed, because only they can be compared between a busy machine and an idle one.
read_cpu() {
    times > "$scratch/times"
    cpu=$(awk 'NR == 2 { split($1, u, /[ms]/); split($2, s, /[ms]/)
                         printf "%d", u[1] * 60 + u[2] + s[1] * 60 + s[2] }' "$scratch/times")
}

step() {
    end_step
    current=$1 step_began=$SECONDS
    read_cpu
    step_cpu=$cpu
    printf '\n== %s\n' "$current"
}

end_step() {
    [ -n "$current" ] || return 0
    read_cpu
    local line
    line=$(printf '%5d s %5d s CPU  %s' $((SECONDS - step_began)) $((cpu - step_cpu)) "$current")
    table+=$line$'\n'
    echo "-- $line"
}

finish() {
    end_step
    printf '\n== times\n%s%5d s in all\n' "$table" "$SECONDS"
    if [ -s "$CI_SKIPPED" ]; then printf '\n== not checked here\n'; cat "$CI_SKIPPED"; fi
    rm -rf "$scratch"
    if [ "$1" = 0 ]; then printf '\n== passed\n'; else printf '\n== FAILED in the step: %s\n' "$current"; fi
}

# Reports a check that this machine cannot do: skip WHAT WHY. It is listed again at the end.
skip() {
    echo "skipped: $1: $2" | tee -a "${CI_SKIPPED:-/dev/null}"
}

# Installs a toolchain if it is missing: toolchain NAME [OPTION OF RUSTUP...]
toolchain() {
    command -v rustup > /dev/null || return 1
    local output
    output=$(rustup toolchain install --profile minimal --no-self-update "$@" 2>&1) || { tail -n 3 <<< "$output"; return 1; }
}

# Provides a program that Python's registry ships as a ready binary. .ci/tools.txt pins versions and
# checksums. Where they cannot be installed, a program of that name on this machine does.
tool() {
    local pinned
    pinned=$(cksum < .ci/tools.txt)
    if [ "$(cat "$TOOLS/python/pinned" 2> /dev/null)" != "$pinned" ]; then
        rm -rf "$TOOLS/python"
        mkdir -p "$TOOLS"
        python3 -m venv "$TOOLS/python" \
            && "$TOOLS/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
                --only-binary :all: --require-hashes -r .ci/tools.txt \
            && echo "$pinned" > "$TOOLS/python/pinned"
        hash -r
    fi
    command -v "$1" > /dev/null
}

# Provides a program of Debian: program NAME PACKAGE...
program() {
    command -v "$1" > /dev/null || apt-get install -y --no-install-recommends "${@:2}" > /dev/null 2>&1 || true
    command -v "$1" > /dev/null
}

# Provides a subcommand of cargo: cargo_tool NAME VERSION. Unoptimized, which builds in a third of the time.
cargo_tool() {
    [ "$(cat "$TOOLS/cargo/$1.version" 2> /dev/null)" = "$2" ] && return
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --force --debug --root "$TOOLS/cargo" "$1@$2" \
        && echo "$2" > "$TOOLS/cargo/$1.version"
}

# The folders of the workspaces beside the main one.
other_workspaces() {
    git ls-files '*/Cargo.toml' | xargs grep -l '^\[workspace\]' | xargs -n 1 dirname
}

# The libraries of the workspace that are published.
libraries() {
    git ls-files ':(glob)crates/*/src/lib.rs' | cut -d / -f 2 | while read -r crate; do
        grep -q '^publish = false' "crates/$crate/Cargo.toml" || echo "$crate"
    done
}
