//! Maps errors of sockets, rustls and hyper to close causes.

use std::error::Error;
use std::fmt;
use std::io;

use bytes::Bytes;
use cvm_watch_driver::TransportError;
use cvm_watch_driver::cvm_watch_core::{CloseCause, TlsFault};

/// The most header lines of a response; the line of a folded value counts as part of its header.
pub(crate) const MAX_HEADER_LINES: usize = 1000;
/// The most bytes of a response head, the status line included.
pub(crate) const MAX_HEAD: usize = 256 << 10;

/// Why there was no response.
pub(crate) struct NoAnswer {
    pub(crate) error: hyper::Error,
    /// The bytes that were read of an incomplete head.
    pub(crate) unread: Bytes,
}

/// Returns the close cause of the first error in this chain that has one: a [`TransportError`], an error of rustls or
/// an I/O error.
///
/// ```
/// use std::io;
/// use cvm_watch_driver::cvm_watch_core::CloseCause;
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

/// An error and where it happened.
#[derive(Debug)]
struct At {
    place: String,
    source: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl Error for At {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Makes an error with this cause at this place, such as `cloud.example:443`.
pub(crate) fn at(
    cause: CloseCause,
    place: impl Into<String>,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> TransportError {
    TransportError::new(cause, At { place: place.into(), source: source.into() })
}

/// The TLS handshake failed.
pub(crate) fn handshake(error: io::Error, place: &str) -> TransportError {
    match close_cause(&error) {
        // The peer may accept the next handshake.
        None | Some(CloseCause::Truncated) => at(CloseCause::Tls(TlsFault::Other), place, error),
        Some(cause @ CloseCause::Tls(TlsFault::Authority)) => at(
            cause,
            place,
            "TLS clients refuse a certificate with CA:TRUE from a server even if they trust it; issue the server one \
             without it, signed by that authority",
        ),
        Some(cause) => at(cause, place, error),
    }
}

/// No response head arrived.
pub(crate) fn before_head(none: NoAnswer, place: String) -> TransportError {
    let NoAnswer { error, unread } = none;
    let cause = match of_hyper(&error) {
        CloseCause::Truncated if unread.is_empty() => CloseCause::Ended,
        // The connection ended before the request was sent, or its bytes are not an answer to a request.
        CloseCause::Other if error.is_canceled() && unread.is_empty() => CloseCause::Ended,
        CloseCause::Other if !unread.is_empty() => CloseCause::NotHttp,
        cause => cause,
    };
    match cause {
        CloseCause::HeadTooLarge => at(cause, place, over_limit(&unread)),
        _ => at(cause, place, error),
    }
}

/// Returns the limit that this beginning of a head exceeds.
fn over_limit(head: &[u8]) -> String {
    let end = head.windows(3).position(|bytes| bytes == b"\n\r\n" || bytes.starts_with(b"\n\n"));
    let lines = head.get(..end.unwrap_or(head.len())).unwrap_or_default();
    // Each line of the head but the last is followed by a header line.
    let lines = lines.iter().filter(|byte| **byte == b'\n').count();
    if lines > MAX_HEADER_LINES {
        let least = if end.is_some() { "" } else { "at least " };
        format!("{least}{lines} header lines are over the limit of {MAX_HEADER_LINES}")
    } else {
        format!("the response head is over the limit of {} KiB", MAX_HEAD >> 10)
    }
}

/// The body ended early.
pub(crate) fn in_body(error: hyper::Error, place: &str) -> TransportError {
    at(of_hyper(&error), place, error)
}

fn of_hyper(error: &hyper::Error) -> CloseCause {
    if error.is_parse() {
        // hyper distinguishes this limit from other parse errors only by its message, which a test checks.
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
        // rustls has no variant for this error of webpki; a test checks it.
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))
            if other.to_string() == "CaUsedAsEndEntity" =>
        {
            TlsFault::Authority
        }
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
