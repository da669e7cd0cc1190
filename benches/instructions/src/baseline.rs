//! The recorded counts, one file for each toolchain, and the comparison with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::count::instructions;
use crate::paths::all;

/// A path may cost this much more than recorded.
const MOST: f64 = 1.05;

/// Compares with the counts recorded in `baselines`. If there are none for this toolchain, it
/// records them in `new`.
pub(crate) fn check(baselines: &Path, new: &Path) -> Result<(), String> {
    let file = file_of(&toolchain()?);
    let Ok(recorded) = std::fs::read_to_string(baselines.join(&file)) else {
        let path = write(new, &file, &count_all(&BTreeMap::new())?.text)?;
        println!("\nno counts are recorded for this toolchain, so nothing was compared; recorded {}", path.display());
        return Ok(());
    };
    let counted = count_all(&parse(&recorded))?;
    if counted.dearer.is_empty() {
        println!("\nno path costs over {:.0} % more than recorded in {file}", (MOST - 1.0) * 100.0);
        return Ok(());
    }
    Err(format!(
        "\ncosts over {:.0} % more than recorded in {file}: {}\nif it must be so: bash .ci/instructions --record",
        (MOST - 1.0) * 100.0,
        counted.dearer.join("; ")
    ))
}

/// Records the counts of this toolchain in `baselines`.
pub(crate) fn record(baselines: &Path) -> Result<(), String> {
    let file = file_of(&toolchain()?);
    let before = std::fs::read_to_string(baselines.join(&file)).unwrap_or_default();
    let path = write(baselines, &file, &count_all(&parse(&before))?.text)?;
    println!("\nrecorded {}", path.display());
    Ok(())
}

struct Counted {
    /// The lines of a file of counts.
    text: String,
    /// The paths that cost too much more than recorded.
    dearer: Vec<String>,
}

/// Counts every path, and prints each beside what is recorded.
fn count_all(recorded: &BTreeMap<String, f64>) -> Result<Counted, String> {
    let mut counted = Counted { text: String::new(), dearer: Vec::new() };
    for path in &all() {
        let (name, unit, count) = (path.name(), path.unit().name, instructions(path)?);
        let change = recorded.get(&name).map(|before| count / before);
        let shown = change.map_or(String::new(), |change| format!("{:+.1} %", (change - 1.0) * 100.0));
        println!("{count:9.1} a {unit:5}  {shown:9} {name}");
        counted.text += &format!("{count:.1}\t{unit}\t{name}\n");
        if change.is_some_and(|change| change > MOST) {
            counted.dearer.push(format!("{name} ({shown})"));
        }
    }
    Ok(counted)
}

fn parse(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter_map(|line| {
            let [count, _, name] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
            Some((name.to_owned(), count.parse().ok()?))
        })
        .collect()
}

fn write(folder: &Path, file: &str, text: &str) -> Result<PathBuf, String> {
    let path = folder.join(file);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// What the counts depend on beside the code: compiler, target, the C library with its allocator
/// and `memcpy`, and whether the processor lets it choose the AVX2 ones.
fn toolchain() -> Result<String, String> {
    let rustc = output("rustc", &["--version", "--verbose"])?;
    let field = |name: &str| rustc.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown").trim();
    let libc = output("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(|_| "other libc".into());
    Ok(format!("rustc {} {} {} {}", field("release:"), field("host:"), libc.trim(), processor()))
}

#[cfg(target_arch = "x86_64")]
fn processor() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx2") { "avx2" } else { "sse2" }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> &'static str {
    "any"
}

fn file_of(toolchain: &str) -> String {
    toolchain.replace(' ', "_") + ".tsv"
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
