//! Every shell command of the README and of `docs/`, run against the simulator.
//!
//! A command that ends in `# exit code N` must end with that code, every other one with 0. A `text` block right below
//! a `sh` block must be what it prints, but for times.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use cvm_watch_sim::{Attempt, Script, Sim};

use crate::cast::normalized;
use crate::program::KEY;
use crate::scratch::Folder;

/// A fenced block.
struct Block {
    page: String,
    /// What stands behind its fence.
    info: String,
    text: String,
    /// The text block right below it.
    prints: Option<String>,
}

/// Pages that build the repository itself, which the gate does; they are read as any other.
const BUILDS: [&str; 3] = ["benchmarks.md", "fuzzing.md", "semantics.md"];

/// The README and the pages of `docs/`; none in a packaged crate, which has no documents beside it.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let Ok(folder) = fs::read_dir(root.join("docs")) else { return Vec::new() };
    let mut pages: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for path in pages() {
        let page = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut open: Option<Block> = None;
        let mut is_below = false;
        for line in fs::read_to_string(&path).unwrap().lines() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(info), None) => {
                    let (page, info) = (page.clone(), info.to_owned());
                    open = Some(Block { page, info, text: String::new(), prints: None });
                }
                (Some(_), Some(_)) => {
                    let block = open.take().unwrap();
                    match blocks.last_mut() {
                        Some(last) if is_below && block.info == "text" && last.info == "sh" => {
                            last.prints = Some(block.text);
                        }
                        _ => blocks.push(block),
                    }
                    is_below = true;
                }
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => is_below &= line.is_empty(),
            }
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
            // A shell as the first process ignores SIGTERM.
            assert_eq!(command[0].trim_start_matches('/'), "cvm-watch", "{line}");
            let more = list(lines.next().unwrap(), "args: ").unwrap_or_default();
            let args = [&command[1..], &more[..]].concat();
            if args.iter().any(|arg| arg.contains("$(")) {
                // It needs volumes of Kubernetes; here: that the flags exist.
                let flags = args.iter().filter(|arg| arg.starts_with("--"));
                commands.extend(flags.map(|flag| format!("cvm-watch wait --help | grep -e '{flag}' > /dev/null")));
            } else {
                commands.push(format!("cvm-watch {}", args.join(" ")));
            }
        } else if let Some(at) = line.find("cvm-watch wait") {
            commands.push(line[at..].to_owned());
        }
    }
    commands
}

/// A hundred times as fast as real time. Some ids boot at once, every other one plays the
/// scenario of its prefix.
fn sim() -> Sim {
    let sim = Sim::builder().speed(100.0).start().unwrap();
    for id in ["web", "worker", "db"] {
        let boot = Attempt::stream().progress("starting", "booting").progress("running", "done");
        sim.script(id, Script::new().then(boot.complete("running")));
    }
    sim
}

fn bash(script: &str, sim: &Sim, folder: &Path) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_cvm-watch")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &checked(script)]).current_dir(folder).env_clear();
    command.env("PATH", path).env("HOME", folder).env("PHALA_CLOUD_API_KEY", KEY);
    command.env("PHALA_CLOUD_API_PREFIX", sim.base_url()).output().unwrap()
}

/// The script with a check of each exit code that its comments claim.
fn checked(script: &str) -> String {
    let line = |line: &str| match line.split_once("# exit code ") {
        Some((command, comment)) if !command.trim().is_empty() => {
            let claimed: String = comment.chars().take_while(char::is_ascii_digit).collect();
            format!(
                "got=0; {} || got=$?; [ $got = {claimed} ] || {{ echo \"exit code $got\"; exit 99; }}\n",
                command.trim()
            )
        }
        _ => format!("{line}\n"),
    };
    script.lines().map(line).collect()
}

fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Runs each block, all at the same time, and says what those that fail have printed.
fn run_all(name: &str, blocks: Vec<Block>) {
    let start = |(number, block): (usize, Block)| {
        let name = format!("{name}-{number}");
        thread::spawn(move || run(&name, &block))
    };
    let runs: Vec<_> = blocks.into_iter().enumerate().map(start).collect();
    let failed: Vec<_> = runs.into_iter().filter_map(|run| run.join().unwrap().err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n---\n"));
}

fn run(name: &str, block: &Block) -> Result<(), String> {
    let folder = Folder::new(name);
    // One each: what one of them waits for must not be another's second visit.
    let sim = sim();
    let output = bash(&block.text, &sim, folder.path());
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines: Vec<_> = printed.iter().flat_map(|text| text.lines()).map(normalized).collect();
    let promised = block.prints.as_deref().unwrap_or_default().lines().map(normalized);
    let missing: Vec<_> = promised.filter(|line| !lines.contains(line)).collect();
    if output.status.success() && missing.is_empty() {
        return Ok(());
    }
    let Block { page, text, .. } = block;
    Err(format!("{page}: {text}\nended with {}, without {missing:#?}:\n{}{}", output.status, printed[0], printed[1]))
}

#[test]
fn every_shell_block_of_the_documents_does_what_it_says() {
    let blocks = blocks();
    let is_shell = |block: &Block| block.info == "sh";
    let builds = |block: &Block| block.text.contains("cargo ") || BUILDS.contains(&block.page.as_str());
    let shell: Vec<_> = blocks.into_iter().filter(|block| is_shell(block) && !builds(block)).collect();
    assert!(shell.is_empty() || shell.len() >= 20, "only {} blocks were found", shell.len());
    let jq = is_here("jq");
    let (runnable, rest): (Vec<_>, Vec<_>) = shell.into_iter().partition(|block| jq || !block.text.contains("jq "));
    println!("{} blocks are left out, since there is no jq here", rest.len());
    run_all("document", runnable);
}

#[test]
fn every_command_in_other_files_of_the_documents_runs() {
    let is_file = |block: &Block| ["yaml", "ini"].contains(&block.info.as_str());
    let files: Vec<_> = blocks().into_iter().filter(is_file).collect();
    let command =
        |block: &Block, text: String| Block { page: block.page.clone(), info: "sh".to_owned(), text, prints: None };
    let commands: Vec<_> =
        files.iter().flat_map(|file| commands(&file.text).into_iter().map(|text| command(file, text))).collect();
    assert!(files.is_empty() || commands.len() >= 3, "{} commands", commands.len());
    run_all("document-file", commands);
}
