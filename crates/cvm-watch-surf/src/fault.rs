//! Maps errors of surf to close causes.

use std::error::Error;
use std::io;

use cvm_watch_driver::TransportError;
use cvm_watch_driver::cvm_watch_core::CloseCause;
use cvm_watch_http1::close_cause;

/// A surf client returned no response. An error of the bridge is passed on unchanged; one of another back end is
/// classified by the I/O error in it, if there is one.
pub(crate) fn in_send(error: surf::Error) -> TransportError {
    error.downcast().unwrap_or_else(|error| {
        // Classified before it is boxed, since the box hides its sources.
        let cause = close_cause(AsRef::<dyn Error>::as_ref(&error)).unwrap_or(CloseCause::Other);
        TransportError::new(cause, error)
    })
}

/// A body could not be read to its end.
pub(crate) fn in_read(error: io::Error) -> TransportError {
    error
        .downcast()
        .unwrap_or_else(|error| TransportError::new(close_cause(&error).unwrap_or(CloseCause::Other), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use surf::StatusCode;

    #[test]
    fn an_error_of_the_bridge_passes_through_surf_unchanged() {
        let seen = || TransportError::new(CloseCause::HeadTooLarge, "70 kB");
        for error in [
            in_send(surf::Error::new(StatusCode::BadGateway, seen())),
            in_send(surf::Error::from(seen())),
            in_read(io::Error::other(seen())),
        ] {
            assert_eq!(error.cause(), CloseCause::HeadTooLarge);
            assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("70 kB"));
        }
    }

    #[test]
    fn an_error_of_another_back_end_is_judged_by_the_io_error_in_it() {
        let io = || io::Error::from(io::ErrorKind::ConnectionReset);
        for (error, expected) in [
            (surf::Error::from(io()), CloseCause::Reset),
            (surf::Error::new(StatusCode::BadGateway, io::Error::other(io())), CloseCause::Reset),
            (surf::Error::from_str(StatusCode::BadGateway, "connection reset"), CloseCause::Other),
        ] {
            assert_eq!(in_send(error).cause(), expected);
        }
        assert_eq!(in_read(io()).cause(), CloseCause::Reset);
        assert_eq!(in_read(io::Error::other("?")).cause(), CloseCause::Other);
    }
}
