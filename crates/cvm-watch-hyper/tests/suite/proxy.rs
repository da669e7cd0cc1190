//! Through a real proxy on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cvm_watch_hyper::{Client, CloseCause, Failure, RetryCause};
use cvm_watch_sim::{Attempt, Sim};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// `me:hunter2`, as a proxy wants it.
const TOKEN: &str = "bWU6aHVudGVyMg==";

/// A `CONNECT` proxy that leads to `upstream` whatever it is asked for, and keeps what it read.
struct Proxy {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, upstream, Arc::clone(&heads)));
            }
        });
        Self { addr, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut client: TcpStream, upstream: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let let_in = head.to_lowercase().contains(&format!("proxy-authorization: basic {}", TOKEN.to_lowercase()));
    heads.lock().unwrap().push(head);
    if !let_in {
        let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
        return;
    }
    let mut upstream = TcpStream::connect(upstream).await.unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
}

/// A simulator over https for a name that only the proxy knows the way to.
fn secure_sim() -> (Sim, String) {
    let identity = rcgen::generate_simple_self_signed(["cloud.example".to_owned()]).unwrap();
    let pem = identity.cert.pem();
    let sim =
        Sim::builder().allow_host("cloud.example").tls(&pem, &identity.signing_key.serialize_pem()).start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").complete("running"));
    (sim, pem)
}

#[tokio::test]
async fn https_goes_through_the_tunnel_end_to_end() {
    let (sim, pem) = secure_sim();
    let proxy = Proxy::start(sim.addr()).await;
    let client = Client::builder()
        .base_url("https://cloud.example/api/v1")
        .api_key("phak_1")
        .root_certificates(pem)
        .proxy(format!("http://me:hunter2@{}", proxy.addr))
        .build()
        .unwrap();
    assert_eq!(client.watch("my-cvm", "running").await.unwrap().status, "running");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("CONNECT cloud.example:443 HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(!asked[0].contains("phak_1"), "the proxy saw the key");
    assert!(!format!("{client:?}").contains("hunter2"));
    let requests = sim.log().requests();
    assert_eq!(requests[0].header("host"), Some(&b"cloud.example"[..]));
    assert_eq!(requests[0].header("proxy-authorization"), None);
}

#[tokio::test]
async fn plain_http_goes_through_a_tunnel_too() {
    let sim = Sim::builder().allow_host("cloud.example").start().unwrap();
    sim.script("my-cvm", Attempt::stream().complete("running"));
    let proxy = Proxy::start(sim.addr()).await;
    let client = Client::builder()
        .base_url("http://cloud.example:8080/api/v1")
        .api_key("phak_1")
        .allow_http(true)
        .proxy(format!("http://me:hunter2@{}", proxy.addr))
        .build()
        .unwrap();
    client.watch("my-cvm", "running").await.unwrap();
    assert!(proxy.asked()[0].starts_with("CONNECT cloud.example:8080 HTTP/1.1\r\n"), "{:?}", proxy.asked());
}

#[tokio::test]
async fn a_proxy_that_lets_nobody_in_loses_the_attempt_and_its_password_shows_nowhere() {
    let (sim, pem) = secure_sim();
    let proxy = Proxy::start(sim.addr()).await;
    let client = Client::builder()
        .base_url("https://cloud.example/api/v1")
        .api_key("phak_1")
        .root_certificates(pem)
        .proxy(format!("http://me:hunter3@{}", proxy.addr))
        .build()
        .unwrap();
    let error = client.watch("my-cvm", "running").max_retries(1).retry_delay(Duration::ZERO).await.unwrap_err();
    let Some(Failure::MaxRetriesExceeded { attempts: 2, last_cause, .. }) = error.failure() else {
        panic!("{error:?}")
    };
    assert_eq!(last_cause, &RetryCause::Closed(CloseCause::Proxy));
    assert_eq!(proxy.asked().len(), 2);
    let shown = format!("{error} {error:?} {client:?}");
    assert!(!shown.contains("hunter3") && !shown.contains("bWU6"), "{shown}");
}

#[tokio::test]
async fn a_base_url_on_this_machine_goes_through_no_proxy() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().complete("running"));
    let proxy = Proxy::start(sim.addr()).await;
    let client = Client::builder().base_url(sim.base_url()).proxy(format!("http://{}", proxy.addr)).build().unwrap();
    client.watch("my-cvm", "running").await.unwrap();
    assert_eq!(proxy.asked().len(), 0);
}

#[tokio::test]
async fn an_echo_of_the_proxys_password_is_masked() {
    let (sim, pem) = secure_sim();
    sim.script("my-cvm", Attempt::json(403, r#"{"message":"hunter2 is not welcome, nor bWU6aHVudGVyMg=="}"#));
    let proxy = Proxy::start(sim.addr()).await;
    let client = Client::builder()
        .base_url("https://cloud.example/api/v1")
        .api_key("phak_1")
        .root_certificates(pem)
        .proxy(format!("http://me:hunter2@{}", proxy.addr))
        .build()
        .unwrap();
    let error = client.watch("my-cvm", "running").await.unwrap_err();
    assert_eq!(error.to_string(), "the server rejected the watch: HTTP 403: *** is not welcome, nor ***");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_as_the_proxys_fault() {
    let port = cvm_watch_sim::RefusedPort::new().unwrap();
    for scheme in ["http", "socks5"] {
        let client = Client::builder()
            .base_url("http://cloud.example/api/v1")
            .api_key("phak_1")
            .allow_http(true)
            .proxy(format!("{scheme}://me:hunter2@{}", port.addr()))
            .build()
            .unwrap();
        let error = client.watch("my-cvm", "running").max_retries(0).await.unwrap_err();
        assert_eq!(error.to_string(), "gave up after 1 attempt: the proxy did not open a tunnel");
        assert!(!format!("{error:?} {client:?}").contains("hunter2"), "{error:?}");
    }
}

/// Takes one SOCKS 5 client with the login `me:hunter2` to `upstream`, and tells the name that it
/// asked for.
async fn serve_socks(listener: TcpListener, upstream: SocketAddr) -> String {
    async fn read(client: &mut TcpStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        client.read_exact(&mut bytes).await.unwrap();
        bytes
    }
    let (mut client, _) = listener.accept().await.unwrap();
    assert_eq!(read(&mut client, 4).await, [5, 2, 0, 2], "no login, or user and password");
    client.write_all(&[5, 2]).await.unwrap();
    assert_eq!(read(&mut client, 12).await, b"\x01\x02me\x07hunter2");
    client.write_all(&[1, 0]).await.unwrap();
    let asked = read(&mut client, 5).await;
    assert_eq!(asked[..4], [5, 1, 0, 3], "connect to a name");
    let name = read(&mut client, usize::from(asked[4])).await;
    let port = client.read_u16().await.unwrap();
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let mut upstream = TcpStream::connect(upstream).await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut upstream).await;
    format!("{}:{port}", String::from_utf8(name).unwrap())
}

#[tokio::test]
async fn https_goes_through_socks_5_and_the_proxy_looks_up_the_name() {
    let (sim, pem) = secure_sim();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let served = tokio::spawn(serve_socks(listener, sim.addr()));
    let client = Client::builder()
        .base_url("https://cloud.example/api/v1")
        .api_key("phak_1")
        .root_certificates(pem)
        .proxy(format!("socks5://me:hunter2@{proxy}"))
        .build()
        .unwrap();
    assert_eq!(client.watch("my-cvm", "running").await.unwrap().status, "running");
    assert_eq!(served.await.unwrap(), "cloud.example:443");
}

#[tokio::test]
async fn an_abort_while_the_tunnel_is_asked_for_closes_the_socket_to_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::builder()
        .base_url("https://cloud.example/api/v1")
        .api_key("phak_1")
        .proxy(format!("http://{}", listener.local_addr().unwrap()))
        .build()
        .unwrap();
    let (abort, signal) = tokio::sync::oneshot::channel::<()>();
    let watch = client.watch("my-cvm", "running").abort_on(signal);
    let proxy = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
        abort.send(()).unwrap();
        // The end of what the client sends, or a reset.
        assert_eq!(socket.read(&mut [0; 4096]).await.unwrap_or_default(), 0);
    };
    let (outcome, ()) = tokio::join!(async { watch.await }, proxy);
    assert_eq!(outcome.unwrap_err().failure(), Some(&Failure::Aborted));
}
