//! What is written when, and what is made of a file that is not as it should be.

use cvm_watch_driver::Observed;
use cvm_watch_driver::cvm_watch_core::{Action, ApiKey, CloseCause, CvmId, Input, MemberId, Policy, Timestamp};
use cvm_watch_recording::{Player, Recorder};

use crate::scripted::{Answer, actions, play, record, record_and_look};

const KEY: &str = "phak_Example/1234";

fn policy() -> Policy {
    Policy::builder("running").credential(ApiKey::new(KEY).unwrap()).max_retries(1).build().unwrap()
}

fn boot() -> String {
    let states = "event: state\ndata: {\"status\":\"starting\"}\n\nevent: state\ndata: {\"status\":\"running\"}\n\n";
    let failing = Answer { end: Some(CloseCause::Reset), ..Answer::stream(&["event: state\nda"]) };
    record(&policy(), &[failing, Answer::stream(&[states, "event: complete\ndata: {\"status\":\"running\"}\n\n"])])
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
            let input = value.pointer("/input").map(|input| match input {
                serde_json::Value::Object(input) => input.keys().next().cloned().unwrap_or_default(),
                other => other.as_str().unwrap_or_default().to_owned(),
            });
            input.unwrap_or_else(|| value["action"].as_str().unwrap_or("first").to_owned())
        })
        .collect();
    let expected = "first watch connect head chunk closed retrying tick connect head chunk emit rest emit chunk emit \
                    disconnect resolve closed abort";
    assert_eq!(shown.join(" "), expected);
    let (played, how) = play(&recording);
    assert_eq!((played.iter().map(String::as_str).collect::<Vec<_>>(), how.difference), (actions(&recording), None));
    assert_eq!((how.echo, how.unfinished), (None, None));
}

#[test]
fn a_changed_action_and_a_changed_input_are_found_with_their_line() {
    let recording = boot();
    let (_, how) = play(&recording.replacen("\"resolve\"", "\"resolved\"", 1));
    let difference = how.difference.unwrap();
    assert_eq!(difference.line, 18);
    assert!(difference.then.unwrap().contains("resolved") && difference.now.unwrap().contains("\"resolve\""));
    // Without the failed attempt there is no retry, and so on; only the first difference is reported.
    let without: String =
        recording.lines().filter(|line| !line.contains("{\"closed\":{")).map(|line| format!("{line}\n")).collect();
    let difference = play(&without).1.difference.unwrap();
    assert_eq!((difference.line, difference.now), (6, None));
    // An action that is not in the recording.
    let without: String =
        recording.lines().filter(|line| !line.contains("retrying")).map(|line| format!("{line}\n")).collect();
    let difference = play(&without).1.difference.unwrap();
    assert_eq!((difference.line, difference.then), (7, None));
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
    let boot = boot();
    let (first, rest) = boot.split_once('\n').unwrap();
    let watch = rest.lines().next().unwrap();
    for (file, expected) in [
        (String::new(), "line 1: is not the first line of a recording"),
        ("\n".to_owned(), "line 1: is not the first line of a recording"),
        ("{\"status\":\"running\"}\n".to_owned(), "line 1: is not the first line of a recording"),
        ("\u{0}\u{1}".to_owned(), "line 1: is not the first line of a recording"),
        (first.replace("\"recording\":2", "\"recording\":3"), "line 1: the format is 3, and only 2 is known here"),
        (first.replace("\"by\"", "\"bye\""), "line 1: unknown field `bye`"),
        (format!("{first}\n{}\n", watch.replace("{\"secs\":5,", "{\"secs\":4,")), "line 2: interval \"4s\" must be"),
        (format!("{first}\n{}\n", watch.replace("\"keep_raw\"", "\"keep_row\"")), "line 2: unknown field `keep_row`"),
        (format!("{first}\n{}\n", watch.replace("\"id\":\"my-cvm\"", "\"id\":\"..\"")), "line 2: id \"..\" is a path"),
        (
            format!("{first}\n{{\"at\":1,\"input\":{{\"watch\":{{\"id\":\"a\",\"seed\":1}}}}}}\n"),
            "line 2: has no policy",
        ),
        (format!("{first}\n{watch}\n{watch}\n"), "line 3: begins a second watch outside of a fleet"),
        (format!("{first}\n{{\"at\":1,\"input\":\"tick\"}}\n"), "line 2: member 0 has not begun"),
        (format!("{first}\n{watch}\nx\n"), "line 3: expected value"),
        (format!("{first}\n{watch}\n{{\"at\":1,\"input\":\"sleep\"}}\n"), "line 3: unknown variant `sleep`"),
        (format!("{first}\n{watch}\n{{\"at\":-1,\"input\":\"tick\"}}\n"), "line 3: invalid value"),
        (
            format!("{first}\n{watch}\n{{\"at\":1,\"input\":{{\"closed\":{{\"attempt\":1,\"cause\":\"bored\"}}}}}}\n"),
            "line 3: unknown variant `bored`, expected one of `dns`,",
        ),
        (
            format!(
                "{first}\n{watch}\n{{\"at\":1,\"input\":{{\"chunk\":{{\"attempt\":1,\"taken\":1,\"bytes\":{{\"base64\":\"?\"}}}}}}}}\n"
            ),
            "line 3: bad base64",
        ),
        (format!("{first}\n{}", "[".repeat(100_000) + "\n"), "line 2: "),
    ] {
        let error = error(&file);
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn the_inputs_of_format_1_are_played() {
    let recording = r#"{"recording":1,"by":"0.1.0","start":7,"seed":1,"config":{"id":"my-cvm","target":"running"}}
{"at":5,"undrained":true,"told":"abort"}
{"action":"fail","kind":"aborted"}
"#;
    let (played, how) = play(recording);
    assert_eq!((played.len(), how.difference), (1, None));
}

#[test]
fn any_numbers_in_a_recording_do_no_harm() {
    let boot = boot();
    let (first, rest) = boot.split_once('\n').unwrap();
    let watch = rest.lines().next().unwrap();
    let huge = u64::MAX;
    let file = format!(
        "{first}\n{}\n\
         {{\"at\":{huge},\"input\":{{\"rest\":{{\"taken\":{huge}}}}}}}\n\
         {{\"at\":0,\"input\":{{\"head\":{{\"attempt\":{huge},\"status\":65535,\"headers\":[],\"wall\":{huge}}}}}}}\n\
         {{\"at\":{huge},\"input\":\"tick\"}}\n{{\"at\":0,\"input\":{{\"paused\":true}}}}\n\
         {{\"at\":5,\"input\":\"resumed\"}}\n{{\"at\":5,\"input\":\"removed\"}}\n",
        watch
            .replace("\"seed\":7", &format!("\"seed\":{huge}"))
            .replace("\"at\":1000000000000000", &format!("\"at\":{huge}"))
    );
    assert!(play(&file).1.difference.is_some());
}

#[test]
fn bytes_that_may_begin_a_secret_wait_until_the_next_ones_decide() {
    let mut written = Vec::new();
    let chunks = ["event: x\ndata: phak_Ex", "cellent\n\n", "data: 1", "00%\n\n"];
    let answer = Answer { end: None, ..Answer::stream(&chunks) };
    let recording = record_and_look(&policy(), &[answer], |file| {
        let text = String::from_utf8(file.to_vec()).unwrap();
        written.push(text.lines().filter(|line| line.contains("\"chunk\"")).count());
    });
    assert_eq!(written, [0, 2, 3, 4]);
    let (played, how) = play(&recording);
    assert_eq!((played.iter().map(String::as_str).collect::<Vec<_>>(), how.difference), (actions(&recording), None));
    assert_eq!(how.echo, None);
}

#[test]
fn a_repeated_secret_ends_the_comparison_and_is_in_no_line() {
    let chunks = ["data: 1\n\nevent: x\ndata: phak_Ex", "ample\\/1", "234\n\n", "data: 100%\n\n"];
    let recording = record(&policy(), &[Answer { end: None, ..Answer::stream(&chunks) }]);
    let lines: Vec<_> = recording.lines().collect();
    let echoed = lines.iter().position(|line| line.ends_with("\"input\":\"secret_echoed\"}")).unwrap();
    let (before, after) = (lines[..echoed].join("\n"), lines[echoed..].join("\n"));
    // The bytes of the echo are left out. What follows is there to be read.
    for length in [31, 8, 5] {
        assert!(after.contains(&format!("\"bytes\":{{\"omitted\":{length}}}")), "{recording}");
    }
    assert!(after.contains("data: 100%") && after.contains(r#"{"other":{"name":"x","data":"***"}}"#), "{recording}");
    assert!(!recording.contains("phak") && !recording.contains("ample"), "{recording}");
    let (played, how) = play(&recording);
    assert_eq!((how.difference, how.echo), (None, Some(echoed as u64 + 1)));
    assert_eq!(played, actions(&before));
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
    let (policy, now) = (policy(), Timestamp::ZERO);
    let mut recorder = Recorder::new(Full(2));
    let (member, id) = (MemberId::from_number(0), CvmId::new("my-cvm").unwrap());
    let started = Observed::Started { member, policy: &policy, id: &id, seed: 1, now };
    let action = Action::Fail(cvm_watch_driver::cvm_watch_core::Failure::Aborted);
    let mut errors = Vec::new();
    for observed in [started].into_iter().chain([Observed::Polled(Some((member, &action))); 3]) {
        errors.extend(recorder.observe(observed).err().map(|error| error.to_string()));
    }
    recorder.observe(Observed::Handled { now, member: None, input: &Input::Abort }).unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
}
