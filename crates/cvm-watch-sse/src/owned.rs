use super::event::Event;
use alloc::string::String;

/// An [`Event`] that owns its text: to keep it, to send it to another thread, or to make one by hand.
///
/// ```
/// use cvm_watch_sse::{Event, OwnedEvent};
///
/// let event = OwnedEvent::from(Event::new("state", "{}", "7"));
/// assert_eq!((event.name.as_str(), event.data.as_str(), event.id.as_str()), ("state", "{}", "7"));
/// assert_eq!(OwnedEvent { data: "{}".into(), ..OwnedEvent::default() }.event_type(), "message");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct OwnedEvent {
    /// As [`Event::name`].
    pub name: String,
    /// As [`Event::data`].
    pub data: String,
    /// As [`Event::id`].
    pub id: String,
}

impl OwnedEvent {
    /// The same event, borrowed.
    ///
    /// ```
    /// use cvm_watch_sse::{Event, OwnedEvent};
    ///
    /// let event = Event::new("state", "{}", "7");
    /// assert_eq!(OwnedEvent::from(event).as_event(), event);
    /// ```
    #[must_use]
    pub fn as_event(&self) -> Event<'_> {
        Event::new(&self.name, &self.data, &self.id)
    }

    /// The event's type as [`Event::event_type`] has it: its name, or `message` when that is empty.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.as_event().event_type()
    }
}

impl From<Event<'_>> for OwnedEvent {
    fn from(event: Event<'_>) -> OwnedEvent {
        OwnedEvent { name: event.name.into(), data: event.data.into(), id: event.id.into() }
    }
}
