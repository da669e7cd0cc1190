//! The committed fuzz corpus, replayed: what fuzzing found once is a test from then on.

use super::properties;
use std::fs;
use std::panic;
use std::path::Path;

#[test]
fn every_seed_of_the_corpus_keeps_the_properties() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sse_bytes");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("{} is not here, as in a packaged crate; nothing to replay", folder.display());
        return;
    };
    let seeds: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(seeds.len() >= 10, "only {} seeds", seeds.len());
    for seed in seeds {
        let data = fs::read(&seed).unwrap();
        if let Err(panic) = panic::catch_unwind(|| properties::check(&data)) {
            eprintln!("seed {}", seed.display());
            panic::resume_unwind(panic);
        }
    }
}
