//! The trusted certificate authorities, and the TLS configuration.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cvm_watch_driver::BaseUrl;
use cvm_watch_driver::cvm_watch_core::ConfigError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_native_certs::CertificateResult;
#[cfg(all(unix, not(target_vendor = "apple")))]
use rustls_native_certs::load_certs_from_paths;

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
    /// Fails for text without a certificate, or with one that cannot be used.
    pub(crate) fn new(extra: &[String]) -> Result<Self, ConfigError> {
        let mut roots = RootCertStore::empty();
        extra.iter().try_for_each(|pem| add_pem(&mut roots, pem))?;
        Ok(Self { extra: extra.to_vec(), config: OnceLock::new() })
    }

    /// Returns the TLS configuration.
    ///
    /// # Errors
    ///
    /// Fails if no authority is trusted.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, ConfigError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = config(&self.extra)?;
        Ok(Arc::clone(self.config.get_or_init(|| Arc::new(config))))
    }
}

/// Makes a configuration that trusts the machine's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), the
/// extra ones, and Mozilla's with the feature `bundled-roots`.
fn config(extra: &[String]) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    for pem in extra {
        add_pem(&mut roots, pem)?;
    }
    let machine = Machine::from_env();
    let problem = machine.add_to(&mut roots);
    #[cfg(feature = "bundled-roots")]
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if roots.is_empty() {
        return Err(problem);
    }
    // Explicit, since the process default may have been set by another crate.
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| ConfigError::new("tls", "", format!("cannot be set up: {error}")))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The largest certificate file, in bytes; the largest known bundles are smaller than one MiB.
const MAX_FILE: u64 = 16 << 20;

/// Where the machine's certificates are: the paths in the variables, else the system's store.
struct Machine {
    /// The value of `SSL_CERT_FILE`, unless that is empty.
    file: Option<OsString>,
    /// The value of `SSL_CERT_DIR`, unless that is empty.
    folders: Option<OsString>,
}

impl Machine {
    fn from_env() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self { file: set("SSL_CERT_FILE"), folders: set("SSL_CERT_DIR") }
    }

    /// Adds the certificates. The error matters only if there are no others.
    fn add_to(&self, roots: &mut RootCertStore) -> ConfigError {
        let mut problem = None;
        if let Some(file) = &self.file {
            let found = read(Path::new(file)).map(|certificates| roots.add_parsable_certificates(certificates).0);
            problem = Some(unusable("SSL_CERT_FILE", file, found.map(|_| ())));
        }
        for folder in self.folders.iter().flat_map(env::split_paths) {
            let found = read_folder(&folder).map(|certificates| roots.add_parsable_certificates(certificates).0);
            problem = problem.or_else(|| Some(unusable("SSL_CERT_DIR", folder.as_os_str(), found.map(|_| ()))));
        }
        if let Some(problem) = problem {
            return problem;
        }
        let store = system_store();
        roots.add_parsable_certificates(store.certs);
        let first = store.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        let problem = format!(
            "were not found on this machine{first}; install ca-certificates, point SSL_CERT_FILE at a PEM file, or build \
             with the feature bundled-roots"
        );
        ConfigError::new("trusted certificates", "", problem)
    }
}

/// Why no certificate was read from a path: it could not be read, or holds none.
fn unusable(variable: &'static str, path: &OsStr, read: io::Result<()>) -> ConfigError {
    let problem = match read {
        Ok(()) => "holds no certificate of an authority that can be used; point it at PEM text".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    ConfigError::new(variable, &path.to_string_lossy(), problem)
}

/// Reads the certificates of a file; everything else in it is ignored.
fn read(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is over {} MiB", MAX_FILE >> 20)));
    }
    Ok(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect())
}

/// Reads the certificates in the files of a folder; files that cannot be read are ignored.
fn read_folder(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut all = Vec::new();
    for entry in path.read_dir()? {
        let path = entry?.path();
        if path.is_file() {
            all.extend(read(&path).unwrap_or_default());
        }
    }
    Ok(all)
}

/// Reads the system's store, also if a variable is set and empty.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn system_store() -> CertificateResult {
    let places = openssl_probe::probe();
    let mut store = load_certs_from_paths(places.cert_file.as_deref(), None);
    for folder in &places.cert_dir {
        let more = load_certs_from_paths(None, Some(folder));
        store.certs.extend(more.certs);
        store.errors.extend(more.errors);
    }
    store.certs.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    store.certs.dedup();
    store
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn system_store() -> CertificateResult {
    rustls_native_certs::load_native_certs()
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

    fn problem(file: Option<&str>, folders: Option<&str>) -> String {
        let machine = Machine { file: file.map(OsString::from), folders: folders.map(OsString::from) };
        let mut roots = RootCertStore::empty();
        let problem = machine.add_to(&mut roots);
        assert!(roots.is_empty());
        problem.to_string()
    }

    #[test]
    fn a_missing_file_is_distinguished_from_one_without_certificates() {
        let missing = problem(Some("/no/such/file.pem"), None);
        assert!(missing.starts_with("SSL_CERT_FILE \"/no/such/file.pem\" cannot be read: No such file"), "{missing}");
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let useless = problem(Some(here), None);
        assert!(useless.contains("holds no certificate of an authority"), "{useless}");
        let folder = problem(None, Some(env!("CARGO_MANIFEST_DIR")));
        assert!(folder.starts_with("SSL_CERT_DIR") && folder.contains("holds no certificate"), "{folder}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_is_not_read_without_end() {
        assert!(problem(Some("/dev/zero"), None).ends_with("cannot be read: it is over 16 MiB"));
    }

    #[test]
    fn text_without_a_certificate_is_refused() {
        for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = Trust::new(&[pem.to_owned()]).err().unwrap();
            assert_eq!(error.field(), "root certificates", "{error}");
        }
    }
}
