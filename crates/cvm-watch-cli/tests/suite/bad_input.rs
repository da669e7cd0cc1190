//! Bad input: refused before any request, with exit code 2 and one line that names field, value and
//! range.

use cvm_watch_sim::Sim;

use crate::program::{Finished, KEY, Program, cvm_watch};
use crate::transcripts;

fn refused(run: Program, sim: &Sim) -> String {
    let Finished { code, stdout, stderr, .. } = run.run();
    assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.len() < 300, "{stderr}");
    assert_eq!(sim.log().connections().len(), 0, "{stderr}");
    stderr
}

/// Contract row 25.
#[test]
fn parameters_out_of_range_are_refused_before_any_request_naming_field_value_and_range() {
    let sim = Sim::start().unwrap();
    assert!(transcripts::check("mistakes.md", &sim) > 40);
    assert_eq!(sim.log().connections().len(), 0);
    // What no transcript can hold.
    for (args, expected) in [
        (&["a\nb"][..], r#"id "a\nb" has the control byte 0x0a at position 1"#),
        (&["my-cvm", "a\x1b[2Jb\u{9b}"], r#"id "a\x1b[2Jb\x9b" has the control byte 0x1b at position 1"#),
        (&["my-cvm", "--nope\x1b[2Jb\u{9b}"], r"there is no flag --nope\x1b[2Jb\x9b"),
    ] {
        let args: Vec<&str> = ["wait"].iter().chain(args).copied().collect();
        let line = refused(Program::new(&args).base_url(&sim.base_url()), &sim);
        assert!(line.contains(expected), "{args:?}: {line}");
    }
}

/// Contract row 25.
#[test]
fn a_bad_base_url_is_refused() {
    let sim = Sim::start().unwrap();
    for (url, expected) in [
        ("127.0.0.1:8080", "--base-url \"127.0.0.1:8080\" is not an absolute URL"),
        ("cloud-api.phala.com/api/v1", "is not an absolute URL"),
        ("ftp://example.com", "must begin with https:// or http://"),
        ("http://user:hunter2@127.0.0.1", "must not hold user info"),
        ("http://127.0.0.1/?a", "must not have a query"),
        ("http://127.0.0.1\\x", "has a backslash"),
    ] {
        let line = refused(Program::new(&["wait", "my-cvm", "--base-url", url]), &sim);
        assert!(line.contains(expected) && !line.contains("hunter2"), "{url}: {line}");
        let of_environment = refused(cvm_watch("wait my-cvm").base_url(url), &sim);
        assert_eq!(of_environment.replace("base url", "--base-url"), line);
    }
}

/// Contract row 24.
#[test]
fn a_key_never_travels_over_plain_http_unless_allowed_by_name() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    // The address of every interface: it leads to this machine, but is not a loopback address.
    let base_url = sim.base_url_for("0.0.0.0");
    let run = || cvm_watch("wait my-cvm").base_url(&base_url);
    let line = refused(run(), &sim);
    assert!(line.contains(&base_url) && line.contains("--allow-http"), "{line}");
    assert_eq!(run().arg("--allow-http").run().code, Some(0));
}

/// Contract row 25.
#[test]
fn a_key_that_cannot_be_sent_is_refused_and_not_shown() {
    let sim = Sim::start().unwrap();
    let run = cvm_watch("wait my-cvm").base_url(&sim.base_url()).env("PHALA_CLOUD_API_KEY", "hunter2\nX: y");
    let line = refused(run, &sim);
    assert_eq!(line, "error: api key has the control byte 0x0a at position 7; remove it\n");
}

/// HTTP libraries refuse a URL of 64 KiB, so it could be retried for ever.
#[test]
fn what_never_fits_into_a_url_is_refused_with_the_limit() {
    let sim = Sim::start().unwrap();
    let long = "x".repeat(66_000);
    let wide = "\u{4e2d}".repeat(10_000);
    for (text, bytes) in [(&long, 66_000), (&wide, 90_000)] {
        let in_url = format!(" takes {bytes} bytes in the URL, which are at most 16384 (16 KiB); give a shorter one\n");
        let line = refused(cvm_watch("wait").arg(text).base_url(&sim.base_url()), &sim);
        assert!(line.starts_with("error: id \"") && line.ends_with(&in_url), "{line}");
        let line = refused(cvm_watch("wait a b --target").arg(text).base_url(&sim.base_url()), &sim);
        assert!(line.starts_with("error: --target \"") && line.ends_with(&in_url), "{line}");
        let line = refused(cvm_watch("wait a --base-url").arg(&format!("{}/{text}", sim.base_url())), &sim);
        assert!(line.contains("which are at most 16384 (16 KiB)"), "{line}");
    }
}

/// Contract row 25.
#[test]
fn a_missing_key_is_refused_by_the_name_of_its_variable_except_for_loopback() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    for key in [None, Some(""), Some("  \t")] {
        let run = cvm_watch("wait my-cvm").without_key();
        let line = refused(if let Some(key) = key { run.env("PHALA_CLOUD_API_KEY", key) } else { run }, &sim);
        assert!(line.contains("PHALA_CLOUD_API_KEY"), "{line}");
    }
    assert_eq!(cvm_watch("wait my-cvm").without_key().base_url(&sim.base_url()).run().code, Some(0));
    assert_eq!(sim.log().requests()[0].header("x-api-key"), None);
}

#[test]
fn quiet_reports_bad_input_in_one_line() {
    for args in ["wait my-cvm --interval 4 -q", "wait .. --output=quiet", "wait --nope --quiet", "wait --nope -o quiet"]
    {
        let Finished { code, stdout, stderr, .. } = cvm_watch(args).run();
        assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{args}: {stderr}");
        assert!(stderr.starts_with("error: "), "{args}: {stderr}");
    }
}

#[test]
fn ndjson_ends_in_a_result_for_bad_input_too() {
    for (args, cvm) in [
        ("wait my-cvm --interval 4 --output ndjson", "my-cvm"),
        ("wait .. --output ndjson", ".."),
        ("wait --nope --output=ndjson my-cvm", ""),
    ] {
        let finished = cvm_watch(args).run();
        let line: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(finished.code, Some(2));
        assert_eq!((&line["type"], &line["cvm"], &line["attempt"]), (&"result".into(), &cvm.into(), &0.into()));
        assert_eq!((&line["outcome"], &line["error"]["kind"]), (&"failed".into(), &"invalid_input".into()));
        let message = line["error"]["message"].as_str().unwrap();
        assert_eq!(finished.stderr, format!("error: {message}\n"));
        assert!(!finished.stdout.contains(KEY));
    }
}

#[test]
fn bad_flags_are_reported_together_and_before_the_environment() {
    let finished = cvm_watch("wait my-cvm --timeout 601 --base-url nonsense").without_key().run();
    let lines: Vec<_> = finished.stderr.lines().map(|line| line.split('"').next().unwrap()).collect();
    assert_eq!((finished.code, lines), (Some(2), vec!["error: --timeout ", "error: --base-url "]));
    let finished = cvm_watch("wait my-cvm --interval 4 --timeout 9 -o ndjson").run();
    let line: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let message = line["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("--interval") && message.contains("; --timeout"), "{message}");
}

#[test]
fn a_wait_without_a_limit_says_so_once() {
    let sim = Sim::builder().speed(50.0).start().unwrap();
    let run = |flags: &str| cvm_watch(&format!("wait {flags}")).base_url(&sim.base_url()).run();
    for ids in ["boot-1", "boot-1 boot-2"] {
        for mode in ["text", "json", "ndjson", "github"] {
            assert_eq!(
                run(&format!("{ids} -o {mode}")).notices,
                ["note: this wait has no limit; --deadline 10m gives it one"]
            );
        }
        let expected =
            "note: this wait has no limit: --timeout limits one attempt, and --deadline 10m would limit the wait";
        assert_eq!(run(&format!("{ids} --timeout 1m")).notices, [expected]);
        for flags in ["--deadline 1m", "--max-retries 9", "-q"] {
            assert_eq!(run(&format!("{ids} {flags}")).notices, [""; 0], "{flags}");
        }
    }
}
