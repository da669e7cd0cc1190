#!/usr/bin/env bash
# The step of action.yml: builds cvm-watch unless a program is given, then waits.
set -euo pipefail

program=$INPUT_BINARY
if [ -z "$program" ]; then
    # The sources beside this script are those of the version that the workflow names.
    cargo install --locked --quiet --path "$GITHUB_ACTION_PATH/crates/cvm-watch-cli" --root "$RUNNER_TEMP/cvm-watch"
    program=$RUNNER_TEMP/cvm-watch/bin/cvm-watch
fi

# Splits at blanks and line breaks; patterns such as * stay as they are.
ids=() flags=()
read -r -d '' -a ids <<< "$INPUT_IDS" || true
read -r -d '' -a flags <<< "$INPUT_FLAGS" || true
if [ ${#ids[@]} = 0 ]; then
    echo "::error title=cvm-watch::the input ids is empty"
    exit 2
fi
exec "$program" wait --target "$INPUT_TARGET" --deadline "$INPUT_DEADLINE" --output github \
    ${flags[@]+"${flags[@]}"} -- "${ids[@]}"
