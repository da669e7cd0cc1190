//! Which certificate authorities are trusted, and the TLS configuration made of that.

use std::sync::{Arc, OnceLock};

use cvm_watch_driver::BaseUrl;
use cvm_watch_driver::core::ConfigError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto};

/// The trusted authorities, loaded when they are first needed: plain `http` loads none.
#[derive(Default)]
pub(crate) struct Trust {
    extra: Vec<String>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Trust {
    /// Trusts these authorities (PEM) in addition to those of the machine.
    ///
    /// # Errors
    ///
    /// Text that holds no certificate, or one that cannot be used.
    pub(crate) fn new(extra: &[String]) -> Result<Self, ConfigError> {
        let mut roots = RootCertStore::empty();
        extra.iter().try_for_each(|pem| add_pem(&mut roots, pem))?;
        Ok(Self { extra: extra.to_vec(), config: OnceLock::new() })
    }

    /// The TLS configuration.
    ///
    /// # Errors
    ///
    /// No authority is trusted at all.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, ConfigError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = config(&self.extra)?;
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }
}

/// A configuration that trusts the machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
/// honoured), the extra ones, and with the feature `bundled-roots` Mozilla's.
fn config(extra: &[String]) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    for pem in extra {
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
    // Explicit, since the process default may have been set by another crate.
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| ConfigError::new("tls", "", format!("cannot be set up: {error}")))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The name that the server's certificate must be for: the host, which may be an IP address.
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
            let error = Trust::new(&[pem.to_owned()]).err().unwrap();
            assert_eq!(error.field(), "root certificates", "{error}");
        }
    }
}
