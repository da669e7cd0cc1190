//! Why a connection ended: the facts that a transport reports.

use serde::{Deserialize, Serialize};

/// Why a connection or a body ended, as the transport saw it. The transport reports only the fact; the core decides
/// whether to retry.
///
/// Serialized, it is its name in `snake_case`; a TLS fault is `{"tls":"certificate"}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CloseCause {
    /// The host name could not be resolved.
    #[error("the host name could not be resolved")]
    Dns,
    /// No process listens at the address.
    #[error("the connection was refused")]
    Refused,
    /// The peer reset the connection.
    #[error("the connection was reset")]
    Reset,
    /// No route to the host or its network, or its packets went unanswered.
    #[error("the host could not be reached")]
    HostUnreachable,
    /// The proxy refused to open the tunnel, or could not.
    #[error("the proxy did not open a tunnel")]
    Proxy,
    /// The proxy requires other credentials, or any. Final: a retry cannot help.
    #[error("the proxy requires other credentials")]
    ProxyAuthentication,
    /// TLS could not be set up, or failed later.
    #[error("{0}")]
    Tls(TlsFault),
    /// The peer's bytes are not HTTP, or violate its framing (a bad chunk).
    #[error("the answer is not valid HTTP")]
    NotHttp,
    /// The response head is over the transport's limit.
    #[error("the response head is too large")]
    HeadTooLarge,
    /// The body ended before its framing said it would.
    #[error("the response was cut off")]
    Truncated,
    /// The body (or, before a head, the connection) ended cleanly.
    #[error("the stream ended")]
    Ended,
    /// There is no credential for the attempt: its provider failed.
    #[error("no credential could be obtained")]
    Credential,
    /// Anything else.
    #[error("the connection failed")]
    Other,
}

/// Why TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TlsFault {
    /// The certificate is not trusted, expired, revoked or malformed. Final: a retry cannot help.
    #[error("the server's certificate is not trusted")]
    Certificate,
    /// The certificate is for another host name. Final: a retry cannot help.
    #[error("the server's certificate is for another host")]
    HostName,
    /// The certificate is that of a certificate authority, which no server may present. Final: a retry
    /// cannot help.
    #[error("the server presents a certificate authority's own certificate")]
    Authority,
    /// Any other fault, such as a handshake that broke off. Retried.
    #[error("the TLS handshake failed")]
    Other,
}
