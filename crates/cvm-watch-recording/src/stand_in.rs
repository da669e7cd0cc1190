//! What is recorded in a secret's place: a text of the same shape, so that whatever is decided by
//! lengths, cuts and escapes is decided alike when it is played.
//!
//! A stand-in has as many characters as its secret, each of as many bytes of UTF-8, and a `/` where
//! the secret has one (JSON may write it `\/`, and no other character that a secret here may have
//! has such a short escape). Nothing else of the secret is in it. Where one secret holds another,
//! its stand-in holds the other's at the same place.

use cvm_watch_driver::core::{ConfigError, CvmId, Policy};

/// A shorter secret would be found in ordinary text too.
const SHORTEST: usize = 6;
/// A stand-in of almost nothing but slashes could be found in ordinary text too.
const FEWEST_OWN_CHARACTERS: usize = 4;
/// What stand-ins are made of, by the bytes of a character: two that occur in no secret are taken.
const RARE: [&str; 4] = ["~^!*|;&@$?+=,.<>()", "߀߁߂߃߄߅߆߇", "ꓐꓑꓒꓓꓔꓕꓖꓗ", "𐌰𐌱𐌲𐌳𐌴𐌵𐌶𐌷"];
/// Tells stand-ins of one length apart.
const NUMBERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Words of the wire that decide something. A secret that is part of one cannot be replaced without
/// changing what the words say.
const WORDS: &str = "\u{feff}event:state event:complete event:timeout event:error data:id:retry: message \
    status target elapsed error_code message request_id details suggestions links detail code error \
    instance_id name uptime exited_at boot_progress boot_error shutdown_progress true false null \
    text/event-stream; identity, <title></title> text url href label msg loc";

/// A secret and what stands in for it.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) secret: String,
    pub(crate) stand_in: String,
}

/// Every secret of a watch with its stand-in, the longest first.
#[derive(Clone, Default)]
pub(crate) struct StandIns(Vec<Pair>);

/// Whether a watch of this configuration can be recorded: whether each of its secrets can be told
/// from ordinary text wherever it is echoed.
///
/// # Errors
///
/// A secret that cannot, without showing it: one shorter than 6 bytes, one that could be a number,
/// one with a quote, a backslash, a percent sign, a control character or a blank at an end, one that is part of
/// the id, of a status, of a header's name or of a word of the protocol.
///
/// ```
/// use cvm_watch_driver::core::{ApiKey, CvmId, Policy};
///
/// let id = CvmId::new("my-cvm")?;
/// let policy = |key: &str| Policy::builder("running").api_key(ApiKey::new(key)?).build();
/// assert!(cvm_watch_recording::check(&policy("phak_example")?, &id).is_ok());
/// let error = cvm_watch_recording::check(&policy("x")?, &id).unwrap_err();
/// assert_eq!(error.to_string(), "api key is shorter than 6 bytes, so an echo of it cannot be told from other text and nothing can be recorded; use another one");
/// # Ok::<(), cvm_watch_driver::core::ConfigError>(())
/// ```
pub fn check(policy: &Policy, id: &CvmId) -> Result<(), ConfigError> {
    StandIns::new(policy, id).map(drop)
}

impl StandIns {
    pub(crate) fn new(policy: &Policy, id: &CvmId) -> Result<Self, ConfigError> {
        let mut secrets: Vec<&str> = Vec::new();
        for secret in policy.masked_texts() {
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
        }
        for secret in &secrets {
            if let Some(problem) = problem(secret, policy, id) {
                let problem = format!(
                    "{problem}, so an echo of it cannot be told from other text and nothing can be recorded; use another one"
                );
                return Err(ConfigError::new(name_of(secret, policy), "", problem));
            }
        }
        Self::of(&secrets).ok_or_else(|| {
            ConfigError::new(
                "secrets",
                "",
                "have every character that could stand in for others; nothing can be recorded",
            )
        })
    }

    /// The stand-ins of these secrets; `None` if they have too many different characters.
    fn of(secrets: &[&str]) -> Option<Self> {
        let mut rare = [('\0', '\0'); RARE.len()];
        for (pair, candidates) in rare.iter_mut().zip(RARE) {
            let mut free = candidates.chars().filter(|char| !secrets.iter().any(|secret| secret.contains(*char)));
            *pair = (free.next()?, free.next()?);
        }
        let mut pairs: Vec<Pair> = Vec::new();
        // The shorter first, since the longer may hold them.
        for (secret, number) in secrets.iter().rev().zip(NUMBERS.iter().cycle()) {
            let mut stand_in = shape(secret, &rare, char::from(*number));
            for inner in pairs.iter().rev() {
                for (at, found) in secret.match_indices(&inner.secret) {
                    stand_in.replace_range(at..at + found.len(), &inner.stand_in);
                }
            }
            pairs.push(Pair { secret: (*secret).to_owned(), stand_in });
        }
        pairs.reverse();
        Some(Self(pairs))
    }

    pub(crate) fn pairs(&self) -> &[Pair] {
        &self.0
    }

    /// What stands in for a text that is a secret or no secret at all.
    pub(crate) fn of_secret(&self, secret: &str) -> Option<&str> {
        self.0.iter().find(|pair| pair.secret == secret).map(|pair| pair.stand_in.as_str())
    }

    /// What stands in for a header's value. One that the core does not look for is only hidden.
    pub(crate) fn of_header_value(&self, value: &str) -> String {
        let secret = value.trim();
        match self.of_secret(secret) {
            Some(stand_in) => value.replacen(secret, stand_in, 1),
            None => "*".repeat(value.len().min(SHORTEST - 1)),
        }
    }
}

fn shape(secret: &str, rare: &[(char, char); RARE.len()], number: char) -> String {
    let mut own = 0;
    let stand_in = secret.chars().map(|char| {
        let (marker, filler) = rare.get(char.len_utf8() - 1).copied().unwrap_or_default();
        if char == '/' {
            return char;
        }
        own += 1;
        match own {
            1 => marker,
            2 if char.is_ascii() => number,
            _ => filler,
        }
    });
    stand_in.collect()
}

fn problem(secret: &str, policy: &Policy, id: &CvmId) -> Option<&'static str> {
    let is_in = |text: &str| text.contains(secret);
    if secret.len() < SHORTEST {
        return Some("is shorter than 6 bytes");
    }
    if secret.chars().any(|char| matches!(char, '"' | '\\' | '%') || char.is_control()) || secret.trim() != secret {
        return Some("has a quote, a backslash, a percent sign, a control character or a blank at an end");
    }
    if secret.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return Some("could be a number");
    }
    if secret.chars().filter(|char| *char != '/').count() < FEWEST_OWN_CHARACTERS {
        return Some("is almost nothing but slashes");
    }
    let names = || policy.headers().iter().any(|header| is_in(header.name()));
    let statuses = || policy.fail_early().is_some_and(|early| early.statuses().any(is_in));
    if is_in(id.as_str()) || is_in(policy.target()) || is_in(WORDS) || names() || statuses() {
        return Some("is part of the id, a status, a header's name or a word of the protocol");
    }
    None
}

/// Which secret it is.
fn name_of(secret: &str, policy: &Policy) -> String {
    if policy.api_key().is_some_and(|key| key.expose() == secret) {
        return "api key".to_owned();
    }
    let header = policy.headers().iter().find(|header| header.value().trim() == secret);
    header.map_or_else(|| "proxy password or other secret".to_owned(), |header| format!("header {}", header.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stand_ins(secrets: &[&str]) -> Vec<String> {
        StandIns::of(secrets).unwrap().0.into_iter().map(|pair| pair.stand_in).collect()
    }

    #[test]
    fn a_stand_in_has_the_shape_of_its_secret_and_nothing_else_of_it() {
        assert_eq!(
            stand_ins(&["phak_3X/key+1=", "hunter~2", "pässw😀rd"]),
            ["~2^^^^^/^^^^^^", "~1^^^^^^", "~߁^^^𐌱^^"].map(|text| {
                // `~` is in a secret, so the next two are taken.
                text.replace('^', "!").replace('~', "^")
            })
        );
    }

    #[test]
    fn a_secret_that_holds_another_has_its_stand_in_at_the_same_place() {
        let both = stand_ins(&["Bearer phak_123", "phak_123"]);
        assert_eq!(both, ["~1^^^^^~0^^^^^^", "~0^^^^^^"]);
    }

    #[test]
    fn what_cannot_be_told_from_other_text_is_refused_without_being_shown() {
        let refused = |secret: &str| {
            let policy = Policy::builder("running").header("x-trace-me", "v").mask(secret).build();
            let error = check(&policy.unwrap(), &CvmId::new("my-cvm-of-mine").unwrap()).unwrap_err().to_string();
            assert!(error.starts_with("proxy password or other secret ") && !error.contains(secret), "{error}");
            error
        };
        assert!(refused("12345").contains("shorter than 6 bytes"));
        assert!(refused("123.5e67").contains("could be a number"));
        assert!(refused("//////ab/c").contains("slashes"));
        for secret in ["100%safe", "pass\"word", "pass\\word", "pass\nword", "passphrase "] {
            assert!(refused(secret).contains("quote"));
        }
        for secret in ["running", "cvm-of", "trace-me", "boot_progress", "event-stream"] {
            assert!(refused(secret).contains("is part of"));
        }
    }

    #[test]
    fn a_header_value_that_is_not_looked_for_is_hidden_too() {
        let policy = Policy::builder("running").header("a", "12345").header("b", " abcdef ").build().unwrap();
        let stand_ins = StandIns::new(&policy, &CvmId::new("my-cvm").unwrap()).unwrap();
        assert_eq!(stand_ins.of_header_value("12345"), "*****");
        assert_eq!(stand_ins.of_header_value(" abcdef "), " ~0^^^^ ");
    }
}
