//! `completions` and `man`.

use std::process::Command;

use crate::program::cvm_watch;
use crate::scratch::Scratch;

/// What bash offers after these words, the last of which is unfinished.
fn offered(script: &str, words: &[&str]) -> String {
    let ask = r#"
        source "$1"; shift
        complete -p cvm-watch >/dev/null || exit 1
        function=$(complete -p cvm-watch | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        "$function" cvm-watch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash").args(["-c", ask, "bash", script]).args(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let finished = cvm_watch("completions bash").run();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    if Command::new("bash").arg("--version").output().is_err() {
        println!("skipped: there is no bash");
        return;
    }
    let script = Scratch::new("completions.bash", finished.stdout.as_bytes());
    for (words, expected) in [
        (&["cvm-watch", "comp"][..], "completions"),
        (&["cvm-watch", "wait", "my-cvm", "--pro"], "--profile"),
        (&["cvm-watch", "wait", "my-cvm", "--output", ""], "text ndjson github quiet"),
        (&["cvm-watch", "sim", "--sp"], "--speed"),
    ] {
        assert_eq!(offered(script.path(), words), expected, "{words:?}");
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
    assert!(finished.last_words().contains("[possible values: bash, elvish, fish, powershell, zsh]"), "{finished:?}");
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
    assert!(text.contains("  143  SIGTERM") && text.contains("PHALA_CLOUD_DIR"), "{text}");
    // Nothing but requests, comments and escapes begins with a dot, and nothing is cut off.
    assert!(text.lines().filter(|line| line.starts_with('.')).all(|line| line[1..].starts_with(char::is_alphabetic)));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_a_failure_and_a_closed_stdout_is_not() {
    for args in ["man", "completions zsh"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let finished = cvm_watch(args).stdout(full).run();
        assert_eq!(finished.code, Some(1), "{args}");
        assert!(finished.last_words().starts_with("error: cannot write to stdout: "), "{finished:?}");
        let mut running = cvm_watch(args).start();
        running.close_stdout();
        assert_eq!(running.finish().code, Some(0), "{args}");
    }
}
