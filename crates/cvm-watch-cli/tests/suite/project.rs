//! The CVM, the profile and the version of the API that `phala.toml` names.

use std::fs;
use std::process::Command;

use cvm_watch_sim::Sim;

use crate::program::{Finished, Program, cvm_watch};
use crate::scratch::{Folder, Home};

const NOTE: &str = "note: waiting for \"web\" of phala.toml\n";

/// A working directory with this `phala.toml`; `name` must be the test's own.
fn project(name: &str, contents: impl AsRef<[u8]>) -> Folder {
    let folder = Folder::new(&format!("project-{name}"));
    fs::write(folder.path().join("phala.toml"), contents).unwrap();
    folder
}

fn wait(folder: &Folder, sim: &Sim, args: &str) -> Program {
    cvm_watch(&format!("wait {args}")).folder(folder.path()).base_url(&sim.base_url())
}

fn sim() -> Sim {
    Sim::builder().speed(50.0).start().unwrap()
}

/// Checks that the run reached the target by one request, and returns a header of that.
fn header_sent(finished: &Finished, sim: &Sim, name: &str) -> String {
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let requests = sim.log().requests();
    String::from_utf8(requests.last().unwrap().header(name).unwrap_or_default().to_vec()).unwrap()
}

fn refused(run: Program) -> String {
    let finished = run.run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    finished.stderr
}

#[test]
fn the_cvm_of_the_project_is_waited_for_when_no_id_is_given() {
    let sim = sim();
    let folder = project("id", "name = \"web\"\n");
    let finished = wait(&folder, &sim, "").run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "web running\n"), "{finished:?}");
    assert!(finished.stderr.starts_with(NOTE), "{finished:?}");
    // In the other outputs the note is there too, except in quiet.
    for output in ["json", "ndjson", "github"] {
        let finished = wait(&folder, &sim, &format!("--output {output}")).run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let all = format!("{}{}", finished.stderr, finished.stdout);
        assert!(all.contains("waiting for ") && all.contains("of phala.toml"), "{output}: {finished:?}");
    }
    for quiet in ["--quiet", "--output quiet --verbose"] {
        let finished = wait(&folder, &sim, quiet).run();
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "", ""));
    }
    assert!(sim.log().requests().iter().all(|request| request.uri.contains("/cvms/web/")));
    // An id that is given, also by a list, comes first.
    fs::write(folder.path().join("list"), "listed\n").unwrap();
    for args in ["db", "--ids-from list"] {
        let finished = wait(&folder, &sim, args).run();
        assert!(finished.code == Some(0) && !finished.stderr.contains("phala.toml"), "{finished:?}");
    }
}

#[test]
fn only_the_working_directory_counts() {
    let sim = sim();
    let folder = project("above", "name = \"web\"\n");
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    let line = refused(wait(&folder, &sim, "").folder(&below));
    let ways = "name a CVM, give a list with --ids-from, or name one in phala.toml";
    assert_eq!(line, format!("error: no id is given; {ways}; try --help\n"));
    // A file that names no CVM is no help either.
    let folder = project("blank", "name = \" \"\nprofile = \"work\"\n");
    assert_eq!(refused(wait(&folder, &sim, "")), line);
    assert_eq!(sim.log().requests().len(), 0);
}

#[test]
fn the_profile_of_the_project_comes_after_the_flag_and_the_environment() {
    let sim = sim();
    let key = |name: &str| serde_json::json!({ "token": format!("phak_{name}"), "api_prefix": sim.base_url() });
    let profiles = serde_json::json!({ "current": key("current"), "project": key("project"), "named": key("named") });
    let contents = serde_json::json!({ "schema_version": 1, "current_profile": "current", "profiles": profiles });
    let home = Home::new("project", &contents.to_string());
    let folder = project("profile", "name = \"web\"\nprofile = \" project \"\n");
    let run =
        |args: &str| cvm_watch(&format!("wait {args} --verbose")).without_key().home(home.path()).folder(folder.path());
    let note = "note: the profile \"project\" comes from phala.toml\n";
    let named = || run("").env("PHALA_CLOUD_PROFILE", "named");
    for (run, expected, is_reported) in [
        (run(""), "phak_project", true),
        (run("db"), "phak_project", true),
        (run("").env("PHALA_CLOUD_PROFILE", " "), "phak_project", true),
        (run("--profile="), "phak_project", true),
        (run("--profile current"), "phak_current", false),
        (named(), "phak_named", false),
        (run("").env("PHALA_CLOUD_API_KEY", "phak_env").base_url(&sim.base_url()), "phak_env", false),
    ] {
        let finished = run.run();
        assert_eq!(header_sent(&finished, &sim, "x-api-key"), expected);
        assert_eq!(finished.stderr.contains(note), is_reported, "{finished:?}");
    }
    let folder = project("profile-unknown", "name = \"web\"\nprofile = \"wrok\"\n");
    let line = refused(run("").folder(folder.path()));
    assert!(line.starts_with("error: profile \"wrok\" of phala.toml is not known; "), "{line}");
}

#[test]
fn the_version_of_the_project_is_asked_for_unless_a_flag_gives_one() {
    let sim = sim();
    let folder = project("version", "name = \"web\"\napi_version = \"2026-01-21\"\n");
    for (args, expected, note) in [
        ("", "2026-01-21", "the version of the API comes from phala.toml: 2026-01-21"),
        ("--api-version=", "2026-01-21", "the version of the API comes from phala.toml: 2026-01-21"),
        ("--api-version 2026-05-22", "2026-05-22", "the version of the API comes from --api-version: 2026-05-22"),
        ("--api-version none", "", "no version of the API is asked for, as --api-version says"),
    ] {
        let finished = wait(&folder, &sim, &format!("{args} --verbose")).run();
        assert_eq!(header_sent(&finished, &sim, "x-phala-version"), expected);
        assert!(finished.stderr.contains(&format!("note: {note}\n")), "{finished:?}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_refused_where_it_is_needed_and_a_note_elsewhere() {
    let sim = sim();
    let check = |folder: &Folder, problem: &str| {
        let line = refused(wait(folder, &sim, ""));
        assert_eq!(line, format!("error: no id is given, and phala.toml {problem}\n"));
        let finished = wait(folder, &sim, "my-cvm --verbose").run();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let note = format!("note: phala.toml {problem}; it is not used\n");
        assert_eq!(finished.stderr.matches(&note).count(), 1, "{finished:?}");
        let finished = wait(folder, &sim, "my-cvm").run();
        assert!(finished.code == Some(0) && !finished.stderr.contains("phala.toml"), "{finished:?}");
    };
    for (name, contents, problem) in [
        ("two", &b"id = \"a\"\nname = \"b\"\n"[..], r#"has both "id" and "name"; name the CVM by one of them"#),
        ("type", b"id = 5\n", r#"has the type integer in "id", where text in quotes is expected"#),
        ("syntax", b"# a\nname = web\n", "is not valid TOML (line 2)"),
        ("escape", b"name = \"a\\u001b[2J\"\n", r#"has a control character in "name"; remove it"#),
        ("utf8", b"name = \"\xff\"\n", "is not UTF-8"),
        ("zeros", &[0; 100], "is not valid TOML (line 1)"),
        ("long", &[b'#'; (64 << 10) + 1], "cannot be read: it is larger than 65536 bytes"),
    ] {
        check(&project(name, contents), problem);
    }
    let huge = project("huge", "");
    fs::File::options().write(true).open(huge.path().join("phala.toml")).unwrap().set_len(1 << 30).unwrap();
    check(&huge, "cannot be read: it is larger than 65536 bytes");
    let directory = Folder::new("project-directory");
    fs::create_dir(directory.path().join("phala.toml")).unwrap();
    check(&directory, "cannot be read: it is not a file");
    let pipe = Folder::new("project-pipe");
    assert!(Command::new("mkfifo").arg(pipe.path().join("phala.toml")).status().unwrap().success());
    check(&pipe, "cannot be read: it is not a file");
    let device = Folder::new("project-device");
    std::os::unix::fs::symlink("/dev/zero", device.path().join("phala.toml")).unwrap();
    check(&device, "cannot be read: it is not a file");
}

#[test]
fn an_id_that_is_none_is_refused_by_its_place() {
    let line = refused(wait(&project("path", "name = \"..\"\n"), &sim(), ""));
    assert!(line.starts_with("error: phala.toml: id \"..\" is a path"), "{line}");
}

/// Blank counts as not given.
#[test]
fn a_blank_flag_is_as_if_it_were_left_out() {
    let sim = sim();
    for flag in ["base-url", "profile", "workspace", "api-version", "token-file", "token-command"] {
        for blank in ["", " ", "\t"] {
            let run = cvm_watch("wait my-cvm --verbose").arg(&format!("--{flag}={blank}"));
            let finished = run.base_url(&sim.base_url()).run();
            assert_eq!(finished.code, Some(0), "{flag}: {finished:?}");
            assert!(!finished.stderr.contains(&format!("--{flag}")), "{finished:?}");
        }
    }
}
