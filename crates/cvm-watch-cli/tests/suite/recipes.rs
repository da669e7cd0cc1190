//! Every command of `docs/recipes.md`, run against the simulator.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use cvm_watch_sim::{Attempt, Script, Sim};

use crate::program::KEY;
use crate::scratch::Folder;

/// A fenced block: what stands behind its fence, and its lines.
struct Block {
    info: String,
    text: String,
}

/// The blocks of the document; none in a packaged crate, which has no documents beside it.
fn blocks() -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes.md");
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some(Block { info: info.to_owned(), text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

/// The program's commands in a file of another kind: such as `run: cvm-watch …`, or a container's
/// `command: ["cvm-watch"]` with its `args: […]` in the next line.
fn commands(text: &str) -> Vec<String> {
    let list = |line: &str, name: &str| {
        let items = line.trim_start().strip_prefix(name)?;
        Some(serde_json::from_str::<Vec<String>>(items).unwrap())
    };
    let mut commands = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(command) = list(line, "command: ") {
            assert_eq!(command, ["cvm-watch"], "a shell as the first process ignores SIGTERM");
            let args = list(lines.next().unwrap(), "args: ").unwrap();
            commands.push(format!("cvm-watch {}", args.join(" ")));
        } else if let Some(at) = line.find("cvm-watch wait") {
            commands.push(line[at..].to_owned());
        }
    }
    commands
}

fn sim() -> Sim {
    let sim = Sim::builder().speed(100.0).start().unwrap();
    let failing = Attempt::stream().state("starting").state("error").state("error").stall();
    sim.script("failing-web", failing);
    for id in ["web", "worker", "db"] {
        let boot = Attempt::stream().progress("starting", "booting").progress("running", "done");
        sim.script(id, Script::new().then(boot.complete("running")));
    }
    sim.script("stop-web", Attempt::stream().state("stopping").state("stopped").complete("stopped"));
    sim
}

fn bash(script: &str, sim: &Sim, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_cvm-watch")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env_clear();
    command.env("PATH", path).env("HOME", folder).env("PHALA_CLOUD_API_KEY", KEY);
    command.env("PHALA_CLOUD_API_PREFIX", sim.base_url()).output().unwrap()
}

fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Runs each script, all at the same time, and says what those that fail have printed.
fn run_all(name: &str, scripts: Vec<String>) {
    let start = |(number, script): (usize, String)| {
        let name = format!("{name}-{number}");
        thread::spawn(move || run(&name, &script))
    };
    let runs: Vec<_> = scripts.into_iter().enumerate().map(start).collect();
    let failed: Vec<_> = runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n---\n"));
}

fn run(name: &str, script: &str) -> Result<(), String> {
    let folder = Folder::new(name);
    // One each: what one of them waits for must not be another's second visit.
    let sim = sim();
    let output = bash(script, &sim, folder.path());
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Err(format!("{script}\nended with {}:\n{}{}", output.status, printed[0], printed[1]))
}

#[test]
fn every_shell_block_of_the_recipes_does_what_it_says() {
    let jq = is_here("jq");
    let scripts: Vec<_> = blocks().into_iter().filter(|block| block.info == "sh").map(|block| block.text).collect();
    assert!(scripts.is_empty() || scripts.len() >= 15, "only {} blocks were found", scripts.len());
    let (runnable, rest): (Vec<_>, Vec<_>) = scripts.into_iter().partition(|script| jq || !script.contains("jq "));
    println!("{} blocks are left out, since there is no jq here", rest.len());
    run_all("recipe", runnable);
}

#[test]
fn every_command_in_other_files_of_the_recipes_runs() {
    let files: Vec<_> = blocks().into_iter().filter(|block| ["yaml", "ini"].contains(&block.info.as_str())).collect();
    let commands: Vec<_> = files.iter().flat_map(|file| commands(&file.text)).collect();
    assert!(files.is_empty() || commands.len() == 3, "{commands:?}");
    run_all("recipe-file", commands);
}
