//! No secret is in a recording, and up to the first echo of one it replays.

use std::fmt::Write;

use cvm_watch_driver::Observed;
use cvm_watch_driver::cvm_watch_core::{ApiKey, CloseCause, CvmId, FailEarly, MemberId, Policy, Timestamp};
use cvm_watch_recording::{Recorder, check};

use crate::random::Random;
use crate::scripted::{Answer, actions, play, record};

const CHARS: [&str; 5] = ["abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789", "-_.~+=/&:;@!", "/", "äßñж", "→漢😀𝄞"];

/// A text of six bytes or more that differs from all others.
fn secret(random: &mut Random) -> String {
    let mut secret = String::from("k");
    for _ in 0..6 + random.below(24) {
        let set: Vec<char> = CHARS[[0, 0, 0, 0, 0, 1, 1, 2, 3, 4][random.below(10)]].chars().collect();
        secret.push(*random.pick(&set));
    }
    secret.push('z');
    secret
}

/// The secret with each character as itself or, once in `rarely`, in an escape.
fn written(secret: &str, rarely: usize, random: &mut Random) -> String {
    let mut text = String::new();
    for char in secret.chars() {
        if !random.once_in(rarely) {
            text.push(char);
        } else if random.once_in(2) {
            text.push_str(&json_escape(char, random));
        } else {
            for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                let _ = if random.once_in(2) { write!(text, "%{byte:02X}") } else { write!(text, "%{byte:02x}") };
            }
        }
    }
    text
}

fn json_escape(char: char, random: &mut Random) -> String {
    match char {
        '/' if random.once_in(2) => "\\/".to_owned(),
        _ => char.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |mut text, unit| {
            let _ = if random.once_in(3) { write!(text, "\\u{unit:04X}") } else { write!(text, "\\u{unit:04x}") };
            text
        }),
    }
}

/// As it stands in a JSON string: backslashes escaped in one way or another, and now and then another
/// character.
fn in_json(text: &str, random: &mut Random) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '\\' if random.once_in(2) => out.push_str("\\\\"),
            '\\' => out.push_str("\\u005c"),
            _ if random.once_in(9) => out.push_str(&json_escape(char, random)),
            _ => out.push(char),
        }
    }
    out
}

/// A repeated secret in a JSON string, in any escaped form.
fn echo_in_json(secret: &str, random: &mut Random) -> String {
    let rarely = *random.pick(&[1, 2, 5, 1000]);
    let text = written(secret, rarely, random);
    if random.once_in(3) { text } else { in_json(&text, random) }
}

fn any<'a>(secrets: &'a [String], random: &mut Random) -> &'a str {
    &secrets[random.below(secrets.len())]
}

/// Innocent text, and now and then the beginning of a secret.
fn noise(secrets: &[String], random: &mut Random) -> String {
    let words =
        ["", " ", "k", "key ", "\\\\", "%", "%4", "~", "~0^", "/", "//", "ä", "😀", "\\u00e9", "starting", "##"];
    let mut text: String = (0..random.below(4)).map(|_| *random.pick(&words)).collect();
    if random.once_in(3) {
        let secret = any(secrets, random);
        let chars = random.below(secret.chars().count());
        text.extend(secret.chars().take(chars));
        text.push('.');
    }
    text
}

fn fields(secrets: &[String], random: &mut Random) -> String {
    let names =
        ["id", "name", "uptime", "boot_progress", "boot_error", "error", "message", "target", "detail", "links"];
    let mut json = String::from("{\"status\":\"starting\"");
    for _ in 0..random.below(4) {
        let (before, after) = (noise(secrets, random), noise(secrets, random));
        let echo = echo_in_json(any(secrets, random), random);
        let _ = write!(json, ",\"{}\":\"{before}{echo}{after}\"", random.pick(&names));
    }
    json + "}"
}

fn stream(secrets: &[String], random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(5) {
        let name = *random.pick(&["state", "state", "error", "x", "message"]);
        let _ = match random.below(8) {
            0 => writeln!(text, ": {}\n", written(any(secrets, random), 5, random)),
            1 => writeln!(text, "id: {}{}", written(any(secrets, random), 5, random), noise(secrets, random)),
            2 => writeln!(text, "event: {}\ndata: 1\n", any(secrets, random)),
            3 => writeln!(text, "event: {name}\ndata: {}\n", written(any(secrets, random), 3, random)),
            _ => {
                let json = fields(secrets, random);
                let eol = random.pick(&["\n", "\r\n", "\r"]);
                write!(text, "event: {name}{eol}data: {json}{eol}{eol}")
            }
        };
    }
    text + &noise(secrets, random)
}

fn answer(secrets: &[String], random: &mut Random) -> Answer {
    let stream_head = vec![("content-type", b"text/event-stream".to_vec())];
    let (status, mut headers, body) = match random.below(8) {
        0 => (503, Vec::new(), fields(secrets, random)),
        1 => (502, Vec::new(), format!("<p>{}</p>", written(any(secrets, random), 4, random))),
        2 => (500, Vec::new(), written(any(secrets, random), 1000, random)),
        3 => (*random.pick(&[403, 302]), Vec::new(), fields(secrets, random)),
        _ => (200, stream_head, stream(secrets, random)),
    };
    for name in ["location", "x-request-id", "retry-after"] {
        if random.once_in(3) {
            let value = format!("{}{}", written(any(secrets, random), 6, random), noise(secrets, random));
            headers.push((name, value.into_bytes()));
        }
    }
    let mut body = body.into_bytes();
    if random.once_in(3) {
        body.truncate(random.below(body.len() + 1));
    }
    if random.once_in(8) {
        body.insert(random.below(body.len() + 1), 0xff);
    }
    let mut chunks = Vec::new();
    let longest = *random.pick(&[1, 2, 7, 40, 1000]);
    while !body.is_empty() {
        let length = (1 + random.below(longest)).min(body.len());
        chunks.push(body.drain(..length).collect());
    }
    let end = *random.pick(&[Some(CloseCause::Ended), Some(CloseCause::Reset), None]);
    Answer { status, headers, chunks, end }
}

fn policy(secrets: &[String], random: &mut Random) -> Policy {
    let mut builder = Policy::builder("running").max_retries(4).keep_raw(random.once_in(2));
    builder = builder.idle_timeout(std::time::Duration::from_secs(5));
    for (number, secret) in secrets.iter().enumerate() {
        builder = match number {
            0 => builder.credential(ApiKey::new(secret).unwrap()),
            1 => builder.header("X-Mine", secret),
            _ => builder.redact(secret),
        };
    }
    builder.build().unwrap()
}

/// What a text says once its escapes are read, from the left, as the core reads them.
fn unescaped(text: &str) -> String {
    let hex = |digits: Option<&str>| digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let mut length = char.len_utf8();
        let mut bytes = char.to_string().into_bytes();
        if let Some(byte) = hex(rest.strip_prefix('%').and_then(|rest| rest.get(..2))) {
            (bytes, length) = (vec![u8::try_from(byte).unwrap_or_default()], 3);
        } else if let Some(high) = hex(rest.strip_prefix("\\u").and_then(|rest| rest.get(..4))) {
            let low = hex(rest.get(6..).and_then(|rest| rest.strip_prefix("\\u")).and_then(|rest| rest.get(..4)));
            let units = [u16::try_from(high).unwrap(), low.and_then(|low| u16::try_from(low).ok()).unwrap_or_default()];
            let taken = if char::from_u32(high).is_some() { 1 } else { 2 };
            (bytes, length) = (String::from_utf16_lossy(&units[..taken]).into_bytes(), (6 * taken).min(rest.len()));
        } else if let Some(next @ ('/' | '\\' | '"')) = rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) {
            (bytes, length) = (next.to_string().into_bytes(), 2);
        }
        out.extend(bytes);
        while !rest.is_char_boundary(length) {
            length -= 1;
        }
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Every text in the recording: its lines, the strings in them, and each body as a whole.
fn texts(recording: &str) -> Vec<String> {
    fn strings(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
            serde_json::Value::Object(fields) => fields.values().for_each(|field| strings(field, into)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    let mut bodies = std::collections::BTreeMap::<u64, Vec<u8>>::new();
    for line in recording.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        strings(&value, &mut texts);
        if let Some(chunk) = value.pointer("/input/chunk") {
            let bytes = match (&chunk["bytes"]["text"], &chunk["bytes"]["base64"]) {
                (serde_json::Value::String(text), _) => text.clone().into_bytes(),
                (_, serde_json::Value::String(text)) => from_base64(text),
                _ if chunk["bytes"]["omitted"].is_u64() => continue,
                _ => panic!("{line}"),
            };
            bodies.entry(chunk["attempt"].as_u64().unwrap()).or_default().extend(bytes);
        }
        texts.push(line.to_owned());
    }
    texts.extend(bodies.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()));
    texts
}

fn from_base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.decode(text).unwrap()
}

fn assert_hidden(secrets: &[String], recording: &str, context: &str) {
    for text in texts(recording) {
        let once = unescaped(&text);
        let twice = unescaped(&once);
        for secret in secrets {
            for (form, reading) in [("as it is", &text), ("escaped", &once), ("escaped twice", &twice)] {
                assert!(!reading.contains(secret.as_str()), "{context}: {secret:?} {form} in {text:?}");
            }
        }
    }
}

/// Plays a recording, which must give the recorded actions, up to the first echo if there is one.
#[track_caller]
fn assert_replays(recording: &str, context: &str) -> Option<u64> {
    let (played, how) = play(recording);
    if let Some(difference) = how.difference {
        panic!("{context}\n{recording}\n{difference:#?}");
    }
    let lines = recording.lines().take(how.echo.map_or(usize::MAX, |line| usize::try_from(line).unwrap()));
    let expected: Vec<_> = lines.filter(|line| line.starts_with("{\"action\":")).collect();
    assert_eq!(played, expected, "{context}");
    how.echo
}

fn policy_of(key: &str) -> Policy {
    Policy::builder("running").credential(ApiKey::new(key).unwrap()).build().unwrap()
}

const KEY: &str = "phak_3X/key+1=";

#[test]
fn a_secret_cut_anywhere_is_in_no_recording_in_any_form() {
    let (policy, secrets) = (policy_of(KEY), [KEY.to_owned()]);
    for echo in [
        "phak_3X/key+1=",
        r"phak_3X\/key+1=",
        r"\u0070hak_3X\u002fkey\u002B1=",
        "phak_3X%2Fkey%2b1%3D",
        r"\\u0070hak_3X\\/key+1=",
        r"\u005cu0070hak\u005f3X\u00252Fkey+1=",
    ] {
        let text =
            format!("data: 1\n\nid: {echo}\nevent: state\ndata: {{\"status\":\"a\",\"boot_error\":\"{echo} c\"}}\n\n");
        for cut in 0..text.len() {
            let recording = record(&policy, &[Answer::stream(&[&text[..cut], &text[cut..]])]);
            assert_hidden(&secrets, &recording, &format!("cut at {cut}"));
            assert!(assert_replays(&recording, &format!("cut at {cut}")).is_some());
            // What the core redacts is there to be read.
            assert!(actions(&recording)[2].contains(r#""boot_error":"*** c""#), "{recording}");
        }
    }
}

#[test]
fn an_id_that_contains_the_key_is_sent_to_the_server_and_not_recorded() {
    let stream = Answer::stream(&["id: a-phak_3X/k", "ey+1=\ndata: 1\n\n"]);
    let recording = record(&policy_of(KEY), &[stream, Answer::stream(&[])]);
    assert!(actions(&recording).iter().any(|line| line.contains(r#"["Last-Event-ID","***"]"#)), "{recording}");
    assert_hidden(&[KEY.to_owned()], &recording, "");
    assert!(assert_replays(&recording, "").is_some());
}

#[test]
fn a_secret_in_a_header_is_in_no_recording() {
    let headers = vec![("location", b"/login?key=phak_3X%2Fkey%2B1%3D".to_vec())];
    let recording = record(&policy_of(KEY), &[Answer { status: 302, headers, ..Answer::stream(&[]) }]);
    assert!(recording.contains(r#"{"name":"location","value":{"text":"/login?key=***"}}"#), "{recording}");
    assert_hidden(&[KEY.to_owned()], &recording, "");
    assert!(assert_replays(&recording, "").is_some());
}

#[test]
fn of_secrets_that_hold_one_another_none_is_in_the_recording() {
    let secrets = ["Bearer phak_3X/key+1=", "phak_3X/key+1=", "key+1="].map(str::to_owned);
    let policy = Policy::builder("running")
        .header("X-Mine", &secrets[0])
        .credential(ApiKey::new(&secrets[1]).unwrap())
        .redact(&secrets[2])
        .build()
        .unwrap();
    let said: String = secrets.iter().map(|secret| format!("<{secret}> ")).collect();
    let escaped = said.replace('/', "\\/").replace('k', "\\u006b").replace('+', "%2b");
    let stream = format!("event: state\ndata: {{\"status\":\"{said}\",\"name\":\"{escaped}\"}}\n\n");
    for cut in 0..stream.len() {
        let recording = record(&policy, &[Answer::stream(&[&stream[..cut], &stream[cut..]])]);
        assert_hidden(&secrets, &recording, &format!("cut at {cut}"));
        assert!(assert_replays(&recording, "").is_some());
        assert!(actions(&recording)[1].contains(r#""status":"<***> <***> <***> ","#), "{recording}");
    }
}

#[test]
fn an_error_body_that_ends_in_the_middle_of_a_secret_does_not_reveal_it() {
    for (body, shown, has_echo) in [
        ("bad key phak_3X/ke", "bad key ***", true),
        (r"bad key phak_3X\/k\u006", "bad key ***", true),
        ("bad key pha", "bad key pha", false),
    ] {
        let answer = Answer { status: 403, end: Some(CloseCause::Truncated), ..Answer::stream(&[body]) };
        let recording = record(&policy_of(KEY), &[answer]);
        assert!(actions(&recording)[1].contains(&format!("\"message\":\"{shown}\"")), "{recording}");
        assert!(!recording.contains("phak"), "{recording}");
        assert_eq!(assert_replays(&recording, body).is_some(), has_echo, "{recording}");
    }
}

#[test]
fn a_secret_in_what_a_recording_begins_with_is_refused_without_being_shown() {
    let id = CvmId::new("my-cvm-of-mine").unwrap();
    for secret in ["cvm-of-mine", "fatal-one", "x-trace-me"] {
        let early = FailEarly::on(["a fatal-one"]);
        let policy =
            Policy::builder("running").header("x-trace-me", "v").fail_early(early).redact(secret).build().unwrap();
        let error = check(&policy, &id).unwrap_err().to_string();
        assert!(error.contains("part of the id") && !error.contains(secret), "{error}");
        let (member, now) = (MemberId::from_number(0), Timestamp::ZERO);
        let mut file = Vec::new();
        let mut recorder = Recorder::new(&mut file);
        let started = Observed::Started { member, policy: &policy, id: &id, seed: 1, now };
        assert!(recorder.observe(started).is_err());
        recorder.observe(Observed::Polled(None)).unwrap();
        drop(recorder);
        assert_eq!(file, b"");
    }
}

#[test]
fn random_secrets_in_every_form_and_cut_are_in_no_recording_and_it_replays_up_to_them() {
    let (mut with_echo, mut without) = (0, 0);
    for seed in 0..80 {
        let mut random = Random::new(seed);
        let secrets: Vec<_> = (0..1 + random.below(3)).map(|_| secret(&mut random)).collect();
        let policy = policy(&secrets, &mut random);
        let echoed = if random.once_in(3) { vec![secret(&mut random)] } else { secrets.clone() };
        let answers: Vec<_> = (0..1 + random.below(4)).map(|_| answer(&echoed, &mut random)).collect();
        let recording = record(&policy, &answers);
        assert_hidden(&secrets, &recording, &format!("seed {seed}"));
        match assert_replays(&recording, &format!("seed {seed}, {secrets:?}")) {
            Some(_) => with_echo += 1,
            None => without += 1,
        }
        if echoed != secrets {
            assert!(!recording.contains("secret_echoed"), "seed {seed}");
        }
    }
    assert!(with_echo > 25 && without > 20, "{with_echo} with an echo, {without} without");
}

/// Contract rows 24 and 27.
#[test]
fn credentials_of_attempts_are_in_no_recording_which_replays_all_the_same() {
    let policy = Policy::builder("running").credential_per_attempt(true).max_retries(9).build().unwrap();
    let refused = || Answer { status: 401, headers: Vec::new(), ..Answer::stream(&[]) };
    // The second attempt has the token that was refused.
    let recording = record(&policy, &[Answer::stream(&[]), Answer::stream(&[]), refused(), refused()]);
    assert!(!recording.contains("hunter"), "{recording}");
    assert!(recording.contains(r#"{"credential":{"attempt":3,"kind":"bearer_token","number":2}}"#), "{recording}");
    let (played, result) = play(&recording);
    assert_eq!((result.difference, result.echo), (None, None), "{recording}");
    assert_eq!(played, actions(&recording));
    assert!(played.last().unwrap().contains(r#""kind":"rejected""#), "{played:?}");

    let echo = Answer::stream(&["data: hunter-", "token-1 was it\n\n"]);
    let recording = record(&policy, &[Answer::stream(&[]), Answer::stream(&[]), echo]);
    assert!(!recording.contains("hunter") && recording.contains("secret_echoed"), "{recording}");
}
