//! The key is in no output, even if the server repeats it.

use cvm_watch_sim::{Attempt, Script, Sim};

use crate::program::{KEY, cvm_watch};

/// The key as a server could write it.
fn forms() -> Vec<String> {
    let escaped = KEY.replace('/', "\\/");
    let unicode: String = KEY.chars().map(|char| format!("\\u{:04x}", u32::from(char))).collect();
    let percent: String = KEY.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let some_percent = KEY.replace('/', "%2f").replace('+', "%2B").replace('=', "%3d");
    vec![KEY.to_owned(), escaped, unicode, percent, some_percent]
}

fn scripts(key: &str) -> Vec<(&'static str, Script)> {
    let event = |name: &'static str| {
        let data = format!(
            r#"{{"status":"{key}","error":"a {key} b","message":"{key}","target":"{key}","boot_error":"{key}",
                "other":["{key}"]}}"#
        );
        Attempt::stream().event(name, data)
    };
    let body = format!(
        r#"{{"error_code":"{key}","message":"x{key}y","request_id":"{key}","details":["{key}"],
            "suggestions":["{key}"],"links":["{key}"]}}"#
    );
    let header = |name: &str| Attempt::stream().header(name, key);
    vec![
        ("state", event("state").into()),
        ("complete", event("complete").into()),
        ("timeout", event("timeout").into()),
        ("error", event("error").into()),
        ("other", event("other").into()),
        ("name", Attempt::stream().event(key, key).into()),
        ("state-text", Attempt::stream().event("state", key).into()),
        ("id", Attempt::stream().bytes(format!("id: {key}\n")).state("starting").into()),
        ("comment", Attempt::stream().comment(key).state("starting").into()),
        ("forbidden", Attempt::json(403, &body).into()),
        ("forbidden-text", Attempt::respond(403, "text/plain", key).into()),
        ("busy", Attempt::json(503, &body).into()),
        ("request-id", Attempt::json(403, "{}").header("x-request-id", key).into()),
        ("redirect", Attempt::new().head(302, &[]).header("location", key).into()),
        ("type", Attempt::new().head(200, &[("content-type", key)]).into()),
        ("encoding", header("content-encoding").into()),
        ("retry-after", Attempt::json(503, "{}").header("retry-after", key).into()),
        ("not-http", Attempt::new().raw(format!("{key}\r\n\r\n")).into()),
    ]
}

/// Contract row 24.
#[test]
fn a_repeated_key_is_redacted_in_every_output_and_log() {
    let sim = Sim::start().unwrap();
    let mut ids = Vec::new();
    for (number, form) in forms().iter().enumerate() {
        for (name, script) in scripts(form) {
            let id = format!("{name}-{number}");
            sim.script(&id, script);
            ids.push(id);
        }
    }
    for id in &ids {
        for flags in ["--verbose", "--output ndjson", "--output github"] {
            let run = cvm_watch(&format!("wait {id} --max-retries 0 {flags}")).env("RUST_LOG", "trace");
            let finished = run.base_url(&sim.base_url()).run();
            assert!(finished.code.is_some_and(|code| code > 0), "{id}: {finished:?}");
            if id.starts_with("forbidden") {
                assert!(finished.last_words().contains("***"), "{id}: {finished:?}");
            }
            for output in [&finished.stdout, &finished.stderr] {
                for form in forms() {
                    assert!(!output.contains(&form), "{id} {flags}: {form} in {output}");
                }
            }
        }
    }
    let with_key = |request: &cvm_watch_sim::Request| request.header("x-api-key") == Some(KEY.as_bytes());
    assert!(sim.log().requests().iter().all(with_key), "every request has carried the key");
}

/// Contract row 24.
#[test]
fn the_key_is_not_shown_when_nothing_answers() {
    let port = cvm_watch_sim::RefusedPort::new().unwrap();
    for flags in ["", "--output ndjson", "--base-url ftp://x", "--interval 4"] {
        let run = cvm_watch(&format!("wait my-cvm --max-retries 0 {flags}")).env("RUST_LOG", "trace");
        let finished = run.base_url(&port.base_url()).run();
        assert!(!finished.stdout.contains(KEY) && !finished.stderr.contains(KEY), "{finished:?}");
    }
}
