//! Whether the server reports about the CVM that was asked for.

use cvm_watch_core::{Event, printable};
use cvm_watch_hyper::Update;

/// The UUID of a watch, to compare with those that the server names.
pub(super) struct Identity {
    /// The id as given, if it is a UUID and no other was seen.
    asked: Option<String>,
}

impl Identity {
    pub(super) fn new(id: &str) -> Self {
        Self { asked: uuid(id).map(|_| id.to_owned()) }
    }

    /// A warning, once, when a state or a completion names another UUID.
    pub(super) fn doubt(&mut self, update: &Update) -> Option<String> {
        let asked = self.asked.as_deref()?;
        let Update::Event { event, .. } = update else { return None };
        let named = match event {
            Event::State(state) => state.id.clone(),
            Event::Complete(complete) => id_of(complete.raw.as_deref()?),
            _ => None,
        }?;
        let named = uuid(&named).filter(|named| uuid(asked).as_ref() != Some(named))?;
        let message = format!("the server reports about the CVM {}, not {asked}", printable(&named, 40));
        self.asked = None;
        Some(message)
    }
}

/// The `id` of an event.
fn id_of(json: &str) -> Option<String> {
    serde_json::from_str::<serde_json::Value>(json).ok()?.get("id")?.as_str().map(str::to_owned)
}

/// The 32 digits of a UUID in lower case.
fn uuid(id: &str) -> Option<String> {
    let digits = id.replace('-', "").to_ascii_lowercase();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_uuid.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_core::AttemptId;
    use cvm_watch_core::sse;

    const ASKED: &str = "550e8400-e29b-41d4-a716-446655440000";

    fn doubts(asked: &str, events: &[(&str, &str)]) -> Vec<Option<String>> {
        let mut identity = Identity::new(asked);
        let update = |(name, data): &(&str, &str)| {
            Update::event(AttemptId::from_number(1), "", Event::parse(&sse::Event::new(name, data, "")))
        };
        events.iter().map(|event| identity.doubt(&update(event))).collect()
    }

    #[test]
    fn another_uuid_is_doubted_once_and_other_ids_are_not() {
        let own = r#"{"status":"running","id":"550E8400E29B41D4A716446655440000"}"#;
        let hash = r#"{"status":"running","id":"cvm_abc"}"#;
        let none = r#"{"status":"running"}"#;
        let other = r#"{"status":"running","id":"550e8400-e29b-41d4-a716-446655440001"}"#;
        for name in ["state", "complete"] {
            let found = doubts(ASKED, &[(name, own), (name, hash), (name, none), (name, other), (name, other)]);
            let expected = format!("the server reports about the CVM 550e8400e29b41d4a716446655440001, not {ASKED}");
            assert_eq!(found, [None, None, None, Some(expected), None], "{name}");
        }
        assert_eq!(doubts("my-cvm", &[("state", other)]), [None]);
    }
}
