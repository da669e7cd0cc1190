//! `cvm-watch completions`: a script that teaches a shell the commands and flags.

use clap::{Arg, Command, CommandFactory, ValueHint, value_parser};
use clap_complete::Shell;
use cvm_watch_driver::profile_names;

use crate::args::{Args, Completions, CompletionsArgs};
use crate::exit::Exit;
use crate::output;
use crate::wait::KNOWN_STATUSES;

/// What the generator is given as the only value of `--profile`. In its script, the command that lists
/// them takes its place.
const PROFILES: &str = "PROFILES";

/// How the generator has bash complete file names. It expands patterns in them.
const BASH_FILES: &str = r#"local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=($(compgen -f "${cur}"))
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
"#;
const BASH_FILES_AS_THEY_ARE: &str = r#"local file
                    while IFS= read -r file; do
                        COMPREPLY+=("${file}")
                    done < <(compgen -f -- "${cur}" || true)
"#;

/// How the generator has bash find the word before the one that is completed.
const BASH_BEFORE: &str = "    prev=\"$3\"\n";
/// bash takes the equals sign in `--flag=value` for a word.
const BASH_BEFORE_AN_EQUALS_SIGN: &str = r#"    prev="$3"
    if [[ "${prev}" == "=" && "${COMP_CWORD}" -ge 2 ]]; then
        prev="${COMP_WORDS[COMP_CWORD - 2]}"
    fi
"#;

/// How the generator registers zsh's function.
const ZSH_REGISTERS: &str = "    compdef _cvm-watch cvm-watch\n";
const ZSH_REGISTERS_ONCE_IT_CAN: &str = "\
    _cvm-watch_register() {
        if (( $+functions[compdef] )); then
            compdef _cvm-watch cvm-watch
            add-zsh-hook -d precmd _cvm-watch_register
        fi
    }
    # compinit may not have run yet; then it has before the first prompt.
    autoload -Uz add-zsh-hook
    add-zsh-hook precmd _cvm-watch_register
    _cvm-watch_register
";

pub(crate) fn run(args: &CompletionsArgs) -> Exit {
    let text = match args.shell {
        Completions::Bash => script(Shell::Bash),
        Completions::Elvish => script(Shell::Elvish),
        Completions::Fish => script(Shell::Fish),
        Completions::Powershell => script(Shell::PowerShell),
        Completions::Zsh => script(Shell::Zsh),
        Completions::Profiles => profiles(&profile_names().unwrap_or_default()),
    };
    output::document(text.as_bytes())
}

/// Names of profiles, one per line. Shells expand what they are offered, so names with a character that
/// means something to one are left out.
fn profiles(names: &[String]) -> String {
    let is_plain = |char: char| char.is_alphanumeric() || matches!(char, '_' | '.' | '-' | '@' | '+');
    let is_offered = |name: &&String| !name.starts_with('-') && name.chars().all(is_plain);
    names.iter().filter(is_offered).map(|name| format!("{name}\n")).collect()
}

fn script(shell: Shell) -> String {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "cvm-watch", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script
            // clap_complete 4.6.11 writes the dash of the program's name in two ways, and then finds no
            // command again.
            .replace("cvm__subcmd__watch", "cvm__watch")
            .replace(BASH_BEFORE, BASH_BEFORE_AN_EQUALS_SIGN)
            // It fails where nothing matches.
            .replace(r#" -- "${cur}")"#, r#" -- "${cur}" || true)"#)
            .replace(BASH_FILES, BASH_FILES_AS_THEY_ARE)
            // It fails outside of a completion, and where it does not know the option.
            .replace("compopt -o filenames", "compopt -o filenames 2>/dev/null || true")
            .replace("compopt -o nospace", "compopt -o nospace 2>/dev/null || true")
            .replace(&format!("\"{PROFILES}\""), r#""$("$1" completions profiles 2>/dev/null || true)""#),
        Shell::Zsh => script
            // What follows a double colon sees only the words from the first id on, so zsh would offer no
            // flag any more.
            .replace("'*::ids ", "'*:ids ")
            .replace(&format!("({PROFILES})"), "($(cvm-watch completions profiles 2>/dev/null))")
            .replace(ZSH_REGISTERS, ZSH_REGISTERS_ONCE_IT_CAN),
        Shell::Fish => {
            script.replace(&format!("\"{PROFILES}\\t''\""), "\"(cvm-watch completions profiles 2>/dev/null)\"")
        }
        _ => script,
    }
}

/// The program's commands, with the values that are offered but not required.
fn command() -> Command {
    Args::command().mut_subcommands(|command| {
        command.mut_args(|arg| match arg.get_id().as_str() {
            "target" | "fail_on" => arg.value_parser(KNOWN_STATUSES),
            "profile" => arg.value_parser([PROFILES]),
            "shell" => arg.value_parser(value_parser!(Shell)),
            _ if takes_any_text(&arg) => arg.value_hint(ValueHint::Other),
            _ => arg,
        })
    })
}

/// Whether no file name is meant, which shells offer by default.
fn takes_any_text(arg: &Arg) -> bool {
    arg.get_action().takes_values()
        && arg.get_value_hint() == ValueHint::Unknown
        && arg.get_possible_values().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_the_place_of_the_generators_text_is_there() {
        let (bash, zsh, fish) = (script(Shell::Bash), script(Shell::Zsh), script(Shell::Fish));
        assert_eq!(
            bash.matches(BASH_FILES_AS_THEY_ARE).count(),
            5,
            "--ids-from and --token-file of wait and state, --record: {bash}"
        );
        assert_eq!(bash.matches(BASH_BEFORE_AN_EQUALS_SIGN).count(), 1, "{bash}");
        assert!(!bash.contains("oldifs") && !bash.contains("compgen -f \""), "{bash}");
        assert_eq!(zsh.matches("'*:ids -- CVM id, ").count(), 2, "wait and state: {zsh}");
        assert!(!zsh.contains("'*::"), "{zsh}");
        assert_eq!(zsh.matches(ZSH_REGISTERS_ONCE_IT_CAN).count(), 1, "{zsh}");
        for script in [&bash, &zsh, &fish] {
            assert_eq!(script.matches("completions profiles").count(), 2, "wait and state: {script}");
            assert!(!script.contains(PROFILES), "{script}");
            assert!(script.contains("shutting_down"), "{script}");
        }
    }

    #[test]
    fn names_that_a_shell_would_expand_are_not_offered() {
        let names = ["work", "a b", "$(id)", "`id`", "-x", "me@home", "caf\u{e9}", "x;y", "a'b", "*", ""];
        assert_eq!(profiles(&names.map(str::to_owned)), "work\nme@home\ncaf\u{e9}\n\n");
    }
}
