//! TLS: which certificates are trusted, and the configuration made of that.

use std::sync::{Arc, OnceLock};

use cvm_watch_driver::BaseUrl;
use cvm_watch_driver::core::ConfigError;
use futures_rustls::TlsConnector;
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// What is trusted, read when it is first needed: plain `http` reads nothing.
#[derive(Default)]
pub(crate) struct Trust {
    extra_pem: Vec<String>,
    connector: OnceLock<TlsConnector>,
}

impl Trust {
    /// Trusts these authorities (PEM) beside those of the machine.
    pub(crate) fn new(extra_pem: Vec<String>) -> Self {
        Self { extra_pem, connector: OnceLock::new() }
    }

    /// Whether the authorities given can be read.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut roots = RootCertStore::empty();
        self.extra_pem.iter().try_for_each(|pem| add_pem(&mut roots, pem))
    }

    /// The connector, made by the first who asks.
    pub(crate) fn connector(&self) -> Result<&TlsConnector, ConfigError> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let connector = connector(&self.extra_pem)?;
        Ok(self.connector.get_or_init(|| connector))
    }
}

/// A connector that trusts the machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
/// honoured), those given, and with the feature `bundled-roots` Mozilla's.
fn connector(extra_pem: &[String]) -> Result<TlsConnector, ConfigError> {
    let mut roots = RootCertStore::empty();
    for pem in extra_pem {
        add_pem(&mut roots, pem)?;
    }
    let machine = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(machine.certs);
    #[cfg(feature = "bundled-roots")]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if roots.is_empty() {
        let first = machine.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let problem = format!(
            "were not found on this machine{first}; install ca-certificates, point SSL_CERT_FILE at a PEM file, or build \
             with the feature bundled-roots"
        );
        return Err(ConfigError::new("trusted certificates", "", problem));
    }
    // The provider is given, never the process default, which another crate may have set.
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| ConfigError::new("tls", "", format!("cannot be set up: {error}")))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that the server's certificate must be for: the host, an IP address too.
pub(crate) fn server_name(destination: &BaseUrl) -> Result<ServerName<'static>, ConfigError> {
    ServerName::try_from(destination.host().to_owned()).map_err(|_| {
        let problem = "has a host that no certificate can name; give a domain name or an IP address";
        ConfigError::new("base url", &destination.to_string(), problem)
    })
}

fn add_pem(roots: &mut RootCertStore, pem: &str) -> Result<(), ConfigError> {
    let refused = |problem: String| ConfigError::new("root certificates", "", problem);
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| refused(format!("are not valid PEM: {error}")))?;
        roots.add(certificate).map_err(|error| refused(format!("hold one that cannot be used: {error}")))?;
        count += 1;
    }
    if count == 0 {
        return Err(refused("hold no certificate; give PEM text with BEGIN CERTIFICATE lines".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_refused() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let trust = Trust::new(vec![pem.to_owned()]);
            for error in [trust.check().unwrap_err(), trust.connector().err().unwrap()] {
                assert_eq!(error.field(), "root certificates", "{error}");
            }
        }
    }
}
