//! No value of a user or a server leaves its place in the request.

use std::time::Duration;

use cvm_watch_core::{
    Action, ApiKey, CloseCause, CvmId, Input, Policy, PolicyBuilder, Request, ResponseHead, Timestamp, Watch,
};

use super::choices::Choices;

/// Asserts: an identifier is refused or changed by its rules alone; the path has three segments, of
/// which the second reads back as the identifier, and the query three fields, of which the first
/// reads back as the target; header names are tokens; header values, the last event id among them,
/// are what was given, without control characters; the key is in no `Debug`.
pub fn check(data: &[u8]) {
    let mut choices = Choices::new(data);
    let [id, target, header, value, key, event_id] = std::array::from_fn(|_| choices.text());
    let expected_id = by_the_rules(&id);
    assert_eq!(CvmId::new(&id).ok().map(|id| id.to_string()), expected_id, "the identifier of {id:?}");

    let with_header = |builder: PolicyBuilder| builder.header(&header, &value);
    let base = || Policy::builder(&target).retry_delay(Duration::ZERO);
    if target.trim().is_empty() {
        return assert!(base().build().is_err(), "{target:?} was taken");
    }
    let (Ok(id), Some(expected_id)) = (CvmId::new(&id), expected_id) else { return };
    let mut builder = base();
    let usable = with_header(base()).build().is_ok();
    let sound = is_token(&header) && !has_control(&value) && !is_ours(&header);
    assert_eq!(usable, sound, "whether {header:?}: {value:?} is a header to take");
    if usable {
        builder = with_header(builder);
    }
    let key = ApiKey::new(&key);
    if let Ok(key) = &key {
        assert!(!has_control(key.expose()), "the key {key:?}");
        builder = builder.credential(key.clone());
    }
    let Ok(policy) = builder.build() else { panic!("{target:?} was refused") };
    let mut watch = Watch::new(policy.into(), id.clone(), 1, Timestamp::ZERO);
    let request = request(&mut watch);
    assert_sound(&request, &expected_id, &target);
    assert_eq!(sent(&request, "Last-Event-ID"), None);
    assert_eq!(sent(&request, "X-API-Key"), key.as_ref().ok().map(ApiKey::expose));
    if usable {
        assert!(request.headers().iter().any(|sent| sent.name() == header && sent.value() == value));
    }
    // A short key occurs in other text by chance, and so does one of spaces or punctuation.
    let is_distinct = |key: &&ApiKey| key.expose().len() > 12 && key.expose().chars().all(char::is_alphanumeric);
    if let Some(key) = key.as_ref().ok().filter(is_distinct) {
        let shown = format!("{request:?}");
        let given = [id.as_str(), &target, &header, request.path_and_query()];
        assert!(given.iter().any(|given| given.contains(key.expose())) || !shown.contains(key.expose()), "{shown}");
    }

    let again = resumed(&mut watch, &event_id);
    let line = event_id.split(['\r', '\n']).next().unwrap_or_default();
    let resumable = !line.is_empty() && !has_control(line) && line.len() <= 1024;
    assert_eq!(sent(&again, "Last-Event-ID"), resumable.then_some(line), "from {event_id:?}");
    assert_eq!(again.path_and_query(), request.path_and_query());
}

/// The three rules, in another form than in the code.
fn by_the_rules(given: &str) -> Option<String> {
    if given.is_empty() || given == "." || given == ".." || has_control(given) {
        return None;
    }
    let digits: Vec<char> = given.chars().filter(|char| *char != '-').collect();
    let hex = digits.iter().all(char::is_ascii_hexdigit);
    // The positions of a dash, in digits before it.
    let mut before = 0;
    let mut dashes = Vec::new();
    for char in given.chars() {
        if char == '-' { dashes.push(before) } else { before += 1 }
    }
    let once = dashes.windows(2).all(|pair| pair[0] < pair[1]);
    let placed = once && dashes.iter().all(|at| [8, 12, 16, 20].contains(at));
    let is_uuid = digits.len() == 32 && hex && placed && digits[12] == '4' && "89abAB".contains(digits[16]);
    Some(match (is_uuid, given.len()) {
        (true, _) => digits.into_iter().collect(),
        (false, 40) if hex && dashes.is_empty() => format!("app_{given}"),
        _ => given.into(),
    })
}

fn request(watch: &mut Watch) -> Request {
    while let Some(action) = watch.poll_action() {
        if let Action::Connect { request, .. } = action {
            return request;
        }
    }
    panic!("no request")
}

/// The request after a stream that set this id.
fn resumed(watch: &mut Watch, event_id: &str) -> Request {
    let policy = watch.policy().clone();
    *watch = Watch::new(policy.into(), watch.id().clone(), 1, Timestamp::ZERO);
    let Some(Action::Connect { attempt, .. }) = watch.poll_action() else { panic!("no attempt") };
    watch.handle(Timestamp::ZERO, Input::Head { attempt, head: ResponseHead::new(200), wall: None });
    let line = event_id.split(['\r', '\n']).next().unwrap_or_default();
    let stream = format!("id: {line}\n\n");
    assert_eq!(watch.receive(Timestamp::ZERO, attempt, stream.as_bytes()), stream.len());
    watch.handle(Timestamp::ZERO, Input::Closed { attempt, cause: CloseCause::Ended });
    watch.handle(Timestamp::ZERO, Input::Tick);
    request(watch)
}

fn assert_sound(request: &Request, id: &str, target: &str) {
    let (path, query) = request.path_and_query().split_once('?').expect("a query");
    let segments: Vec<_> = path.split('/').collect();
    let ["", "cvms", segment, "state"] = segments[..] else { panic!("the path {path}") };
    assert_eq!(decoded(segment).as_deref(), Some(id));
    assert!(segment != "." && segment != "..", "a segment that names another path");
    let fields: Vec<_> = query.split('&').filter_map(|field| field.split_once('=')).collect();
    let [("target", value), ("interval", "5"), ("timeout", "300")] = fields[..] else { panic!("the query {query}") };
    assert_eq!(decoded(value).as_deref(), Some(target));
    for header in request.headers() {
        assert!(is_token(header.name()) && !has_control(header.value()), "{header:?}");
    }
}

/// Undoes percent-encoding; `None` for anything but unreserved characters and escapes.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = after;
            }
            b'-' | b'.' | b'_' | b'~' => bytes.push(*first),
            byte if byte.is_ascii_alphanumeric() => bytes.push(*byte),
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

fn sent<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().iter().find(|header| header.name() == name).map(cvm_watch_core::Header::value)
}

fn has_control(text: &str) -> bool {
    text.chars().any(|char| char < ' ' || char == '\u{7f}')
}

fn is_token(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(char))
}

/// Header names that the library reserves.
fn is_ours(name: &str) -> bool {
    let ours = "accept accept-encoding cache-control connection content-length expect host keep-alive last-event-id \
                proxy-connection range te trailer transfer-encoding upgrade x-api-key";
    ours.split(' ').any(|ours| name.eq_ignore_ascii_case(ours))
}
