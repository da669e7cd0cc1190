//! `completions` and `man`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::program::cvm_watch;
use crate::scratch::{Folder, Scratch};

/// A folder with files to complete, and profiles that are named.
fn folder(name: &str) -> Folder {
    let folder = Folder::new(name);
    for file in ["my list.txt", "my[1].txt", "my*.txt"] {
        fs::write(folder.path().join(file), "web\n").unwrap();
    }
    let profiles = r#"{"schema_version":1,"profiles":{"work":{},"staging":{},"a b":{},"$(touch owned)":{}}}"#;
    fs::write(folder.path().join("credentials.json"), profiles).unwrap();
    folder
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_cvm-watch")
}

fn script(shell: &str) -> Scratch {
    let finished = cvm_watch(&format!("completions {shell}")).run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    Scratch::new(&format!("completions-{shell}"), finished.stdout.as_bytes())
}

fn there_is(shell: &str) -> bool {
    Command::new(shell).arg("--version").output().is_ok()
}

/// What bash offers after these words, the last of which is unfinished, one per line. The shell stops at
/// any error and at any variable that is not set.
fn offered(script: &str, folder: &Path, words: &[&str]) -> Vec<String> {
    let ask = r#"
        set -eu
        source "$1"; shift
        function=$(complete -p cvm-watch | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        for word in "${COMPREPLY[@]}"; do echo "$word"; done
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-c", ask, "bash", script]).args(words).current_dir(folder).env("PHALA_CLOUD_DIR", folder);
    let output = bash.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_values_and_files() {
    if !there_is("bash") {
        println!("skipped: there is no bash");
        return;
    }
    let (script, folder) = (script("bash"), folder("bash-files"));
    let run = program();
    for (words, expected) in [
        (&["cvm-watch", "comp"][..], &["completions"][..]),
        (&["/usr/bin/cvm-watch", "comp"], &["completions"]),
        (&["cvm-watch", "wait", "my-cvm", "--prof"], &["--profile"]),
        (&["cvm-watch", "wait", "my-cvm", "--output", ""], &["text", "json", "ndjson", "github", "quiet"]),
        (&["cvm-watch", "wait", "--output", "=", "nd"], &["ndjson"]),
        (&["cvm-watch", "sim", "--sp"], &["--speed"]),
        (&["cvm-watch", "wait", "my-cvm", "--target", "stop"], &["stopping", "stopped"]),
        (&["cvm-watch", "wait", "my-cvm", "--target", "=", "shut"], &["shutting_down"]),
        (&["cvm-watch", "wait", "my-cvm", "--fail-on", "del"], &["deleting", "deleted"]),
        (&[run, "wait", "my-cvm", "--profile", ""], &["staging", "work"]),
        (&[run, "wait", "my-cvm", "--profile", "w"], &["work"]),
        (&["/no/such/cvm-watch", "wait", "my-cvm", "--profile", ""], &[]),
        (&["cvm-watch", "wait", "--ids-from", "my l"], &["my list.txt"]),
        (&["cvm-watch", "wait", "--ids-from", "my["], &["my[1].txt"]),
        (&["cvm-watch", "wait", "--record", "my*"], &["my*.txt"]),
        (&["cvm-watch", "wait", "--record", "nothing"], &[]),
        // No value is known, and no file is meant.
        (&["cvm-watch", "wait", "--deadline", "1"], &["1"]),
        (&["cvm-watch", "completions", "z"], &["zsh"]),
        (&["cvm-watch", "nothing"], &[]),
        (&["cvm-watch", "wait", "--target", "nothing"], &[]),
    ] {
        assert_eq!(offered(script.path(), folder.path(), words), expected, "{words:?}");
    }
    assert!(!folder.path().join("owned").exists());
}

/// Also before `compinit`, as from a start-up file that is read first.
#[test]
fn zsh_loads_the_script_and_registers_it_once_it_can() {
    if !there_is("zsh") {
        println!("skipped: there is no zsh");
        return;
    }
    let script = script("zsh");
    let ask = r#"
        source "$1" || exit 1
        print "before: ${+_comps}"
        autoload -Uz compinit; compinit -D -u
        for hook in $precmd_functions; do $hook; done
        print "after: ${_comps[cvm-watch]} ${#precmd_functions}"
        source "$1"
        print "again: ${_comps[cvm-watch]} ${#precmd_functions}"
    "#;
    let output = Command::new("zsh").args(["-f", "-e", "-c", ask, "zsh", script.path()]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let expected = "before: 0\nafter: _cvm-watch 0\nagain: _cvm-watch 0\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn fish_completes_statuses_profiles_and_files() {
    if !there_is("fish") {
        println!("skipped: there is no fish");
        return;
    }
    let (script, folder) = (script("fish"), folder("fish-files"));
    let path = format!("{}:/usr/bin:/bin", Path::new(program()).parent().unwrap().display());
    for (line, expected) in [
        ("cvm-watch wait x --target stopp", &["stopped", "stopping"][..]),
        ("cvm-watch wait x --profile ", &["staging", "work"]),
        ("cvm-watch wait --ids-from my\\ l", &["my list.txt"]),
        ("cvm-watch wait x --deadline my", &[]),
    ] {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]", script.path(), line]);
        fish.current_dir(folder.path()).env("PHALA_CLOUD_DIR", folder.path()).env("PATH", &path);
        let output = fish.env("HOME", folder.path()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let offered = String::from_utf8(output.stdout).unwrap();
        let offered: Vec<_> = offered.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(offered, expected, "{line}");
    }
}

#[test]
fn each_shell_has_a_script_that_knows_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let finished = cvm_watch(&format!("completions {shell}")).run();
        assert_eq!(finished.code, Some(0));
        for word in ["wait", "demo", "sim", "decode", "completions", "man", "profile", "max-retries"] {
            assert!(finished.stdout.contains(word), "{shell}: {word}");
        }
    }
    let finished = cvm_watch("completions tcsh").run();
    assert_eq!(finished.code, Some(2));
    assert!(finished.last_words().contains("is not one of bash, elvish, fish, powershell, zsh"), "{finished:?}");
}

#[test]
fn the_manual_page_has_every_command_flag_and_exit_code() {
    let page = cvm_watch("man").run();
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""));
    let text = page.stdout.replace("\\-", "-");
    assert_eq!(text.lines().filter(|line| line.starts_with(".TH ")).count(), 1, "{text}");
    for command in ["wait", "demo", "sim", "decode", "completions", "man"] {
        assert!(text.contains(&format!(".SH \"cvm-watch {command}\"")), "{command}");
        let help = cvm_watch(&format!("{command} -h")).run().stdout;
        for flag in help.split([' ', '\n']).filter(|word| word.starts_with("--") && word.len() > 2) {
            let name = flag.split('[').next().unwrap();
            assert!(text.contains(name), "{command}: {flag}");
        }
    }
    for section in ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
        assert_eq!(
            text.matches(&format!(".SH \"{section}\"")).count() + text.matches(&format!(".SH {section}\n")).count(),
            1
        );
    }
    assert!(text.contains("  143  SIGTERM") && text.contains("PHALA_CLOUD_DIR"), "{text}");
    // Nothing but requests, comments and escapes begins with a dot, and nothing is cut off.
    assert!(text.lines().filter(|line| line.starts_with('.')).all(|line| line[1..].starts_with(char::is_alphabetic)));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_a_failure_and_a_closed_stdout_is_not() {
    for args in ["man", "completions zsh"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let finished = cvm_watch(args).stdout(full).run();
        assert_eq!(finished.code, Some(1), "{args}");
        assert!(finished.last_words().starts_with("error: cannot write to stdout: "), "{finished:?}");
        let mut running = cvm_watch(args).start();
        running.close_stdout();
        assert_eq!(running.finish().code, Some(0), "{args}");
    }
}
