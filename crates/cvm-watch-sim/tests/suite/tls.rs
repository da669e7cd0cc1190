//! Over https.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use cvm_watch_sim::{Attempt, End, Sim, SimError};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

use crate::client::LONG;

/// A simulator with a fresh certificate for `localhost`, and a client's configuration that trusts just it.
fn start() -> (Sim, ClientConfig) {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = identity.signing_key.serialize_pem();
    let sim = Sim::builder().tls(&identity.cert.pem(), &key).start().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    (sim, client(roots))
}

fn client(roots: RootCertStore) -> ClientConfig {
    let provider = Arc::new(crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    versions.unwrap().with_root_certificates(roots).with_no_client_auth()
}

fn get(sim: &Sim, config: ClientConfig, host: &'static str) -> std::io::Result<String> {
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from(host).unwrap()).unwrap();
    let socket = TcpStream::connect(sim.addr())?;
    socket.set_read_timeout(Some(LONG))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"GET /api/v1/cvms/a/state?target=running HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn a_trusted_client_gets_the_script() {
    let (sim, config) = start();
    sim.script("a", Attempt::stream().complete("running"));
    assert!(sim.base_url_for("localhost").starts_with("https://localhost:"));
    let text = get(&sim, config, "localhost").unwrap();
    assert!(text.contains("event: complete") && text.ends_with("0\r\n\r\n"), "{text}");
}

#[test]
fn a_truncation_comes_without_the_closing_alert() {
    let (sim, config) = start();
    sim.script("a", Attempt::stream().state("starting").truncate());
    let error = get(&sim, config, "localhost").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_reset_is_one_over_tls_too() {
    let (sim, config) = start();
    sim.script("a", Attempt::new().reset());
    let error = get(&sim, config, "localhost").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_does_not_trust_the_certificate_is_recorded() {
    let (sim, config) = start();
    assert!(get(&sim, config, "elsewhere").is_err());
    let record = sim.log().wait_until_closed(1, LONG).unwrap();
    assert_eq!(record.end.map(|(end, _)| end), Some(End::TlsFailed));
    let (sim, _) = start();
    assert!(get(&sim, client(RootCertStore::empty()), "localhost").is_err());
    sim.log().wait_until_idle(LONG).unwrap();
    assert_eq!(sim.log().requests(), []);
}

#[test]
fn a_bad_certificate_is_refused_at_the_start() {
    let error = Sim::builder().tls("no chain", "no key").start().unwrap_err();
    assert!(matches!(error, SimError::Tls(_)), "{error}");
}
