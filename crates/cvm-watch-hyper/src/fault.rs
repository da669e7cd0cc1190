//! From the errors of sockets, TLS and hyper to the facts that the core judges by.

use std::error::Error;
use std::fmt;
use std::io;

use cvm_watch_driver::TransportError;
use cvm_watch_driver::core::{CloseCause, TlsFault};
use tokio_rustls::rustls;

/// The resolver's error, marked as such: the connector's own error only says so in words.
#[derive(Debug)]
pub(crate) struct DnsError(pub(crate) io::Error);

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for DnsError {}

/// A connection could not be made; through a proxy, whatever its own refusal is.
pub(crate) fn connecting(error: Box<dyn Error + Send + Sync>, through_proxy: bool) -> TransportError {
    let cause = if through_proxy { CloseCause::Proxy } else { cause_in_chain(&*error).unwrap_or(CloseCause::Other) };
    TransportError::new(cause, error)
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
        if error.is::<DnsError>() {
            return Some(CloseCause::Dns);
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

    #[test]
    fn the_fact_is_found_however_deep_it_lies() {
        let deep = |inner: Box<dyn Error + Send + Sync>| io::Error::other(io::Error::other(inner));
        for (inner, expected) in [
            (Box::new(DnsError(io::Error::other("no such host"))) as Box<dyn Error + Send + Sync>, CloseCause::Dns),
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
            assert_eq!(cause_in_chain(&deep(inner)), Some(expected));
        }
        assert_eq!(cause_in_chain(&io::Error::other("?")), None);
    }

    #[test]
    fn through_a_proxy_every_failure_to_connect_is_the_proxys() {
        let refused = || Box::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(connecting(refused(), true).cause(), CloseCause::Proxy);
        assert_eq!(connecting(refused(), false).cause(), CloseCause::Refused);
    }
}
