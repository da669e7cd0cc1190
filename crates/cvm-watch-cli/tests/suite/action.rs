//! The GitHub action: `action.yml` and its script, run as a runner does.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cvm_watch_sim::Sim;

use crate::program::KEY;
use crate::scratch::Folder;

/// The repository; `None` in a packaged crate.
fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("action.yml").is_file().then_some(root)
}

/// Runs the script with these inputs; answers also with the step's outputs.
fn step(root: &Path, sim: &Sim, inputs: &[(&str, &str)], path: &str, temp: &Path) -> (Output, String) {
    let outputs = temp.join("output");
    fs::write(&outputs, "").unwrap();
    let mut command = Command::new("bash");
    command.arg(root.join(".github/action.sh")).env_clear().env("PATH", path).env("PHALA_CLOUD_API_KEY", KEY);
    command.env("PHALA_CLOUD_API_PREFIX", sim.base_url()).env("GITHUB_OUTPUT", &outputs);
    command.env("GITHUB_ACTION_PATH", root).env("RUNNER_TEMP", temp).env("HOME", temp);
    for (name, default) in [("IDS", ""), ("TARGET", "running"), ("DEADLINE", "1m"), ("FLAGS", ""), ("BINARY", "")] {
        let value = inputs.iter().find(|(input, _)| *input == name).map_or(default, |(_, value)| value);
        command.env(format!("INPUT_{name}"), value);
    }
    let output = command.output().unwrap();
    (output, fs::read_to_string(outputs).unwrap())
}

fn system_path() -> String {
    std::env::var("PATH").unwrap()
}

#[test]
fn the_script_waits_and_sets_the_outputs() {
    let Some(root) = root() else { return };
    let sim = Sim::builder().speed(100.0).start().unwrap();
    let temp = Folder::new("action-temp");
    let binary = ("BINARY", env!("CARGO_BIN_EXE_cvm-watch"));
    for (inputs, code, expected) in [
        (&[("IDS", "boot-1")][..], 0, "outcome=resolved\nstatus=running\n"),
        (&[("IDS", "http-404-1")], 5, "outcome=failed\nerror=rejected\n"),
        (
            &[("IDS", "stall-2"), ("TARGET", "exited"), ("DEADLINE", "1s")],
            3,
            "outcome=failed\nstatus=starting\nerror=deadline_exceeded\n",
        ),
        (&[("IDS", "boot-3"), ("FLAGS", "--interval\n4s")], 2, "outcome=failed\nerror=invalid_input\n"),
        (&[("IDS", " \n")], 2, ""),
        // Neither a command nor a pattern.
        (&[("IDS", "boot-4;$(touch${IFS}owned)`touch${IFS}owned`")], 0, "outcome=resolved\nstatus=running\n"),
    ] {
        let inputs: Vec<_> = inputs.iter().copied().chain([binary]).collect();
        let (output, outputs) = step(&root, &sim, &inputs, &system_path(), temp.path());
        assert_eq!((output.status.code(), outputs.as_str()), (Some(code), expected), "{inputs:?}: {output:?}");
    }
    let inputs = [("IDS", "boot-5 \n boot-6"), ("FLAGS", "--ready"), binary];
    let (output, outputs) = step(&root, &sim, &inputs, &system_path(), temp.path());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (outcome, results) = outputs.split_once("\nresults=").unwrap();
    let results: serde_json::Value = serde_json::from_str(results).unwrap();
    assert_eq!((outcome, &results["boot-6"]["status"]), ("outcome=resolved", &"running".into()));
}

#[test]
fn without_a_program_the_version_of_the_action_is_built() {
    let Some(root) = root() else { return };
    let sim = Sim::builder().speed(100.0).start().unwrap();
    let (temp, tools) = (Folder::new("action-built"), Folder::new("action-tools"));
    // In place of cargo, which would take minutes: notes its arguments, and installs what there is.
    let script = format!(
        "#!/bin/sh\necho \"$@\" > \"$RUNNER_TEMP/asked\"\nmkdir -p \"$RUNNER_TEMP/cvm-watch/bin\"\n\
         ln -s '{}' \"$RUNNER_TEMP/cvm-watch/bin/cvm-watch\"\n",
        env!("CARGO_BIN_EXE_cvm-watch")
    );
    let cargo = tools.path().join("cargo");
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o700)).unwrap();
    let path = format!("{}:{}", tools.path().display(), system_path());
    let (output, outputs) = step(&root, &sim, &[("IDS", "boot-1")], &path, temp.path());
    assert_eq!((output.status.code(), outputs.as_str()), (Some(0), "outcome=resolved\nstatus=running\n"), "{output:?}");
    let asked = fs::read_to_string(temp.path().join("asked")).unwrap();
    let (crate_path, install) = (root.join("crates/cvm-watch-cli"), temp.path().join("cvm-watch"));
    let expected = format!("install --locked --quiet --path {} --root {}\n", crate_path.display(), install.display());
    assert_eq!(asked, expected);
    assert!(crate_path.join("Cargo.toml").is_file());
}

#[test]
fn the_action_gives_the_script_all_of_its_inputs() {
    let Some(root) = root() else { return };
    let action = fs::read_to_string(root.join("action.yml")).unwrap();
    let script = fs::read_to_string(root.join(".github/action.sh")).unwrap();
    let inputs = |text: &str| -> BTreeSet<String> {
        let words = text.split(|char: char| !(char.is_ascii_uppercase() || char == '_'));
        words.filter(|word| word.starts_with("INPUT_")).map(str::to_owned).collect()
    };
    assert_eq!(inputs(&action), inputs(&script));
    assert_eq!(inputs(&action).len(), 5);
    for input in inputs(&action) {
        let name = input.trim_start_matches("INPUT_").to_lowercase();
        assert!(action.contains(&format!("        {input}: ${{{{ inputs.{name} }}}}\n")), "{input}");
        assert!(action.contains(&format!("\n  {name}:\n")), "{name}");
    }
    // What the program writes is what the action hands on.
    for output in ["outcome", "status", "error", "results"] {
        assert!(action.contains(&format!("value: ${{{{ steps.wait.outputs.{output} }}}}\n")), "{output}");
    }
}
