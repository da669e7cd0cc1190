//! From the errors of sockets, rustls and hyper to the facts that the core judges by.

use std::error::Error;
use std::io;

use cvm_watch_driver::TransportError;
use cvm_watch_driver::core::{CloseCause, TlsFault};

/// The close cause of the first error in this chain that has one: a [`TransportError`], an error of
/// rustls or an I/O error.
///
/// ```
/// use std::io;
/// use cvm_watch_driver::core::CloseCause;
///
/// let error = io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused));
/// assert_eq!(cvm_watch_http1::close_cause(&error), Some(CloseCause::Refused));
/// assert_eq!(cvm_watch_http1::close_cause(&io::Error::other("?")), None);
/// ```
pub fn close_cause(error: &(dyn Error + 'static)) -> Option<CloseCause> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<TransportError>() {
            return Some(error.cause());
        }
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(CloseCause::Tls(of_tls(error)));
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // `source` of an io::Error skips the error inside it.
            if let Some(cause) = error.get_ref().and_then(|inner| close_cause(inner)).or_else(|| of_io(error.kind())) {
                return Some(cause);
            }
        }
        next = error.source();
    }
    None
}

/// No TCP connection was made.
pub(crate) fn connecting(error: io::Error) -> TransportError {
    TransportError::new(close_cause(&error).unwrap_or(CloseCause::Other), error)
}

/// The TLS handshake failed.
pub(crate) fn handshake(error: io::Error) -> TransportError {
    let cause = match close_cause(&error) {
        // A peer that closes during a handshake may accept the next one.
        None | Some(CloseCause::Truncated) => CloseCause::Tls(TlsFault::Other),
        Some(cause) => cause,
    };
    TransportError::new(cause, error)
}

/// No response head came; `unread` if some bytes did.
pub(crate) fn before_head(error: hyper::Error, unread: bool) -> TransportError {
    let cause = match of_hyper(&error) {
        CloseCause::Truncated if !unread => CloseCause::Ended,
        // The connection ended before the request was sent, or brought bytes that answer no request.
        CloseCause::Other if error.is_canceled() && !unread => CloseCause::Ended,
        CloseCause::Other if unread => CloseCause::NotHttp,
        cause => cause,
    };
    TransportError::new(cause, error)
}

/// The body ended early.
pub(crate) fn in_body(error: hyper::Error) -> TransportError {
    TransportError::new(of_hyper(&error), error)
}

fn of_hyper(error: &hyper::Error) -> CloseCause {
    if error.is_parse() {
        // hyper tells this limit from other parse errors only by its message, which a test checks.
        let too_large = error.to_string() == "message head is too large";
        if too_large { CloseCause::HeadTooLarge } else { CloseCause::NotHttp }
    } else if error.is_incomplete_message() {
        CloseCause::Truncated
    } else {
        close_cause(error).unwrap_or(CloseCause::Other)
    }
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
        // The kinds that hyper gives to an invalid chunk.
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

    #[test]
    fn the_cause_is_found_at_any_depth() {
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
            assert_eq!(close_cause(&deep(inner)), Some(expected));
        }
        assert_eq!(close_cause(&io::Error::other("?")), None);
    }
}
