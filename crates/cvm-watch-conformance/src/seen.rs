//! What a watch reported, as text.

use cvm_watch_driver::Update;
use cvm_watch_driver::cvm_watch_core::Event;

/// What was seen, with repetitions counted.
#[derive(Default)]
pub(crate) struct Seen {
    items: Vec<(String, usize)>,
    pub(crate) events: usize,
}

impl Seen {
    pub(crate) fn add(&mut self, update: &Update) {
        let text = match update {
            Update::Connecting { .. } | Update::Ended => return,
            Update::Event { event, .. } => {
                self.events += 1;
                name(event)
            }
            Update::Retrying { cause, .. } => format!("retry: {cause}"),
            other => format!("{other:?}"),
        };
        match self.items.last_mut() {
            Some((last, count)) if *last == text => *count += 1,
            _ => self.items.push((text, 1)),
        }
    }

    pub(crate) fn then(&self, end: &str) -> String {
        let items: Vec<_> = self
            .items
            .iter()
            .map(|(text, count)| if *count == 1 { text.clone() } else { format!("{text} ×{count}") })
            .collect();
        if items.is_empty() { end.to_owned() } else { format!("{}; {end}", items.join(", ")) }
    }
}

fn name(event: &Event) -> String {
    match event {
        Event::State(state) => state.status.clone(),
        Event::Complete(_) => "complete".to_owned(),
        Event::Timeout(_) => "timeout".to_owned(),
        Event::Error(_) => "error".to_owned(),
        Event::Other { data, .. } => match data.len() {
            1 => "other of 1 byte".to_owned(),
            length => format!("other of {length} bytes"),
        },
        Event::Malformed { .. } => "malformed".to_owned(),
        other => format!("{other:?}"),
    }
}
