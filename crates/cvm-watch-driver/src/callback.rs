//! What an event callback may return.

use core::ops::ControlFlow;
use std::error::Error;

use cvm_watch_core::Event;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
/// A callback for the events of a CVM, which is given by its id.
pub(crate) type Callback = Box<dyn FnMut(&str, &Event) -> ControlFlow<BoxError> + Send>;

/// What an event callback may return: `()`, a `Result<(), E>` or a [`ControlFlow`].
///
/// `Err` and `Break` stop the watch with [`WatchError::Stopped`](crate::WatchError::Stopped).
pub trait CallbackResult {
    /// The same as a [`ControlFlow`].
    fn into_control_flow(self) -> ControlFlow<BoxError>;
}

impl CallbackResult for () {
    fn into_control_flow(self) -> ControlFlow<BoxError> {
        ControlFlow::Continue(())
    }
}

impl<E: Into<BoxError>> CallbackResult for Result<(), E> {
    fn into_control_flow(self) -> ControlFlow<BoxError> {
        match self {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error.into()),
        }
    }
}

impl<E: Into<BoxError>> CallbackResult for ControlFlow<E> {
    fn into_control_flow(self) -> ControlFlow<BoxError> {
        self.map_break(Into::into)
    }
}
