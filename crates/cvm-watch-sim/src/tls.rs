//! Serving https.

use std::fmt;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, server};

use crate::connection::Socket;
use crate::error::SimError;

/// A certificate chain and its private key, as PEM.
pub(crate) struct Identity {
    chain: String,
    key: String,
}

impl Identity {
    pub(crate) fn new(chain: &str, key: &str) -> Identity {
        Identity { chain: chain.to_owned(), key: key.to_owned() }
    }

    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, SimError> {
        let bad = |what: &dyn fmt::Display| SimError::Tls(what.to_string());
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| bad(&error))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| bad(&error))?;
        // Named, because the process-wide default may be missing or another provider.
        let provider = Arc::new(crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions
            .map_err(|error| bad(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| bad(&error))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Without the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Socket for server::TlsStream<TcpStream> {
    fn tcp(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}
