//! Credentials from a file or a program.

use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, Script, Sim};

use crate::program::{Finished, Program, cvm_watch};
use crate::scratch::{Folder, Scratch};

const HUNTER: &str = "hunter2-token";

/// A `wait` whose credential comes from a shell script.
fn with_script(script: &Scratch, args: &str) -> Program {
    cvm_watch(&format!("wait my-cvm {args}"))
        .without_key()
        .arg("--token-command=/bin/sh")
        .arg(&format!("--token-command={}", script.path()))
}

fn authorizations(sim: &Sim) -> Vec<String> {
    let value = |request: &cvm_watch_sim::Request| {
        String::from_utf8_lossy(request.header("authorization").unwrap_or(b"none")).into_owned()
    };
    sim.log().requests().iter().map(value).collect()
}

fn done() -> Attempt {
    Attempt::stream().state("running").complete("running")
}

/// Contract row 27.
#[test]
fn a_program_is_asked_for_a_token_before_each_attempt_and_its_stderr_is_passed_on() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Script::new().then(Attempt::stream().close()).then(Attempt::stream().close()).then(done()));
    let folder = Folder::new("token-count");
    let count = folder.path().join("count");
    let script = format!("echo x >> {0}; echo 'from the vault' >&2; echo {HUNTER}-$(wc -l < {0})", count.display());
    let script = Scratch::new("token-each", script.as_bytes());
    let finished = with_script(&script, "--retry-delay 0s --verbose").base_url(&sim.base_url()).run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let expected = [1, 2, 3].map(|number| format!("Bearer {HUNTER}-{number}"));
    assert_eq!(authorizations(&sim), expected);
    assert_eq!(finished.stderr.matches("from the vault").count(), 3, "{finished:?}");
    assert!(finished.stderr.contains("note: the credential comes from --token-command\n"), "{finished:?}");
    assert!(!finished.stderr.contains(HUNTER) && !finished.stdout.contains(HUNTER), "{finished:?}");
}

/// Contract row 27.
#[test]
fn a_file_is_read_again_and_its_key_or_token_is_sent() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Script::new().then(Attempt::json(401, "{}")).then(done()));
    let file = Scratch::new("token-file", format!("{HUNTER}\n").as_bytes());
    let wait = || {
        let run = cvm_watch("wait my-cvm").without_key().arg(&format!("--token-file={}", file.path()));
        run.base_url(&sim.base_url()).run()
    };
    // The file has the same token still.
    let finished = wait();
    assert_eq!((finished.code, authorizations(&sim).len()), (Some(5), 1), "{finished:?}");
    sim.script("my-cvm", done());
    std::fs::write(file.path(), "phak_hunter2_key").unwrap();
    assert_eq!(wait().code, Some(0));
    assert_eq!(sim.log().requests()[1].header("x-api-key"), Some(&b"phak_hunter2_key"[..]));
}

/// Ends with one sentence about the command, within a time far below a hang.
fn fails(script: &str, name: &str) -> Finished {
    let sim = Sim::start().unwrap();
    let script = Scratch::new(name, script.as_bytes());
    let started = Instant::now();
    let run = with_script(&script, "--max-retries 0 --connect-timeout 2s --progress none").base_url(&sim.base_url());
    let finished = run.run();
    assert!(started.elapsed() < Duration::from_secs(20), "{finished:?}");
    assert_eq!((finished.code, sim.log().requests().len()), (Some(3), 0), "{finished:?}");
    assert!(finished.stderr.contains("no credential could be obtained"), "{finished:?}");
    assert!(finished.stderr.contains("--token-command \"/bin/sh\""), "{finished:?}");
    assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
    finished
}

/// Contract row 27.
#[test]
fn a_program_that_gives_no_token_fails_the_attempt_with_one_clear_sentence() {
    for (name, script, expected) in [
        ("hangs", "sleep 600 & sleep 600", "did not end within 1.8s and was killed"),
        ("fails", "echo hunter2; exit 7", "failed: exit status: 7"),
        ("nothing", "true", "gives no credential: the text is empty"),
        ("mebibyte", "head -c 1048576 /dev/zero | tr '\\0' x", "prints more than 65536 bytes"),
        ("line-break", "printf 'hunter2\\nhunter2\\n'", "the control byte 0x0a at position 7"),
        ("not-text", "printf '\\377\\376'", "not UTF-8"),
    ] {
        let finished = fails(script, &format!("token-{name}"));
        assert!(finished.stderr.contains(expected), "{name}: {finished:?}");
    }
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let sim = Sim::start().unwrap();
    let run = cvm_watch("wait my-cvm --max-retries 0 --token-command /nowhere/token").without_key();
    let finished = run.base_url(&sim.base_url()).run();
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.stderr.contains("--token-command \"/nowhere/token\" cannot be run"), "{finished:?}");
}

#[test]
fn a_file_without_a_token_is_refused_before_any_request() {
    let sim = Sim::start().unwrap();
    let folder = Folder::new("token-folder");
    let empty = Scratch::new("token-empty", b"\n");
    for (file, expected) in [
        (folder.path().to_str().unwrap(), "cannot be read: it is not a file"),
        (empty.path(), "gives no credential: the text is empty"),
        ("/nowhere/token", "cannot be read"),
    ] {
        let run = cvm_watch("wait my-cvm").without_key().arg(&format!("--token-file={file}"));
        let finished = run.base_url(&sim.base_url()).run();
        assert_eq!((finished.code, sim.log().requests().len()), (Some(2), 0), "{finished:?}");
        assert!(finished.stderr.contains("--token-file") && finished.stderr.contains(expected), "{finished:?}");
    }
}

#[test]
fn workspace_and_version_are_sent_and_a_blank_flag_counts_as_none() {
    let sim = Sim::start().unwrap();
    let sent = |flags: &[&str], variables: &[(&str, &str)]| {
        sim.script("my-cvm", done());
        let run = flags.iter().fold(cvm_watch("wait my-cvm"), |run, flag| run.arg(flag));
        let run = variables.iter().fold(run, |run, (name, value)| run.env(name, value));
        let finished = run.base_url(&sim.base_url()).run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let requests = sim.log().requests();
        ["x-phala-workspace", "x-phala-version"].map(|name| {
            let value = requests.last().unwrap().header(name).unwrap_or(b"none");
            String::from_utf8_lossy(value).into_owned()
        })
    };
    let variable = &[("PHALA_CLOUD_WORKSPACE", "team")][..];
    assert_eq!(sent(&["--workspace=mine", "--api-version=2025-10-28"], variable), ["mine", "2025-10-28"]);
    assert_eq!(sent(&["--workspace= ", "--api-version=", "--token-command= "], variable), ["team", "2026-06-23"]);
    assert_eq!(sent(&["--api-version=none"], &[]), ["none", "none"]);
}
