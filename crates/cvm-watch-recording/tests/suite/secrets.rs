//! No secret is in a recording, and the recording is as good as if it were.

use std::fmt::Write;

use cvm_watch_driver::core::{ApiKey, CloseCause, Policy};

use crate::life::{Answer, actions, play, record};
use crate::random::Random;

const CHARS: [&str; 5] = ["abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789", "-_.~+=/&:;@!", "/", "äßñж", "→漢😀𝄞"];

/// A text of six bytes or more that can be told from others.
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

/// An echo as it may stand in a JSON string, in any form.
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

fn config(secrets: &[String], random: &mut Random) -> Policy {
    let mut builder = Policy::builder("running").max_retries(4).keep_raw(random.once_in(2));
    builder = builder.idle_timeout(std::time::Duration::from_secs(5));
    for (number, secret) in secrets.iter().enumerate() {
        builder = match number {
            0 => builder.api_key(ApiKey::new(secret).unwrap()),
            1 => builder.header("X-Mine", secret),
            _ => builder.mask(secret),
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
        if let Some(chunk) = value.pointer("/told/chunk") {
            let bytes = match (&chunk["bytes"]["text"], &chunk["bytes"]["base64"]) {
                (serde_json::Value::String(text), _) => text.clone().into_bytes(),
                (_, serde_json::Value::String(text)) => from_base64(text),
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

#[track_caller]
fn assert_same(recording: &str, context: &str) {
    let (played, how) = play(recording);
    if let Some(difference) = how.difference {
        let told: Vec<_> = recording.lines().skip(1).filter(|line| line.starts_with("{\"at\"")).collect();
        panic!("{context}\n{}\n{difference:#?}", told.join("\n"));
    }
    assert_eq!(played, actions(recording), "{context}");
}

/// A stream of one event with this text, cut before each of its bytes in turn; the actions are those
/// of the whole.
fn check_each_cut(policy: &Policy, secrets: &[String], text: &str) -> Vec<String> {
    let whole = record(policy, &[Answer::stream(&[text])]);
    for cut in text.char_indices().map(|(at, _)| at) {
        let recording = record(policy, &[Answer::stream(&[&text[..cut], &text[cut..]])]);
        assert_hidden(secrets, &recording, &format!("cut at {cut}"));
        assert_same(&recording, &format!("cut at {cut}"));
        assert_eq!(actions(&recording), actions(&whole), "cut at {cut}");
    }
    actions(&whole).into_iter().map(str::to_owned).collect()
}

#[test]
fn an_echo_cut_anywhere_is_replaced_in_its_own_form() {
    let secrets = ["phak_3X/key+1=".to_owned()];
    let policy = Policy::builder("running").api_key(ApiKey::new(&secrets[0]).unwrap()).build().unwrap();
    for echo in [
        "phak_3X/key+1=",
        r"phak_3X\/key+1=",
        r"\u0070hak_3X\u002fkey\u002B1=",
        "phak_3X%2Fkey%2b1%3D",
        r"\\u0070hak_3X\\/key+1=",
        r"\u005cu0070hak\u005f3X\u00252Fkey+1=",
    ] {
        let stream = format!("id: {echo}\nevent: state\ndata: {{\"status\":\"a\",\"boot_error\":\"b {echo} c\"}}\n\n");
        let actions = check_each_cut(&policy, &secrets, &stream);
        assert!(actions[1].contains(r#""boot_error":"b *** c""#), "{actions:?}");
    }
}

#[test]
fn an_id_that_echoes_the_key_goes_back_to_the_server_unseen() {
    let secrets = ["phak_3X/key+1=".to_owned()];
    let policy = Policy::builder("running").api_key(ApiKey::new(&secrets[0]).unwrap()).build().unwrap();
    let stream = Answer::stream(&["id: a-phak_3X/k", "ey+1=\ndata: 1\n\n"]);
    let recording = record(&policy, &[stream, Answer::stream(&[])]);
    assert!(actions(&recording).iter().any(|line| line.contains(r#"["Last-Event-ID","***"]"#)), "{recording}");
    assert_hidden(&secrets, &recording, "");
    assert_same(&recording, "");
}

#[test]
fn of_secrets_that_hold_one_another_each_is_replaced() {
    let secrets = ["Bearer phak_3X/key+1=", "phak_3X/key+1=", "key+1="].map(str::to_owned);
    let policy = Policy::builder("running")
        .header("X-Mine", &secrets[0])
        .api_key(ApiKey::new(&secrets[1]).unwrap())
        .mask(&secrets[2])
        .build()
        .unwrap();
    let said: String = secrets.iter().map(|secret| format!("<{secret}> ")).collect();
    let escaped = said.replace('/', "\\/").replace('k', "\\u006b").replace('+', "%2b");
    let stream = format!("event: state\ndata: {{\"status\":\"{said}\",\"name\":\"{escaped}\"}}\n\n");
    let actions = check_each_cut(&policy, &secrets, &stream);
    assert!(actions[1].contains(r#""status":"<***> <***> <***> ","#), "{actions:?}");
    assert!(actions[1].contains(r#""name":"<***> <***> <***> ","#), "{actions:?}");
}

#[test]
fn an_error_body_that_ends_in_the_middle_of_an_echo_keeps_it_to_itself() {
    let secrets = ["phak_3X/key+1=".to_owned()];
    let policy = Policy::builder("running").api_key(ApiKey::new(&secrets[0]).unwrap()).build().unwrap();
    for (body, shown) in [
        ("bad key phak_3X/ke", "bad key ***"),
        (r"bad key phak_3X\/k\u006", "bad key ***"),
        ("bad key pha", "bad key pha"),
    ] {
        let answer = Answer { status: 403, end: Some(CloseCause::Truncated), ..Answer::stream(&[body]) };
        let recording = record(&policy, &[answer]);
        assert!(actions(&recording)[1].contains(&format!("\"message\":\"{shown}\"")), "{recording}");
        assert!(!recording.contains("phak"), "{recording}");
        assert_same(&recording, body);
    }
}

#[test]
fn random_echoes_in_every_form_and_cut_leave_no_secret_and_the_same_actions() {
    let mut echoes = 0;
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let secrets: Vec<_> = (0..1 + random.below(3)).map(|_| secret(&mut random)).collect();
        let policy = config(&secrets, &mut random);
        let answers: Vec<_> = (0..1 + random.below(4)).map(|_| answer(&secrets, &mut random)).collect();
        let recording = record(&policy, &answers);
        assert_hidden(&secrets, &recording, &format!("seed {seed}"));
        assert_same(&recording, &format!("seed {seed}, {secrets:?}"));
        let said = |line: &&&str| !line.contains("\"connect\"") && line.contains("***");
        echoes += actions(&recording).iter().filter(said).count();
    }
    assert!(echoes > 100, "only {echoes} actions had an echo");
}
