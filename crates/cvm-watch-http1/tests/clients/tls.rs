//! `https`: whom the client believes, and how often it asks.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cvm_watch_sim::{Attempt, Sim};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::subject::{Client, CloseCause, Failure, RetryCause, TlsFault};

/// A simulator over https whose certificate is for these names, and the authority that issued it.
fn https(names: &[&str], expired: bool) -> (Sim, String) {
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut leaf = CertificateParams::new(names).unwrap();
    if expired {
        leaf.not_before = rcgen::date_time_ymd(2000, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let pem = leaf.signed_by(&key, &issuer).unwrap().pem();
    let sim = Sim::builder().tls(&pem, &key.serialize_pem()).start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").complete("running"));
    (sim, authority_pem)
}

/// Contract row 16.
#[crate::runtime_test]
async fn a_refused_certificate_ends_it_after_one_connection_and_no_request() {
    let ours = &["localhost"][..];
    for (names, expired, trusted, fault) in [
        (ours, false, false, TlsFault::Certificate),
        (ours, true, true, TlsFault::Certificate),
        (&["elsewhere.example"], false, true, TlsFault::HostName),
        // An address is not named by what resolves to it.
        (&["127.0.0.1"], false, true, TlsFault::HostName),
    ] {
        let (sim, authority) = https(names, expired);
        let mut builder = Client::builder().base_url(sim.base_url_for("localhost")).api_key("phak_1");
        if trusted {
            builder = builder.root_certificates(authority);
        }
        let error = builder.build().unwrap().watch("my-cvm", "running").await.unwrap_err();
        assert_eq!(error.failure(), Some(&Failure::Tls(fault)), "{names:?} {expired} {trusted}");
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!((sim.log().connections().len(), sim.log().requests().len()), (1, 0));
    }
}

#[crate::runtime_test]
async fn a_private_authority_is_trusted_for_names_and_addresses() {
    for host in ["localhost", "127.0.0.1"] {
        let (sim, authority) = https(&[host], false);
        // Any number of authorities, in any order.
        let client = Client::builder()
            .base_url(sim.base_url_for(host))
            .root_certificates(https(&["x.example"], false).1)
            .root_certificates(authority)
            .build()
            .unwrap();
        assert_eq!(client.watch("my-cvm", "running").max_retries(0).await.unwrap().status, "running", "{host}");
    }
}

/// A server that answers each first message with these bytes and closes; counts its connections.
fn serve(listener: TcpListener, answer: &'static [u8], count: Arc<AtomicUsize>) {
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            let _ = socket.read(&mut [0; 4096]);
            let _ = socket.write_all(answer);
        }
    });
}

/// Contract row 12.
#[crate::runtime_test]
async fn a_handshake_that_breaks_off_is_retried() {
    let (_, authority) = https(&["localhost"], false);
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        // A fatal alert: handshake_failure.
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x16\x03\x03\x00\x40half a message",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("https://localhost:{}/api/v1", listener.local_addr().unwrap().port());
        let count = Arc::new(AtomicUsize::new(0));
        serve(listener, answer, Arc::clone(&count));
        let client = Client::builder().base_url(base).root_certificates(authority.clone()).build().unwrap();
        let watch = client.watch("my-cvm", "running").max_retries(2).retry_delay(Duration::ZERO);
        let error = watch.await.unwrap_err();
        let Some(Failure::MaxRetriesExceeded { attempts: 3, last_cause, .. }) = error.failure() else {
            panic!("{error:?}")
        };
        assert_eq!(last_cause, &RetryCause::Closed(CloseCause::Tls(TlsFault::Other)), "{}", answer.escape_ascii());
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }
}
