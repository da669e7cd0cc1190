//! Whose certificate is taken, and how often the server is asked.

use std::error::Error;

use cvm_watch_sim::{Attempt, Sim};
use cvm_watch_surf::{Failure, TlsFault};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::client;

/// A simulator over https whose certificate is for this name, and the authority that issued it.
fn https(name: &str, expired: bool) -> (Sim, String) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let mut leaf = CertificateParams::new([name.to_owned()]).unwrap();
    if expired {
        leaf.not_before = rcgen::date_time_ymd(2000, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let pem = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap().pem();
    let sim = Sim::builder().tls(&pem, &key.serialize_pem()).start().unwrap();
    sim.script("x", Attempt::stream().state("starting").complete("running"));
    (sim, authority_pem)
}

/// Contract row 16.
#[async_std::test]
async fn a_refused_certificate_ends_it_after_one_connection_and_no_request() {
    for (name, expired, trusted, fault) in [
        ("localhost", false, false, TlsFault::Certificate),
        ("localhost", true, true, TlsFault::Certificate),
        ("elsewhere.example", false, true, TlsFault::HostName),
        // An address is not named by what resolves to it.
        ("127.0.0.1", false, true, TlsFault::HostName),
    ] {
        let (sim, ours) = https(name, expired);
        let (_, another) = https(name, expired);
        let builder = client(sim.base_url_for("localhost")).root_certificates(if trusted { ours } else { another });
        let error = builder.build().unwrap().watch("x", "running").await.unwrap_err();
        assert_eq!(error.failure(), Some(&Failure::Tls(fault)), "{name} {expired} {trusted}");
        assert!(error.source().is_some());
        assert_eq!((sim.log().connections().len(), sim.log().requests().len()), (1, 0));
    }
}

#[async_std::test]
async fn a_private_authority_is_trusted_for_names_and_addresses() {
    for host in ["localhost", "127.0.0.1"] {
        let (sim, authority) = https(host, false);
        // Any number of authorities, in any order.
        let builder = client(sim.base_url_for(host)).root_certificates(https("y.example", false).1);
        let client = builder.root_certificates(authority).build().unwrap();
        assert!(client.watch("x", "running").max_retries(0).await.unwrap().is("running"), "{host}");
    }
}

/// Contract row 25.
#[test]
fn a_host_that_no_certificate_can_name_is_refused_when_built() {
    for base in ["https://a..b", "https://-a.example", "https://{x}.example"] {
        let error = client(base).build().err().unwrap_or_else(|| panic!("{base} was taken"));
        assert_eq!(error.field(), "base url", "{error}");
    }
    for base in ["https://cloud.example", "https://10.1.2.3:8443", "https://[2001:db8::1]"] {
        client(base).build().unwrap();
    }
}
