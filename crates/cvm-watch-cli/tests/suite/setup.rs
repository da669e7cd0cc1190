//! Key and base URL from where the user has them: flags, environment, the profiles of the `phala`
//! command line.

use cvm_watch_sim::Sim;

use crate::program::{Finished, KEY, Program, cvm_watch};
use crate::scratch::Home;

/// Two profiles, of which `work`, the current one, points at `url`.
fn profiles(url: &str) -> String {
    serde_json::json!({
        "schema_version": 1,
        "current_profile": "work",
        "profiles": {
            "work": { "token": "phak_hunter2_work", "api_prefix": url, "user": { "username": "me" } },
            "bare": { "token": "phak_hunter2_bare" },
            "cut": { "token": "phak_hunter2\n", "api_prefix": url },
        },
    })
    .to_string()
}

fn sim() -> Sim {
    Sim::builder().speed(50.0).start().unwrap()
}

/// Runs to the target; answers with the key that came with the only request.
fn key_sent(run: Program, sim: &Sim) -> (Finished, String) {
    let before = sim.log().requests().len();
    let finished = run.run();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(!finished.stdout.contains("hunter2") && !finished.stderr.contains("hunter2"), "{finished:?}");
    let requests = sim.log().requests();
    assert_eq!(requests.len(), before + 1);
    let key = requests[before].header("x-api-key").unwrap_or_default();
    (finished, String::from_utf8(key.to_vec()).unwrap())
}

fn refused(run: Program) -> String {
    let finished = run.run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
    finished.stderr
}

#[test]
fn a_user_of_the_phala_command_line_needs_no_more_set_up() {
    let sim = sim();
    let home = Home::new("login", &profiles(&sim.base_url()));
    let (finished, key) = key_sent(cvm_watch("wait my-cvm --verbose").without_key().home(home.path()), &sim);
    assert_eq!(key, "phak_hunter2_work");
    let (file, url) = (home.file(), sim.base_url());
    let notes = format!(
        "note: the API key comes from profile \"work\" of {file}\n\
         note: the base URL comes from profile \"work\" of {file}: {url}\n"
    );
    assert!(finished.stderr.starts_with(&notes), "{finished:?}");
    // PHALA_CLOUD_DIR names the directory itself.
    let directory = format!("{}/.phala-cloud", home.path());
    let run = cvm_watch("wait my-cvm").without_key().env("PHALA_CLOUD_DIR", &directory);
    assert_eq!(key_sent(run, &sim).1, "phak_hunter2_work");
}

#[test]
fn the_environment_comes_before_the_current_profile_and_a_named_one_before_the_environment() {
    let (here, there) = (sim(), sim());
    let home = Home::new("order", &profiles(&here.base_url()));
    let run = |args: &str| cvm_watch(&format!("wait my-cvm {args}")).home(home.path());
    assert_eq!(key_sent(run("").base_url(&there.base_url()), &there).1, KEY);
    assert_eq!(key_sent(run(""), &here).1, KEY);
    assert_eq!(key_sent(run("").without_key().base_url(&there.base_url()), &there).1, "phak_hunter2_work");
    assert_eq!(key_sent(run("--profile work").base_url(&there.base_url()), &here).1, "phak_hunter2_work");
    assert_eq!(key_sent(run("--profile bare").base_url(&there.base_url()), &there).1, "phak_hunter2_bare");
    let flag = format!("--profile work --base-url {}", there.base_url());
    assert_eq!(key_sent(run(&flag), &there).1, "phak_hunter2_work");
}

#[test]
fn a_key_and_a_base_url_from_two_places_are_told_once() {
    let sim = sim();
    let home = Home::new("mixed", &profiles(&sim.base_url()));
    let run = |args: &str| cvm_watch(&format!("wait my-cvm {args}")).home(home.path());
    let words = format!(
        "the API key comes from environment variable PHALA_CLOUD_API_KEY, but the base URL {} from profile \"work\" of {}; \
         set both in one place, or give --base-url if this is meant",
        sim.base_url(),
        home.file()
    );
    let warnings = |finished: &Finished| finished.stderr.matches("warning: ").count();
    let (finished, _) = key_sent(run(""), &sim);
    assert!(finished.stderr.starts_with(&format!("warning: {words}\n")), "{finished:?}");
    assert_eq!(warnings(&finished), 1);
    let (finished, _) = key_sent(run("--output ndjson"), &sim);
    let first: serde_json::Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&first["type"], &first["message"]), (&"warning".into(), &words.into()));
    assert_eq!((finished.stdout.matches(r#""type":"warning""#).count(), finished.stderr.as_str()), (1, ""));
    let (finished, _) = key_sent(run("--output quiet --verbose"), &sim);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let (finished, _) = key_sent(run("").without_key().base_url(&sim.base_url()), &sim);
    assert_eq!(warnings(&finished), 1, "{finished:?}");
    // Nothing to tell: one place, or the user's own word.
    let flag = format!("--base-url {}", sim.base_url());
    for run in [run("").without_key(), run("--profile work"), run(&flag), run(&flag).without_key()] {
        let (finished, _) = key_sent(run, &sim);
        assert_eq!(warnings(&finished), 0, "{finished:?}");
    }
}

#[test]
fn an_unknown_profile_is_refused_with_those_there_are() {
    let home = Home::new("unknown", &profiles("http://127.0.0.1:9"));
    let run = |name: &str| cvm_watch("wait my-cvm --profile").arg(name);
    assert_eq!(
        refused(run("wrok").home(home.path())),
        format!("error: profile \"wrok\" is not known; {} has the profiles bare, cut, work\n", home.file())
    );
    let line = refused(run("work"));
    assert!(line.contains("is not known: there is no ") && line.contains("log in with the phala"), "{line}");
    let line = refused(run("cut").home(home.path()));
    assert!(line.contains("control byte 0x0a at position 12") && line.contains(&home.file()), "{line}");
}

#[test]
fn a_broken_file_is_refused_where_it_is_needed_and_a_note_elsewhere() {
    let sim = sim();
    let home = Home::new("broken", r#"{"profiles":{"work":{"token":phak_hunter2}}}"#);
    let run = |args: &str| cvm_watch(&format!("wait my-cvm {args}")).home(home.path());
    let fault = format!("profile file \"{}\" is not valid JSON (line 1, column 30)", home.file());
    for run in [run("").without_key().base_url(&sim.base_url()), run("--profile work").base_url(&sim.base_url())] {
        let line = refused(run);
        assert!(line.starts_with(&format!("error: {fault}; log in again")), "{line}");
        assert!(line.contains("PHALA_CLOUD_API_KEY"), "{line}");
    }
    // The key is known, so the file can only have mattered for the base URL.
    let flag = format!("--base-url {}", sim.base_url());
    let (finished, _) = key_sent(run(&flag), &sim);
    assert!(!finished.stderr.contains("profile file"), "{finished:?}");
    // Ends before any request, after the notes.
    let finished = run("--verbose --record /no/such/folder").run();
    let note = format!("note: {fault}");
    assert_eq!(finished.stderr.lines().filter(|line| line.starts_with(&note)).count(), 1, "{finished:?}");
    assert!(!run("--record /no/such/folder").run().stderr.contains("profile file"));
}

#[test]
fn a_file_of_another_schema_counts_as_none() {
    let home =
        Home::new("schema", &profiles("http://127.0.0.1:9").replace(r#""schema_version":1"#, r#""schema_version":2"#));
    let line = refused(cvm_watch("wait my-cvm").without_key().home(home.path()));
    assert!(line.starts_with("error: api key is missing; set PHALA_CLOUD_API_KEY"), "{line}");
    assert!(line.contains(&home.file()), "{line}");
}

#[test]
fn no_source_is_told_where_there_is_no_key() {
    let sim = sim();
    let finished = cvm_watch("wait my-cvm --verbose --output ndjson").without_key().base_url(&sim.base_url()).run();
    let expected = format!(
        "note: there is no API key; this machine needs none\n\
         note: the base URL comes from environment variable PHALA_CLOUD_API_PREFIX: {}\n",
        sim.base_url()
    );
    assert_eq!((finished.code, finished.stderr), (Some(0), expected));
}
