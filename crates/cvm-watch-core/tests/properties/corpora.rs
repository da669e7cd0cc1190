//! Replays the committed fuzz corpora.

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

use crate::checks::CHECKS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = fuzz().join("corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_of_the_corpora_passes_its_check() {
    for (target, check) in CHECKS {
        let seeds = seeds(target);
        assert!(seeds.len() >= 10, "only {} seeds for {target}", seeds.len());
        for seed in seeds {
            let data = fs::read(&seed).unwrap();
            if let Err(panic) = panic::catch_unwind(|| check(&data)) {
                eprintln!("seed {}", seed.display());
                panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn each_check_is_a_fuzz_target_with_a_dictionary_and_a_corpus() {
    let names = |folder: &str, suffix: &str| {
        let files = fs::read_dir(fuzz().join(folder)).unwrap().map(|file| file.unwrap().file_name());
        let names = files.map(|name| name.to_string_lossy().strip_suffix(suffix).unwrap().to_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let mut checks: Vec<_> = CHECKS.iter().map(|(name, _)| (*name).to_owned()).collect();
    // The decoder's crate has the check and replays the corpus.
    checks.push("sse_bytes".to_owned());
    checks.sort();
    assert_eq!(names("fuzz_targets", ".rs"), checks);
    assert_eq!(names("dictionaries", ".dict"), checks);
    assert_eq!(names("corpus", ""), checks);
}
