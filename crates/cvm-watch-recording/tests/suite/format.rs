//! What is written when, and what is made of a file that is not as it should be.

use cvm_watch_driver::core::{ApiKey, CloseCause, CvmId, Policy};
use cvm_watch_recording::{Player, Recorder};

use crate::life::{ALONE, Answer, actions, play, record, record_and_look};

const KEY: &str = "phak_Example/1234";

fn config() -> Policy {
    Policy::builder("running").api_key(ApiKey::new(KEY).unwrap()).max_retries(1).build().unwrap()
}

fn boot() -> String {
    let states = "event: state\ndata: {\"status\":\"starting\"}\n\nevent: state\ndata: {\"status\":\"running\"}\n\n";
    let lost = Answer { end: Some(CloseCause::Reset), ..Answer::stream(&["event: state\nda"]) };
    record(&config(), &[lost, Answer::stream(&[states, "event: complete\ndata: {\"status\":\"running\"}\n\n"])])
}

fn error(recording: &str) -> String {
    let played = Player::new(recording.as_bytes()).and_then(|player| player.play(|_| {}));
    played.unwrap_err().to_string()
}

#[test]
fn a_recording_has_every_input_and_every_action_in_order() {
    let recording = boot();
    let shown: Vec<_> = recording
        .lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let told = value.pointer("/told").map(|told| match told {
                serde_json::Value::Object(told) => told.keys().next().cloned().unwrap_or_default(),
                other => other.as_str().unwrap_or_default().to_owned(),
            });
            told.unwrap_or_else(|| value["action"].as_str().unwrap_or("first").to_owned())
        })
        .collect();
    let expected = "first connect head chunk closed retrying tick connect head chunk emit rest emit chunk emit \
                    disconnect resolve closed abort";
    assert_eq!(shown.join(" "), expected);
    let (played, how) = play(&recording);
    assert_eq!((played.iter().map(String::as_str).collect::<Vec<_>>(), how.difference), (actions(&recording), None));
}

#[test]
fn a_changed_action_and_a_changed_input_are_found_with_their_line() {
    let recording = boot();
    let (_, how) = play(&recording.replacen("\"resolve\"", "\"resolved\"", 1));
    let difference = how.difference.unwrap();
    assert_eq!(difference.line, 17);
    assert!(difference.then.unwrap().contains("resolved") && difference.now.unwrap().contains("\"resolve\""));
    // Without the loss nothing is retried, and so on; the first difference is the one that is told.
    let without: String =
        recording.lines().filter(|line| !line.contains("closed")).map(|line| format!("{line}\n")).collect();
    let difference = play(&without).1.difference.unwrap();
    assert_eq!((difference.line, difference.now), (5, None));
    // An action that is not in the recording.
    let without: String =
        recording.lines().filter(|line| !line.contains("retrying")).map(|line| format!("{line}\n")).collect();
    let difference = play(&without).1.difference.unwrap();
    assert_eq!((difference.line, difference.then), (6, None));
    assert!(difference.now.unwrap().contains("retrying"));
    // Another number of bytes taken.
    let difference = play(&recording.replacen("\"taken\":41", "\"taken\":40", 1)).1.difference.unwrap();
    assert_eq!(difference.now.as_deref(), Some("41 bytes taken"));
}

#[test]
fn a_recording_that_ends_anywhere_is_played_up_to_there() {
    let recording = boot();
    let first = recording.find('\n').unwrap() + 1;
    for end in first..recording.len() {
        let (played, how) = play(&recording[..end]);
        assert_eq!(how.difference, None, "cut at {end}");
        assert_eq!(
            how.unfinished.is_some(),
            !matches!(&recording.as_bytes()[end - 1..=end], [b'\n', _] | [_, b'\n']),
            "cut at {end}"
        );
        assert_eq!(played, actions(&recording)[..played.len()], "cut at {end}");
    }
}

#[test]
fn a_recording_that_an_editor_or_git_has_rewritten_is_the_same_recording() {
    let recording = boot();
    let expected = play(&recording);
    for (how, rewritten) in [
        ("CRLF", recording.replace('\n', "\r\n")),
        ("blank lines", recording.replace('\n', "\n\n \r\n")),
        ("a byte order mark", format!("\u{feff}{recording}")),
        ("no line end", recording.trim_end().to_owned()),
        ("all of it", format!("\u{feff}{}", recording.replace('\n', "\r\n\r\n"))),
    ] {
        assert_eq!(play(&rewritten), expected, "{how}");
    }
    // Lines are counted as an editor does.
    let error = error(&recording.replacen('\n', "\r\n\r\nx\r\n", 1));
    assert!(error.starts_with("line 3: expected value"), "{error}");
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let first = boot().lines().next().unwrap().to_owned();
    for (file, expected) in [
        (String::new(), "line 1: is not the first line of a recording"),
        ("\n".to_owned(), "line 1: is not the first line of a recording"),
        ("{\"status\":\"running\"}\n".to_owned(), "line 1: is not the first line of a recording"),
        ("\u{0}\u{1}".to_owned(), "line 1: is not the first line of a recording"),
        (first.replace("\"recording\":1", "\"recording\":2"), "line 1: the format is 2, and only 1 is known here"),
        (first.replace("\"interval\":{\"secs\":5", "\"interval\":{\"secs\":4"), "line 1: interval \"4s\" must be"),
        (first.replace("\"keep_raw\"", "\"keep_row\""), "line 1: unknown field `keep_row`"),
        (format!("{first}\nx\n"), "line 2: expected value"),
        (format!("{first}\n{{\"at\":1,\"told\":\"sleep\"}}\n"), "line 2: unknown variant `sleep`"),
        (format!("{first}\n{{\"at\":-1,\"told\":\"tick\"}}\n"), "line 2: invalid value"),
        (
            format!("{first}\n{{\"at\":1,\"told\":{{\"closed\":{{\"attempt\":1,\"cause\":\"bored\"}}}}}}\n"),
            "line 2: the cause \"bored\" is none of dns,",
        ),
        (
            format!(
                "{first}\n{{\"at\":1,\"told\":{{\"chunk\":{{\"attempt\":1,\"taken\":1,\"bytes\":{{\"base64\":\"?\"}}}}}}}}\n"
            ),
            "line 2: bad base64",
        ),
        (format!("{first}\n{}", "[".repeat(100_000) + "\n"), "line 2: "),
    ] {
        let error = error(&file);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn any_numbers_in_a_recording_do_no_harm() {
    let first = boot().lines().next().unwrap().to_owned();
    let huge = u64::MAX;
    let file = format!(
        "{}\n{{\"at\":{huge},\"told\":{{\"rest\":{{\"taken\":{huge}}}}}}}\n\
         {{\"at\":0,\"told\":{{\"head\":{{\"attempt\":{huge},\"status\":65535,\"headers\":[],\"wall\":{huge}}}}}}}\n\
         {{\"at\":{huge},\"told\":\"tick\"}}\n{{\"at\":{huge},\"told\":{{\"yield\":{{\"attempt\":0}}}}}}\n\
         {{\"at\":0,\"told\":\"permit\"}}\n{{\"at\":5,\"told\":\"resumed\"}}\n",
        first
            .replace("\"seed\":7", &format!("\"seed\":{huge}"))
            .replace("\"start\":1000000000000000", "\"start\":18446744073709551615")
    );
    assert!(play(&file).1.difference.is_some());
}

#[test]
fn bytes_that_may_begin_an_echo_wait_until_the_next_ones_decide() {
    let mut written = Vec::new();
    let chunks = ["event: x\ndata: phak_Ex", "ample\\/1", "234\n\n", "data: 100", "%\n\n"];
    let answer = Answer { end: None, ..Answer::stream(&chunks) };
    let recording = record_and_look(&config(), &[answer], |file| {
        let text = String::from_utf8(file.to_vec()).unwrap();
        written.push(text.lines().filter(|line| line.contains("\"chunk\"")).count());
    });
    assert_eq!(written, [0, 0, 3, 4, 5]);
    assert!(recording.contains("data: ~0^^^^^\"") && recording.contains("\"^^^^^\\\\/^\""), "{recording}");
    assert!(actions(&recording)[1].contains("***"), "{recording}");
    assert_eq!(play(&recording).1.difference, None);
}

#[test]
fn a_recorder_that_cannot_write_says_so_once() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    use cvm_watch_driver::Observed;
    use cvm_watch_driver::core::{Action, Input, Timestamp};
    let (policy, now) = (config(), Timestamp::ZERO);
    let mut recorder = Recorder::new(Full(2));
    let started =
        Observed::Started { member: ALONE, policy: &policy, id: &CvmId::new("my-cvm").unwrap(), seed: 1, now };
    let mut errors = Vec::new();
    for observed in [started].into_iter().chain([Observed::Polled(Some((ALONE, &Action::AskPermit))); 3]) {
        errors.extend(recorder.observe(observed).err().map(|error| error.to_string()));
    }
    recorder.observe(Observed::Handled { now, member: Some(ALONE), input: &Input::Abort }).unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
}
