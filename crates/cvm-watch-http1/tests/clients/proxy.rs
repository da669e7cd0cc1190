//! Real proxies between the client and the simulator.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cvm_watch_sim::{Attempt, RefusedPort, Sim};

use super::LONG;
use super::threads::on_thread;
use crate::subject::{Client, ClientBuilder, CloseCause, Failure, RetryCause};

/// `me:hunter2`, as a proxy wants it.
const TOKEN: &str = "Basic bWU6aHVudGVyMg==";

/// A proxy that leads every name to one address, and keeps what it was asked for.
struct Proxy {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// `open` speaks the proxy's protocol, and returns what was asked and whether it is granted.
    fn start(open: Opener, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let Ok((asked, granted)) = open(&mut client) else { continue };
                seen.lock().unwrap().push(asked);
                if granted {
                    join(client, TcpStream::connect(to).unwrap());
                }
            }
        });
        Self { addr, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn join(client: TcpStream, server: TcpStream) {
    for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}

fn read_head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A `CONNECT` proxy for those who log in as `me:hunter2`; returns the head that it read. A refusal
/// repeats the credentials.
fn http(client: &mut TcpStream) -> io::Result<(String, bool)> {
    let head = read_head(client)?;
    let login = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: ")).unwrap_or_default();
    let granted = login == TOKEN;
    if granted {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    } else {
        let body = format!("who is {login}?");
        write!(client, "HTTP/1.1 407 Who are you\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    }
    Ok((head, granted))
}

/// A `CONNECT` proxy that refuses every tunnel with a page.
fn blocking(client: &mut TcpStream) -> io::Result<(String, bool)> {
    let head = read_head(client)?;
    let body = "<html><title>blocked by policy</title></html>";
    write!(client, "HTTP/1.1 403 No\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    Ok((head, false))
}

/// Speaks the protocol of a proxy; what was asked for, and whether it is granted.
type Opener = fn(&mut TcpStream) -> io::Result<(String, bool)>;

/// A `CONNECT` proxy that answers with this head.
fn granting(client: &mut TcpStream, head: &str) -> io::Result<(String, bool)> {
    let asked = read_head(client)?;
    client.write_all(head.as_bytes())?;
    Ok((asked, true))
}

/// A SOCKS 5 proxy for those who log in as `me:hunter2`; returns the name and port that were asked
/// for.
fn socks(client: &mut TcpStream) -> io::Result<(String, bool)> {
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting)?;
    assert_eq!(greeting, [5, 2, 0, 2], "no login, or user and password");
    client.write_all(&[5, 2])?;
    let mut login = [0; 12];
    client.read_exact(&mut login)?;
    assert_eq!(&login, b"\x01\x02me\x07hunter2");
    client.write_all(&[1, 0])?;
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    assert_eq!(request[..4], [5, 1, 0, 3], "connect to a name");
    let mut name = vec![0; usize::from(request[4])];
    client.read_exact(&mut name)?;
    let mut port = [0; 2];
    client.read_exact(&mut port)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((format!("{}:{}", String::from_utf8_lossy(&name), u16::from_be_bytes(port)), true))
}

/// A simulator over https for a name that only the proxy knows the way to, and its certificate.
fn secure_sim() -> (Sim, String) {
    let identity = rcgen::generate_simple_self_signed(["cloud.example".to_owned()]).unwrap();
    let pem = identity.cert.pem();
    let sim =
        Sim::builder().allow_host("cloud.example").tls(&pem, &identity.signing_key.serialize_pem()).start().unwrap();
    sim.script("my-cvm", Attempt::stream().state("starting").complete("running"));
    (sim, pem)
}

fn to_host(host: &str, pem: String) -> ClientBuilder {
    Client::builder().base_url(format!("https://{host}/api/v1")).api_key("phak_1").root_certificates(pem)
}

#[crate::runtime_test]
async fn https_goes_through_the_tunnel_and_the_certificate_is_for_the_server() {
    let (sim, pem) = secure_sim();
    let proxy = Proxy::start(http, sim.addr());
    let url = format!("http://me:hunter2@{}", proxy.addr);
    let client = to_host("cloud.example", pem.clone()).proxy(&url).build().unwrap();
    assert_eq!(client.watch("my-cvm", "running").await.unwrap().status, "running");
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("CONNECT cloud.example:443 HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(!asked[0].contains("phak_1"), "the proxy saw the key");
    assert!(!format!("{client:?}").contains("hunter2"));
    let requests = sim.log().requests();
    assert_eq!(requests[0].header("host"), Some(&b"cloud.example"[..]));
    assert_eq!(requests[0].header("proxy-authorization"), None);
    let error = to_host("other.example", pem).proxy(url).build().unwrap().watch("my-cvm", "running").await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Tls(_))), "{error}");
}

#[crate::runtime_test]
async fn plain_http_goes_through_a_tunnel_too() {
    let sim = Sim::builder().allow_host("cloud.example").start().unwrap();
    sim.script("my-cvm", Attempt::stream().complete("running"));
    let proxy = Proxy::start(http, sim.addr());
    let client = Client::builder()
        .base_url("http://cloud.example:8080/api/v1")
        .api_key("phak_1")
        .allow_http(true)
        .proxy(format!("http://me:hunter2@{}", proxy.addr))
        .build()
        .unwrap();
    client.watch("my-cvm", "running").await.unwrap();
    assert!(proxy.asked()[0].starts_with("CONNECT cloud.example:8080 HTTP/1.1\r\n"), "{:?}", proxy.asked());
    assert_eq!(sim.log().requests()[0].header("proxy-authorization"), None);
}

#[crate::runtime_test]
async fn any_2xx_opens_the_tunnel_also_after_interim_answers_and_in_a_long_head() {
    let openers: [Opener; 5] = [
        |client| granting(client, "HTTP/1.0 200 Connection established\r\n\r\n"),
        |client| granting(client, "HTTP/1.1 201 Created\r\nProxy-Agent: x\r\n\r\n"),
        |client| granting(client, "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"),
        |client| {
            granting(
                client,
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            )
        },
        |client| {
            granting(
                client,
                &format!("HTTP/1.1 200 OK\r\n{}\r\n", format!("x-line: {}\r\n", "y".repeat(90)).repeat(300)),
            )
        },
    ];
    for (number, open) in openers.into_iter().enumerate() {
        let (sim, pem) = secure_sim();
        let proxy = Proxy::start(open, sim.addr());
        let client = to_host("cloud.example", pem).proxy(proxy.addr.to_string()).build().unwrap();
        let watch = client.watch("my-cvm", "running").max_retries(0);
        assert_eq!(
            watch.await.map(|state| state.status).map_err(|error| chain(&error)),
            Ok("running".to_owned()),
            "{number}"
        );
    }
}

/// The error and its sources.
fn chain(error: &dyn Error) -> String {
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        chain += &format!(" | {error}");
        next = error.source();
    }
    chain
}

/// Contract row 16.
#[crate::runtime_test]
async fn credentials_that_the_proxy_refuses_end_the_watch_and_show_nowhere() {
    let (sim, pem) = secure_sim();
    let proxy = Proxy::start(http, sim.addr());
    let builder = to_host("cloud.example", pem).proxy(format!("http://me:hunter3@{}", proxy.addr));
    let shown = format!("{builder:?}");
    let client = builder.build().unwrap();
    let error = client.watch("my-cvm", "running").retry_delay(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::ProxyAuthentication));
    let expected = format!(
        "the proxy requires other credentials; check the user name and the password in its URL | cloud.example:443 | the \
         proxy {} refused the tunnel: HTTP 407 Proxy Authentication Required: who is Basic ***?",
        proxy.addr
    );
    assert_eq!(chain(&error), expected);
    assert_eq!((proxy.asked().len(), sim.log().connections().len()), (1, 0));
    let shown = format!("{shown} {error} {error:?} {client:?}");
    assert!(!shown.contains("hunter3") && !shown.contains("bWU6"), "{shown}");
}

/// Contract row 12.
#[crate::runtime_test]
async fn a_refused_tunnel_fails_the_attempt_and_names_the_proxy_its_status_and_its_message() {
    let (sim, pem) = secure_sim();
    let proxy = Proxy::start(blocking, sim.addr());
    let client = to_host("cloud.example", pem).proxy(proxy.addr.to_string()).build().unwrap();
    let watch = client.watch("my-cvm", "running").max_retries(1).retry_delay(Duration::ZERO);
    let error = watch.await.unwrap_err();
    let Some(Failure::MaxRetriesExceeded { last_cause, .. }) = error.failure() else { panic!("{error:?}") };
    assert_eq!(last_cause, &RetryCause::Closed(CloseCause::Proxy));
    let expected = format!(
        "gave up after 2 attempts: the proxy did not open a tunnel | cloud.example:443 | the proxy {} refused the tunnel: \
         HTTP 403 Forbidden: blocked by policy",
        proxy.addr
    );
    assert_eq!((chain(&error), proxy.asked().len()), (expected, 2));
}

#[crate::runtime_test]
async fn a_base_url_on_this_machine_goes_through_no_proxy() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().complete("running"));
    let closed_port = RefusedPort::new().unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let builder =
            Client::builder().base_url(sim.base_url_for(host)).proxy(format!("http://{}", closed_port.addr()));
        builder.build().unwrap().watch("my-cvm", "running").max_retries(0).await.unwrap();
    }
}

#[crate::runtime_test]
async fn a_repeated_proxy_password_is_redacted() {
    let (sim, pem) = secure_sim();
    sim.script("my-cvm", Attempt::json(403, r#"{"message":"hunter2 is not welcome, nor bWU6aHVudGVyMg=="}"#));
    let proxy = Proxy::start(http, sim.addr());
    let client = to_host("cloud.example", pem).proxy(format!("http://me:hunter2@{}", proxy.addr)).build().unwrap();
    let error = client.watch("my-cvm", "running").await.unwrap_err();
    assert_eq!(error.to_string(), "the server rejected the watch: HTTP 403: *** is not welcome, nor ***");
}

#[crate::runtime_test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let port = RefusedPort::new().unwrap();
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
        let expected = format!(" | cloud.example:80 | the proxy {} cannot be reached", port.addr());
        assert!(chain(&error).contains(&expected), "{}", chain(&error));
        assert!(!format!("{error:?} {client:?}").contains("hunter2"), "{error:?}");
    }
}

#[crate::runtime_test]
async fn https_goes_through_socks_5_and_the_proxy_looks_up_the_name() {
    let (sim, pem) = secure_sim();
    let proxy = Proxy::start(socks, sim.addr());
    let client = to_host("cloud.example", pem).proxy(format!("socks5://me:hunter2@{}", proxy.addr)).build().unwrap();
    assert_eq!(client.watch("my-cvm", "running").max_retries(0).await.unwrap().status, "running");
    assert_eq!(proxy.asked(), ["cloud.example:443"]);
}

#[crate::runtime_test]
async fn an_abort_while_the_tunnel_is_asked_for_closes_the_socket_to_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::builder()
        .base_url("https://cloud.example/api/v1")
        .api_key("phak_1")
        .proxy(format!("http://{}", listener.local_addr().unwrap()))
        .build()
        .unwrap();
    let (kept, keep) = std::sync::mpsc::channel();
    let asked = on_thread(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.read_exact(&mut [0]).unwrap();
        kept.send(socket).unwrap();
    });
    let error = client.watch("my-cvm", "running").abort_on(asked).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    super::assert_closed(keep.recv().unwrap());
}
