//! `https`: certificates that are trusted, and ones that are not.

use cvm_watch_sim::Sim;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::program::cvm_watch;
use crate::scratch::Scratch;

/// A simulator on https for `localhost`, and the authority that vouches for it.
fn https() -> (Sim, String) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (Sim::builder().speed(50.0).tls(&leaf.pem(), &key.serialize_pem()).start().unwrap(), pem)
}

#[test]
fn an_authority_in_ssl_cert_file_is_trusted() {
    let (sim, authority) = https();
    let file = Scratch::new("authority.pem", authority.as_bytes());
    let run = cvm_watch("wait my-cvm --max-retries 0")
        .base_url(&sim.base_url_for("localhost"))
        .env("SSL_CERT_FILE", file.path());
    let finished = run.run();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(0), "my-cvm running\n"), "{finished:?}");
}

/// Contract row 16.
#[test]
fn a_certificate_that_is_not_trusted_is_exit_code_1_at_once() {
    let (sim, authority) = https();
    let stranger = Scratch::new("stranger.pem", https().1.as_bytes());
    let known = Scratch::new("known.pem", authority.as_bytes());
    for (host, trusted, expected) in [
        ("localhost", &stranger, "error: the server's certificate is not trusted"),
        ("127.0.0.1", &known, "error: the server's certificate is for another host"),
    ] {
        let run = cvm_watch("wait my-cvm --max-retries 0 --output ndjson").base_url(&sim.base_url_for(host));
        let finished = run.env("SSL_CERT_FILE", trusted.path()).run();
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.last_words().starts_with(expected), "{finished:?}");
        let result: Value = serde_json::from_str(finished.stdout.lines().last().unwrap()).unwrap();
        assert_eq!((&result["attempt"], &result["error"]["kind"]), (&1.into(), &"tls".into()));
    }
    assert_eq!((sim.log().connections().len(), sim.log().requests().len()), (2, 0));
}

#[test]
fn no_trusted_certificate_at_all_is_refused_with_what_to_do() {
    let empty = Scratch::new("empty.pem", b"");
    let run = cvm_watch("wait my-cvm --max-retries 0").env("SSL_CERT_FILE", empty.path());
    let finished = run.base_url("https://localhost:1/").run();
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.last_words().contains("SSL_CERT_FILE"), "{finished:?}");
}
