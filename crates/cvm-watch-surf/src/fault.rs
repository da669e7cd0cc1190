//! From the errors of sockets, TLS, hyper and surf to the facts that the core judges by.

use std::error::Error;
use std::io;

use cvm_watch_driver::TransportError;
use cvm_watch_driver::core::{CloseCause, TlsFault};
use futures_rustls::rustls;

/// A surf client could not bring an answer. The bridge's own errors come through as they were;
/// another back end's are judged by the I/O error in them, if there is one.
pub(crate) fn in_send(error: surf::Error) -> TransportError {
    error.downcast().unwrap_or_else(|error| {
        // Judged before it is boxed, since the box no longer tells what is in it.
        let cause = cause_in_chain(AsRef::<dyn Error>::as_ref(&error)).unwrap_or(CloseCause::Other);
        TransportError::new(cause, error)
    })
}

/// A body could not be read on.
pub(crate) fn in_read(error: io::Error) -> TransportError {
    error.downcast().unwrap_or_else(|error| judged(error.into()))
}

/// A connection could not be made.
pub(crate) fn connecting(error: io::Error) -> TransportError {
    judged(error.into())
}

/// TLS could not be set up.
pub(crate) fn handshake(error: io::Error) -> TransportError {
    // A peer that is gone in the middle of a handshake may have meant the next one well.
    let cause = cause_in_chain(&error).unwrap_or(CloseCause::Tls(TlsFault::Other));
    TransportError::new(if cause == CloseCause::Truncated { CloseCause::Tls(TlsFault::Other) } else { cause }, error)
}

/// No response head came; `unread` if some bytes did.
pub(crate) fn before_head(error: hyper::Error, unread: bool) -> TransportError {
    let cause = match of_hyper(&error) {
        CloseCause::Truncated if !unread => CloseCause::Ended,
        // The connection was over before the request was on its way, or brought what nobody had
        // asked for.
        CloseCause::Other if error.is_canceled() && !unread => CloseCause::Ended,
        CloseCause::Other if unread => CloseCause::NotHttp,
        cause => cause,
    };
    TransportError::new(cause, error)
}

/// The body broke.
pub(crate) fn in_body(error: hyper::Error) -> TransportError {
    TransportError::new(of_hyper(&error), error)
}

fn judged(error: Box<dyn Error + Send + Sync>) -> TransportError {
    TransportError::new(cause_in_chain(&*error).unwrap_or(CloseCause::Other), error)
}

fn of_hyper(error: &hyper::Error) -> CloseCause {
    if error.is_parse() {
        // hyper tells the limit from other parse errors only in words (a test holds them).
        let too_large = error.to_string() == "message head is too large";
        if too_large { CloseCause::HeadTooLarge } else { CloseCause::NotHttp }
    } else if error.is_incomplete_message() {
        CloseCause::Truncated
    } else {
        cause_in_chain(error).unwrap_or(CloseCause::Other)
    }
}

/// The first error of the chain that says what happened.
fn cause_in_chain(error: &(dyn Error + 'static)) -> Option<CloseCause> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<TransportError>() {
            return Some(error.cause());
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(CloseCause::Tls(of_tls(error)));
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // An io::Error passes over its own inner error in `source`.
            if let Some(cause) = error.get_ref().and_then(|inner| cause_in_chain(inner)).or_else(|| of_io(error.kind()))
            {
                return Some(cause);
            }
        }
        next = error.source();
    }
    None
}

fn of_io(kind: io::ErrorKind) -> Option<CloseCause> {
    use io::ErrorKind as Kind;
    Some(match kind {
        Kind::ConnectionRefused => CloseCause::Refused,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::NotConnected => CloseCause::Reset,
        Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::AddrNotAvailable
        | Kind::TimedOut => CloseCause::HostUnreachable,
        Kind::UnexpectedEof => CloseCause::Truncated,
        // What hyper calls a chunk that is none.
        Kind::InvalidInput | Kind::InvalidData => CloseCause::NotHttp,
        _ => return None,
    })
}

fn of_tls(error: &rustls::Error) -> TlsFault {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
    match error {
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => TlsFault::HostName,
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => TlsFault::Certificate,
        _ => TlsFault::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use surf::StatusCode;

    #[test]
    fn the_fact_is_found_however_deep_it_lies() {
        let deep = |inner: Box<dyn Error + Send + Sync>| io::Error::other(io::Error::other(inner));
        for (inner, expected) in [
            (Box::new(TransportError::from(CloseCause::Dns)) as Box<dyn Error + Send + Sync>, CloseCause::Dns),
            (Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)), CloseCause::Refused),
            (
                Box::new(rustls::Error::InvalidCertificate(rustls::CertificateError::Expired)),
                CloseCause::Tls(TlsFault::Certificate),
            ),
            (
                Box::new(rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForName)),
                CloseCause::Tls(TlsFault::HostName),
            ),
            (Box::new(rustls::Error::DecryptError), CloseCause::Tls(TlsFault::Other)),
        ] {
            assert_eq!(in_read(deep(inner)).cause(), expected);
        }
        assert_eq!(in_read(io::Error::other("?")).cause(), CloseCause::Other);
    }

    #[test]
    fn what_the_bridge_saw_comes_through_surf_unchanged() {
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
    fn another_back_ends_error_is_judged_by_the_io_error_in_it() {
        let io = || io::Error::from(io::ErrorKind::ConnectionReset);
        for (error, expected) in [
            (surf::Error::from(io()), CloseCause::Reset),
            (surf::Error::new(StatusCode::BadGateway, io::Error::other(io())), CloseCause::Reset),
            (surf::Error::from_str(StatusCode::BadGateway, "connection reset"), CloseCause::Other),
        ] {
            assert_eq!(in_send(error).cause(), expected);
        }
    }
}
