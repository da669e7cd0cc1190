//! Who may ask: the key, tokens that expire, the workspace and the API version.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{Refusal, RequestHead, origin_form};
use crate::script::Attempt;

/// Where a token is minted, outside of the base URL.
pub(crate) const TOKEN_PATH: &str = "/token";

/// The account that the event streams of minted tokens count for: a new token does not make a new user.
const TOKEN_ACCOUNT: &str = "the holder of minted tokens";

/// What a request must carry; nothing by default.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) key: Option<String>,
    /// How long a minted token is valid; `None` when no token is required.
    pub(crate) token_lifetime: Option<Duration>,
    pub(crate) workspace: Option<String>,
    pub(crate) version: Option<String>,
    /// When each token was minted.
    minted: Mutex<HashMap<String, Instant>>,
}

impl Access {
    /// Makes the next token, valid from now on.
    pub(crate) fn mint(&self, now: Instant) -> String {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        let token = format!("sim-token-{:04}", minted.len() + 1);
        minted.insert(token.clone(), now);
        token
    }

    /// The answer to a request for a token, in the form of GitHub's OIDC provider; `None` for any other request.
    pub(crate) fn mint_answer(&self, head: &RequestHead, now: Instant) -> Option<Attempt> {
        self.token_lifetime?;
        let origin = origin_form(&head.target);
        let path = origin.split_once('?').map_or(origin, |(path, _)| path);
        let is_asked = path == TOKEN_PATH && head.method == "GET";
        is_asked.then(|| Attempt::json(200, json!({ "value": self.mint(now) })))
    }

    /// Refuses a request without what is required; the account that its event stream counts for.
    ///
    /// `credential` is the API key, or else the bearer token.
    pub(crate) fn check(
        &self,
        head: &RequestHead,
        credential: Option<&str>,
        speed: f64,
        now: Instant,
    ) -> Result<String, Refusal> {
        let account = self.account(head, credential, speed, now)?;
        if let Some(workspace) = &self.workspace
            && head.text("x-phala-workspace").as_ref() != Some(workspace)
        {
            let reason = format!("the CVM belongs to the workspace {workspace:?}");
            let body = json!({ "error_code": "ERR-03-003", "message": reason });
            return Err(Refusal { status: 403, answer: Attempt::json(403, body), reason });
        }
        if let Some(version) = &self.version
            && head.text("x-phala-version").as_ref() != Some(version)
        {
            return Err(Refusal::new(400, format!("the header X-Phala-Version must be {version:?}")));
        }
        Ok(account)
    }

    fn account(
        &self,
        head: &RequestHead,
        credential: Option<&str>,
        speed: f64,
        now: Instant,
    ) -> Result<String, Refusal> {
        let account = credential.unwrap_or_default().to_owned();
        if (self.key.is_none() && self.token_lifetime.is_none())
            || (self.key.is_some() && credential == self.key.as_deref())
        {
            return Ok(account);
        }
        let refused = if self.token_lifetime.is_none() {
            "Invalid or missing API key"
        } else if self.key.is_some() {
            "Invalid or missing API key or token"
        } else {
            "Invalid or missing token"
        };
        let Some(lifetime) = self.token_lifetime else { return Err(Refusal::new(401, refused)) };
        // Where a key is sent, a token beside it does not count.
        let is_token = head.text("x-api-key").is_none();
        let minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = minted.get(&account).filter(|_| is_token) else { return Err(Refusal::new(401, refused)) };
        if now.saturating_duration_since(*at).as_secs_f64() * speed >= lifetime.as_secs_f64() {
            return Err(Refusal::new(401, "The token has expired"));
        }
        Ok(TOKEN_ACCOUNT.to_owned())
    }
}

/// Without the key and the tokens.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("token_lifetime", &self.token_lifetime)
            .field("workspace", &self.workspace)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> RequestHead {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        RequestHead {
            method: "GET".to_owned(),
            target: "/api/v1/cvms/a/state".to_owned(),
            is_http10: false,
            headers: headers.collect(),
        }
    }

    #[test]
    fn a_token_is_valid_for_its_lifetime_at_the_speed_of_the_simulator() {
        let access = Access { token_lifetime: Some(Duration::from_secs(10)), ..Access::default() };
        let start = Instant::now();
        let (first, second) = (access.mint(start), access.mint(start + Duration::from_secs(8)));
        let check = |token: &str, speed: f64, after: u64| {
            let checked = access.check(&head(&[]), Some(token), speed, start + Duration::from_secs(after));
            checked.map_err(|refusal| (refusal.status, refusal.reason))
        };
        assert_eq!(check(&first, 1.0, 9).as_deref(), Ok(TOKEN_ACCOUNT));
        assert_eq!(check(&first, 1.0, 10), Err((401, "The token has expired".to_owned())));
        assert_eq!(check(&first, 2.0, 5), Err((401, "The token has expired".to_owned())));
        assert_eq!(check(&second, 1.0, 17).as_deref(), Ok(TOKEN_ACCOUNT));
        assert_eq!(check("other", 1.0, 0), Err((401, "Invalid or missing token".to_owned())));
    }

    #[test]
    fn a_token_is_no_api_key_and_either_will_do_where_both_are_accepted() {
        let access =
            Access { key: Some("key".to_owned()), token_lifetime: Some(Duration::from_secs(10)), ..Access::default() };
        let now = Instant::now();
        let token = access.mint(now);
        let with_key = head(&[("X-API-Key", &token)]);
        assert_eq!(access.check(&with_key, Some(&token), 1.0, now).unwrap_err().status, 401);
        assert_eq!(access.check(&head(&[]), Some(&token), 1.0, now).unwrap(), TOKEN_ACCOUNT);
        assert_eq!(access.check(&head(&[]), Some("key"), 1.0, now).unwrap(), "key");
        assert_eq!(access.check(&head(&[]), None, 1.0, now).unwrap_err().reason, "Invalid or missing API key or token");
    }

    #[test]
    fn workspace_and_version_must_be_the_ones_required() {
        let access = Access {
            workspace: Some("team-a".to_owned()),
            version: Some("2026-06-23".to_owned()),
            ..Access::default()
        };
        let check = |headers: &[(&str, &str)]| {
            let checked = access.check(&head(headers), None, 1.0, Instant::now());
            checked.map_err(|refusal| refusal.status)
        };
        assert_eq!(check(&[]), Err(403));
        assert_eq!(check(&[("X-Phala-Workspace", "team-b")]), Err(403));
        assert_eq!(check(&[("X-Phala-Workspace", "team-a")]), Err(400));
        let both = [("x-phala-workspace", "team-a"), ("x-phala-version", "2026-06-23")];
        assert_eq!(check(&both).as_deref(), Ok(""));
    }

    #[test]
    fn debug_shows_no_key_and_no_token() {
        let access = Access { key: Some("hunter2".to_owned()), ..Access::default() };
        let token = access.mint(Instant::now());
        let shown = format!("{access:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(&token), "{shown}");
    }
}
