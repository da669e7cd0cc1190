//! How a transport makes its connections.

use core::fmt;

/// The certificate authorities that a client trusts and the proxy that it uses.
///
/// ```
/// use cvm_watch_driver::{ConnectOptions, ProxyChoice};
///
/// let options = ConnectOptions::new().proxy("http://user:word@proxy.example:3128");
/// assert!(matches!(options.proxy_choice(), ProxyChoice::Url(_)));
/// assert!(!format!("{options:?}").contains("word"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConnectOptions {
    root_certificates: Vec<String>,
    proxy: ProxyChoice,
}

/// Where the address of the proxy comes from.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyChoice {
    /// From `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    #[default]
    Environment,
    /// This URL, which may hold a password.
    Url(String),
    /// No proxy.
    None,
}

impl ConnectOptions {
    /// The machine's trusted certificates and the environment's proxy.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificate authorities (PEM) in addition to those of the machine. Can be called
    /// several times.
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Connects through this proxy, `http://[user:password@]host:port` or `socks5://…`, and ignores
    /// the environment. A base URL on this machine is always reached directly.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyChoice::Url(url.into());
        self
    }

    /// Connects without a proxy and ignores the environment.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::None;
        self
    }

    /// The certificate authorities to trust in addition to those of the machine, each as PEM text.
    pub fn root_certificate_pems(&self) -> &[String] {
        &self.root_certificates
    }

    /// Where the address of the proxy comes from.
    pub fn proxy_choice(&self) -> &ProxyChoice {
        &self.proxy
    }
}

/// Hides the URL, which may hold a password.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Url(_) => "Url(***)",
            Self::None => "None",
        })
    }
}
