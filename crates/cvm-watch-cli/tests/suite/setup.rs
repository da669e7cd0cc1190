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
            "cut": { "token": "phak_hunter2\nX: y", "api_prefix": url },
            "line": { "token": "phak_hunter2_line\r\n", "api_prefix": url },
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
fn a_key_and_a_base_url_from_two_places_are_reported_once() {
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
        format!("error: profile \"wrok\" is not known; {} has the profiles bare, cut, line, work\n", home.file())
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
    for run in [run("").without_key(), run("--profile work").base_url(&sim.base_url())] {
        let line = refused(run);
        assert!(line.starts_with(&format!("error: {fault}; log in again")), "{line}");
        assert!(line.contains("PHALA_CLOUD_API_KEY"), "{line}");
    }
    // This machine needs no key.
    let keyless = |args: &str| run(args).without_key().base_url(&sim.base_url());
    let (finished, key) = key_sent(keyless("--verbose"), &sim);
    assert_eq!(key, "");
    assert_eq!(finished.stderr.lines().filter(|line| line.starts_with(&format!("note: {fault}"))).count(), 1);
    assert!(!key_sent(keyless(""), &sim).0.stderr.contains("profile file"));
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

/// As Notepad and PowerShell write it, and as no program can read it.
#[test]
fn a_byte_order_mark_is_skipped_and_what_cannot_be_read_is_said() {
    let sim = sim();
    let contents = profiles(&sim.base_url());
    let windows = |text: &str| format!("\u{feff}{}", text.replace(',', ",\r\n"));
    for (name, contents) in [("mark", format!("\u{feff}{contents}")), ("windows", windows(&contents))] {
        let home = Home::new(name, &contents);
        let (_, key) = key_sent(cvm_watch("wait my-cvm").without_key().home(home.path()), &sim);
        assert_eq!(key, "phak_hunter2_work");
    }
    // A folder, and a file that is too large: a note where this machine needs no key.
    let home = Home::new("large", &format!("{contents}{}", " ".repeat(1 << 20)));
    let folder = Home::new("folder", "");
    std::fs::remove_file(folder.file()).unwrap();
    std::fs::create_dir(folder.file()).unwrap();
    for (home, problem) in [(home, "it is larger than 1048576 bytes"), (folder, "it is not a file")] {
        let run = || cvm_watch("wait my-cvm --verbose").without_key().home(home.path());
        let line = refused(run());
        assert!(line.contains(problem) && line.contains(&home.file()), "{line}");
        let (finished, _) = key_sent(run().base_url(&sim.base_url()), &sim);
        assert!(finished.stderr.contains("note: profile file") && finished.stderr.contains(problem), "{finished:?}");
    }
}

/// Contract row 25.
#[test]
fn a_line_break_at_the_end_of_a_key_is_trimmed() {
    let sim = sim();
    let home = Home::new("line", &profiles(&sim.base_url()));
    let (finished, key) = key_sent(cvm_watch("wait my-cvm --profile line").home(home.path()), &sim);
    assert_eq!((key.as_str(), finished.stderr.contains("warning")), ("phak_hunter2_line", false));
    for end in ["\n", "\r\n"] {
        let run = cvm_watch("wait my-cvm").env("PHALA_CLOUD_API_KEY", &format!("{KEY}{end}")).base_url(&sim.base_url());
        let (finished, key) = key_sent(run, &sim);
        assert_eq!((key.as_str(), finished.stderr.contains("warning")), (KEY, false));
    }
}

/// Contract row 25.
#[test]
fn a_key_that_was_copied_badly_gives_one_warning_that_shows_none_of_it() {
    let sim = sim();
    let quotes = "is in quotes, which are sent as a part of it";
    for (key, doubt) in [
        ("\"phak_hunter2\"", quotes),
        ("'phak_hunter2'", quotes),
        ("\u{2018}phak_hunter2\u{2019}", quotes),
        ("phak_hunter2\u{200d}", "has an invisible character at position 12, which is sent as a part of it"),
        ("phak_\u{202f}hunter2", "has an invisible character at position 5, which is sent as a part of it"),
        ("\u{feff}phak_hunter2\u{feff}", "has an invisible character at position 0, which is sent as a part of it"),
        ("phak_hunt\u{435}r2", "has a character outside of ASCII at position 9, which is sent as a part of it"),
    ] {
        for ids in ["my-cvm", "my-cvm other"] {
            let run = |output: &str| {
                let run = cvm_watch(&format!("wait {ids} --output {output}"));
                run.env("PHALA_CLOUD_API_KEY", key).base_url(&sim.base_url()).run()
            };
            let warning = format!(
                "the API key from environment variable PHALA_CLOUD_API_KEY {doubt}; copy it again if that is not meant"
            );
            let finished = run("text");
            assert_eq!(finished.code, Some(0), "{finished:?}");
            assert!(finished.stderr.starts_with(&format!("warning: {warning}\n")), "{finished:?}");
            assert_eq!(finished.stderr.matches("warning").count(), 1, "{finished:?}");
            assert!(!finished.stderr.contains("hunter") && !finished.stdout.contains("hunter"), "{finished:?}");
            let finished = run("ndjson");
            let line: serde_json::Value = serde_json::from_str(finished.stdout.lines().next().unwrap()).unwrap();
            assert_eq!((&line["type"], &line["message"]), (&"warning".into(), &warning.into()));
            assert_eq!(finished.stderr, "");
        }
    }
}

#[test]
fn a_token_in_the_wrong_place_is_not_shown() {
    let token = "phak_hunter2_wrong";
    let other = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl";
    for (name, token) in [("phak", token), ("jwt", other)] {
        for (field, contents) in [
            ("current", serde_json::json!({ "schema_version": 1, "current_profile": token, "profiles": { "a": {} } })),
            ("name", serde_json::json!({ "schema_version": 1, "current_profile": "b", "profiles": { token: {} } })),
            (
                "type",
                serde_json::json!({ "schema_version": 1, "current_profile": token, "profiles": { token: token } }),
            ),
            (
                "prefix",
                serde_json::json!({
                    "schema_version": 1, "current_profile": "a",
                    "profiles": { "a": { "token": "phak_x", "api_prefix": token } },
                }),
            ),
        ] {
            let home = Home::new(&format!("{name}-{field}"), &contents.to_string());
            for args in ["", "--profile a", "--profile none"] {
                let finished =
                    cvm_watch(&format!("wait my-cvm --verbose {args}")).without_key().home(home.path()).run();
                assert_eq!(finished.code, Some(2), "{finished:?}");
                assert!(
                    !finished.stderr.contains(token) && !finished.stderr.contains("hunter2"),
                    "{field}: {finished:?}"
                );
            }
        }
        // The two variables or flags mixed up.
        for run in [
            cvm_watch("wait my-cvm").base_url(token),
            cvm_watch("wait my-cvm --base-url").arg(token),
            cvm_watch("wait my-cvm --profile").arg(token),
        ] {
            let line = refused(run);
            assert!(!line.contains(token), "{line}");
        }
    }
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
fn no_source_is_reported_without_a_key() {
    let sim = sim();
    let finished = cvm_watch("wait my-cvm --verbose --output ndjson").without_key().base_url(&sim.base_url()).run();
    let expected = format!(
        "note: there is no API key; this machine needs none\n\
         note: the base URL comes from environment variable PHALA_CLOUD_API_PREFIX: {}\n",
        sim.base_url()
    );
    assert_eq!((finished.code, finished.stderr), (Some(0), expected));
}
