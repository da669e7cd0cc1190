//! `decode`, over pipes and files.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::program::{Program, cvm_watch};
use crate::scratch::Scratch;

const STREAM: &[u8] =
    b"\xef\xbb\xbfid: 7\r\nevent: state\r\ndata: {\"status\":\"running\"}\r\n\r\nretry: 5000\n: beat\ndata\n\n";
const OBJECTS: &str = concat!(
    r#"{"event":"state","data":"{\"status\":\"running\"}","id":"7"}"#,
    "\n",
    r#"{"retry":5000}"#,
    "\n",
    r#"{"event":"message","data":"","id":"7"}"#,
    "\n",
);

#[test]
fn a_file_and_stdin_decode_alike() {
    let file = Scratch::new("stream", STREAM);
    let input = || fs::File::open(file.path()).unwrap();
    for run in
        [cvm_watch("decode").arg(file.path()), cvm_watch("decode").stdin(input()), cvm_watch("decode -").stdin(input())]
    {
        let finished = run.without_key().run();
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), OBJECTS, ""));
    }
}

#[test]
fn each_event_is_out_before_the_next_is_in() {
    let mut running = cvm_watch("decode").stdin(Stdio::piped()).start();
    let mut stdin = running.stdin();
    for turn in 1..=3 {
        // Cut in the middle, and without the LF of the last CRLF.
        stdin.write_all(b"data: tu").unwrap();
        stdin.write_all(format!("rn {turn}\r\n\r").as_bytes()).unwrap();
        assert_eq!(running.line(), format!(r#"{{"event":"message","data":"turn {turn}","id":""}}"#));
    }
    drop(stdin);
    let finished = running.finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), ""));
}

#[test]
fn cvm_adds_types_and_the_limit_is_settable() {
    let file =
        Scratch::new("cvm", b"event: complete\ndata: {\"status\":\"running\",\"elapsed\":2}\n\ndata: 123456789\n\n");
    let finished = cvm_watch("decode --cvm --max-event-bytes 40").arg(file.path()).run();
    let first = finished.stdout.lines().next().unwrap();
    assert!(first.ends_with(r#","type":"complete","complete":{"status":"running","target":null,"elapsed":2.0}}"#));
    let finished = cvm_watch("decode --max-event-bytes 10").arg(file.path()).run();
    let expected = "{\"malformed\":\"the event is larger than 10 bytes\"}\n{\"event\":\"message\",\"data\":\"123456789\",\"id\":\"\"}\n";
    assert_eq!(finished.stdout, expected);
}

#[test]
fn the_end_of_any_bytes_is_exit_code_0() {
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [&b""[..], &noise, b"data: unfinished", &[b'x'; 200_000], b"event: state\ndata: \xff\n\n"] {
        let file = Scratch::new(&format!("noise-{}", bytes.len()), bytes);
        let finished = cvm_watch("decode --cvm").arg(file.path()).run();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        for line in finished.stdout.lines() {
            assert!(serde_json::from_str::<serde_json::Value>(line).unwrap().is_object(), "{line}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let finished = cvm_watch("decode /no/such/file").run();
    assert_eq!(finished.code, Some(2));
    assert_eq!(finished.stderr, "error: cannot open \"/no/such/file\": No such file or directory (os error 2)\n");
    let finished = cvm_watch("decode /").run();
    assert_eq!(finished.code, Some(1));
    assert_eq!(finished.stderr, "error: cannot read \"/\": Is a directory (os error 21)\n");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_a_failure() {
    let file = Scratch::new("full", STREAM);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let finished = Program::new(&["decode", file.path()]).stdout(full).run();
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.starts_with("error: cannot write to stdout: "), "{finished:?}");
}
