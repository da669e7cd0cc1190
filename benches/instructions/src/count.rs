//! Counting by valgrind.

use std::process::Command;

use crate::paths::HotPath;

/// Passes of the shorter and of the longer run; what both do once cancels out.
const PASSES: [u32; 2] = [1, 5];

/// Instructions for each unit of the path.
pub(crate) fn instructions(path: &HotPath) -> Result<f64, String> {
    let [short, long] = PASSES;
    let more = run(path, long)? - run(path, short)?;
    Ok(more as f64 / f64::from(long - short) / path.unit().each_pass as f64)
}

/// All instructions of one process.
fn run(path: &HotPath, passes: u32) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["work", &path.name(), &passes.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{} under valgrind: {}\n{log}", path.name(), output.status));
    }
    log.lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
        .ok_or_else(|| format!("valgrind told no count:\n{log}"))
}
