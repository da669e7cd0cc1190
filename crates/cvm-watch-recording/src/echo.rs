//! Finds secrets that a server repeats, also across chunks.

use std::borrow::Cow;

use cvm_watch_driver::cvm_watch_core::Redactor;

/// The placeholder for a secret.
const PLACEHOLDER: &str = "***";
/// How much of a body is searched again with its next chunk. The redactor finds the beginning of a secret from 4
/// bytes on, and each byte takes at most 36, as an escape with each character escaped.
const MARGIN: usize = 5 * 36;
/// The length of the longest escape of one byte.
const LONGEST_ESCAPE: usize = 6;

/// Returns the text with secrets redacted. A text that holds one behind further escapes, as in a JSON string, is
/// replaced as a whole.
pub(crate) fn redact<'a>(text: &'a str, redactor: &Redactor) -> Cow<'a, str> {
    let redacted = redactor.redact(text);
    match unescaped(&redacted) {
        Some((read, _)) if matches!(redactor.redact(&read), Cow::Owned(_)) => Cow::Borrowed(PLACEHOLDER),
        _ => redacted,
    }
}

/// The end of a body, in which a secret may have begun.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    has_begun: bool,
}

impl Tail {
    /// Adds a chunk; returns whether a secret ends in it.
    pub(crate) fn push(&mut self, chunk: &[u8], redactor: &Redactor) -> bool {
        self.bytes.extend_from_slice(chunk);
        let cut = self.bytes.utf8_chunks().last().map_or(0, |last| last.invalid().len());
        let cut = self.bytes.split_off(self.bytes.len() - cut);
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        let redacted = redact(&text, redactor);
        let has_echo = redacted != text;
        if has_echo {
            // The same secret must not be found again.
            self.bytes = redactor.redact(&text).into_owned().into_bytes();
        }
        if !cut.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        let begun_escaped = unescaped(&text).map_or(0, |(read, unread)| match begun_in(&read, redactor) {
            0 => 0,
            begun => begun * LONGEST_ESCAPE + unread,
        });
        let begun = begun_in(&text, redactor).max(begun_escaped);
        self.has_begun = begun > 0;
        self.bytes.extend_from_slice(&cut);
        let first = self.bytes.len().saturating_sub(begun.max(MARGIN));
        self.bytes.drain(..first);
        has_echo
    }

    /// Returns whether the next bytes decide if this is a secret.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }
}

/// Returns how many bytes at the end of the text are the beginning of a secret.
fn begun_in(text: &str, redactor: &Redactor) -> usize {
    let (redacted, cut) = (redactor.redact(text), redactor.redact_cut(text));
    if cut == redacted { 0 } else { redacted.len() - (cut.len() - PLACEHOLDER.len()) }
}

/// Returns the text without JSON escapes, and how many bytes at its end may be part of one; `None` if it has no
/// escape.
fn unescaped(text: &str) -> Option<(String, usize)> {
    let mut read = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        read.push_str(before);
        // A surrogate pair, four digits, or a short escape.
        let char = [2 * LONGEST_ESCAPE, LONGEST_ESCAPE, 2].into_iter().find_map(|length| {
            let (escape, after) = from.split_at_checked(length)?;
            serde_json::from_str::<String>(&format!("\"{escape}\"")).ok().map(|char| (char, after))
        });
        rest = match char {
            Some((char, after)) => {
                read.push_str(&char);
                after
            }
            None if from.len() < 2 * LONGEST_ESCAPE => return Some((read, from.len())),
            None => {
                read.push('\\');
                from.get(1..).unwrap_or_default()
            }
        };
    }
    if rest.len() == text.len() {
        return None;
    }
    read.push_str(rest);
    Some((read, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_driver::cvm_watch_core::{ApiKey, Policy};

    const KEY: &str = "phak_3X/key+1=";
    /// The key in every form in which the core redacts it.
    const ECHOES: [&str; 6] = [
        "phak_3X/key+1=",
        r"phak_3X\/key+1=",
        r"\u0070hak_3X\u002fkey\u002B1=",
        "phak_3X%2Fkey%2b1%3D",
        r"\\u0070hak_3X\\/key+1=",
        r"\u005cu0070hak\u005f3X\u00252Fkey+1=",
    ];

    fn redactor() -> Redactor {
        let policy = Policy::builder("running").credential(ApiKey::new(KEY).unwrap()).build().unwrap();
        policy.redactor().clone()
    }

    /// The chunks of which each is known to hold an echo, or to be in doubt.
    fn found(chunks: &[&[u8]]) -> Vec<(bool, bool)> {
        let (redactor, mut tail) = (redactor(), Tail::default());
        chunks.iter().map(|chunk| (tail.push(chunk, &redactor), tail.has_begun())).collect()
    }

    #[test]
    fn a_secret_is_found_in_each_form_wherever_it_is_cut() {
        for echo in ECHOES {
            let text = format!("id: a\ndata: {{\"b\":\"{echo} \"}}\n\n");
            assert_ne!(redact(&text, &redactor()), text, "{echo}");
            let start = text.find(echo).unwrap();
            for cut in 0..=text.len() {
                let (before, after) = text.as_bytes().split_at(cut);
                let found = found(&[before, after]);
                assert!(!found[1].1, "{echo} cut at {cut}");
                // Where four bytes of the secret or more stand before the cut, they are in doubt.
                assert!(found[0].0 || found[1].0, "{echo} cut at {cut}");
                assert!(found[0].0 == (cut >= start + echo.len()), "{echo} cut at {cut}");
            }
            let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
            let found = found(&bytes);
            assert!(found.iter().any(|(is_whole, _)| *is_whole), "{echo}");
        }
    }

    #[test]
    fn the_beginning_of_a_secret_waits_until_the_next_bytes_decide() {
        let found = |chunks: &[&str]| found(&chunks.iter().map(|chunk| chunk.as_bytes()).collect::<Vec<_>>());
        assert_eq!(
            found(&["pha", "k", "_3X/key+1", "="]),
            [(false, false), (false, true), (false, true), (true, false)]
        );
        assert_eq!(found(&["phak_3", "Y"]), [(false, true), (false, false)]);
        assert_eq!(found(&["x phak_3X/key+1= phak_3", "X/key+1="]), [(true, true), (true, false)]);
        assert_eq!(found(&["phak_3X/key+1=pha", "k_3X/key+1=", "x"]), [(true, false), (true, false), (false, false)]);
    }

    #[test]
    fn what_is_kept_of_a_body_does_not_grow() {
        let (redactor, mut tail) = (redactor(), Tail::default());
        for chunk in ["phak_3X/", "x", "phak", "\\", "%", "\u{fffd}"] {
            for _ in 0..1000 {
                tail.push(chunk.as_bytes(), &redactor);
                assert!(tail.bytes.len() < 1000, "{chunk}: {}", tail.bytes.len());
            }
        }
    }
}
