//! The recordings in the folder: each of them was made by the program, and is a test.

use std::fs;
use std::path::PathBuf;

use cvm_watch_recording::Player;

fn recordings() -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/recordings")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let recordings = paths.filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"));
    let mut recordings: Vec<_> = recordings.map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect();
    recordings.sort();
    recordings
}

#[test]
fn each_recording_in_the_folder_replays_to_the_same_actions() {
    let recordings = recordings();
    assert!(recordings.len() >= 10, "only {} recordings were found", recordings.len());
    for (path, recording) in recordings {
        let player = Player::new(recording.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let played = player.play(|_| {}).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!((played.difference, played.unfinished), (None, None), "{}", path.display());
        assert!(played.actions >= if played.echo.is_some() { 1 } else { 2 }, "{}", path.display());
        assert_eq!(played.echo.is_some(), path.display().to_string().contains("echo"), "{}", path.display());
    }
}

#[test]
fn no_recording_in_the_folder_has_the_key_that_it_was_made_with() {
    for (path, recording) in recordings() {
        for part in ["phak", "3Xample", "key+of", "tests="] {
            assert!(!recording.contains(part), "{} has {part}", path.display());
        }
    }
}
