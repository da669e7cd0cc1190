//! Ids from files and stdin, repeated ones, and bad ones.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use cvm_watch_sim::Sim;

use crate::program::{Finished, Program, cvm_watch};
use crate::scratch::Scratch;

fn sim() -> Sim {
    Sim::builder().speed(50.0).start().unwrap()
}

fn wait(sim: &Sim, args: &str) -> Program {
    cvm_watch(&format!("wait {args}")).base_url(&sim.base_url())
}

/// The ids in the table, in its order.
fn listed(finished: &Finished) -> Vec<&str> {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}

fn requested(sim: &Sim) -> BTreeSet<String> {
    let id = |path: &str| path.split('/').rev().nth(1).unwrap().to_owned();
    sim.log().requests().iter().map(|request| id(request.path())).collect()
}

const LIST: &[u8] = b"\xef\xbb\xbf# all of them\r\nfrom-1\r\n\r\n  from-2  # the second\r\n";

#[test]
fn ids_come_from_the_command_line_a_file_and_stdin_in_the_order_given() {
    let file = Scratch::new("ids", LIST);
    let stdin = || File::open(file.path()).unwrap();
    let from_file = format!("--ids-from {}", file.path());
    for (args, expected) in [
        (format!("given {from_file}"), &["given", "from-1", "from-2"][..]),
        (from_file, &["from-1", "from-2"]),
        ("--ids-from - given".to_owned(), &["given", "from-1", "from-2"]),
        ("a - z".to_owned(), &["a", "from-1", "from-2", "z"]),
        ("-".to_owned(), &["from-1", "from-2"]),
    ] {
        let sim = sim();
        assert_eq!(listed(&wait(&sim, &args).stdin(stdin()).run()), expected, "{args}");
        assert_eq!(requested(&sim), expected.iter().map(ToString::to_string).collect());
    }
}

#[test]
fn stdin_is_read_to_its_end_before_the_first_request() {
    let sim = sim();
    let mut running = wait(&sim, "-").stdin(Stdio::piped()).start();
    let mut stdin = running.stdin();
    stdin.write_all(b"a\n").unwrap();
    stdin.write_all(b"b").unwrap();
    drop(stdin);
    assert_eq!(listed(&running.finish()), ["a", "b"]);
}

#[test]
fn a_cvm_given_twice_is_waited_for_once_with_a_warning() {
    let sim = sim();
    let finished = wait(&sim, "a b a").run();
    assert_eq!(listed(&finished), ["a", "b"]);
    let warning = "id \"a\" is given more than once; it counts once";
    assert!(finished.stderr.starts_with(&format!("warning: {warning}\n")), "{finished:?}");
    assert_eq!(sim.log().requests().len(), 2);
    // What is left may be one CVM, as if it alone had been named.
    let finished = wait(&sim, "a a").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "a running\n"));
    let finished = wait(&sim, "a b a --output ndjson").run();
    let first: serde_json::Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["cvm"], &first["message"]), (&"warning".into(), &"".into(), &warning.into()));
    let finished = wait(&sim, "a b a --output github").run();
    assert!(finished.stdout.starts_with(&format!("::warning title=cvm-watch::{warning}\n")), "{finished:?}");
}

#[test]
fn a_list_of_one_is_reported_as_a_list() {
    let file = Scratch::new("one", b"# just\nfrom-1\n");
    let finished = wait(&sim(), &format!("--ids-from {} --output ndjson", file.path())).run();
    let last: serde_json::Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["counts"]["resolved"]), (&"summary".into(), &1.into()));
    let finished = wait(&sim(), "-").stdin(File::open(file.path()).unwrap()).run();
    assert_eq!(listed(&finished), ["from-1"]);
}

#[test]
fn a_bad_id_is_refused_before_any_request_naming_file_and_line() {
    let sim = sim();
    let file = Scratch::new("bad", b"good\n\n# x\na\x1bb\n");
    let path = file.path();
    let more = Scratch::new("more-bad", b"..\nb\n.\n..\n");
    let empty = Scratch::new("empty", b"\n# nothing\n");
    let binary = Scratch::new("binary", b"a\n\xff\xfe\n");
    for (args, expected) in [
        (
            format!("--ids-from {path}"),
            format!(r#""{path}", line 4: id "a\x1bb" has the control byte 0x1b at position 1"#),
        ),
        (format!("one .. --ids-from {path}"), "id \"..\" is a path".to_owned()),
        (format!("--ids-from {}", more.path()), "; 2 more ids are refused too".to_owned()),
        ("--ids-from /no/such/file".to_owned(), "cannot open \"/no/such/file\": No such file".to_owned()),
        ("--ids-from /".to_owned(), "cannot read \"/\": Is a directory".to_owned()),
        (format!("--ids-from {}", empty.path()), format!("\"{}\" has no id; one is", empty.path())),
        (format!("--ids-from {}", binary.path()), format!("\"{}\", line 2: is not UTF-8", binary.path())),
        ("-".to_owned(), "stdin has no id; one is expected".to_owned()),
        ("- --ids-from -".to_owned(), "stdin".to_owned()),
    ] {
        let finished = wait(&sim, &args).run();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{args}: {finished:?}");
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        assert!(finished.stderr.starts_with("error: ") && finished.stderr.contains(&expected), "{args}: {finished:?}");
    }
    let finished = wait(&sim, "- -").stdin(File::open(Scratch::new("twice", b"a\n").path()).unwrap()).run();
    assert_eq!(finished.last_words(), "error: stdin can be read once only; leave out a -");
    let finished = wait(&sim, &format!("--output ndjson --ids-from {path}")).run();
    let result: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&result["cvm"], &result["error"]["kind"]), (&"a\x1bb".into(), &"invalid_input".into()));
    assert_eq!(sim.log().connections().len(), 0);
}
