//! Real proxies between the client and the simulator.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use cvm_watch_sim::{Attempt, RefusedPort, Sim};
use cvm_watch_surf::{ClientBuilder, CloseCause, Failure, RetryCause, WatchError};
use rcgen::CertifiedKey;

use crate::client;

/// `me:hunter2`.
const TOKEN: &str = "Basic bWU6aHVudGVyMg==";

/// A proxy that leads every name to one address.
struct Proxy {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(open: fn(&mut TcpStream) -> io::Result<(String, bool)>, to: SocketAddr) -> Self {
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

fn http(client: &mut TcpStream) -> io::Result<(String, bool)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let granted = head.contains(&format!("Proxy-Authorization: {TOKEN}\r\n"));
    let answer = if granted { "HTTP/1.1 200 Connected\r\n\r\n" } else { "HTTP/1.1 407 Who are you\r\n\r\n" };
    client.write_all(answer.as_bytes())?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), granted))
}

fn socks(client: &mut TcpStream) -> io::Result<(String, bool)> {
    let mut greeting = [0; 4];
    client.read_exact(&mut greeting)?;
    assert_eq!(greeting, [5, 2, 0, 2]);
    client.write_all(&[5, 2])?;
    let mut login = [0; 12];
    client.read_exact(&mut login)?;
    assert_eq!(&login, b"\x01\x02me\x07hunter2");
    client.write_all(&[1, 0])?;
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    assert_eq!(request[..4], [5, 1, 0, 3]);
    let mut rest = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut rest)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok((String::from_utf8_lossy(&rest[..rest.len() - 2]).into_owned(), true))
}

fn serving(sim: Sim) -> Sim {
    sim.script("x", Attempt::stream().state("starting").complete("running"));
    sim
}

async fn watch(builder: ClientBuilder) -> Result<String, WatchError> {
    let client = builder.build().unwrap();
    client.watch("x", "running").max_retries(0).await.map(|state| state.status)
}

#[async_std::test]
async fn https_goes_through_an_http_proxy_and_is_verified_by_the_servers_own_name() {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["cloud.example".to_owned()]).unwrap();
    let sim = serving(
        Sim::builder().allow_host("cloud.example").tls(&cert.pem(), &signing_key.serialize_pem()).start().unwrap(),
    );
    let proxy = Proxy::start(http, sim.addr());
    let through = |host: &str| {
        let builder = client(format!("https://{host}/api/v1")).root_certificates(cert.pem());
        builder.proxy(format!("http://me:hunter2@{}", proxy.addr))
    };
    assert_eq!(watch(through("cloud.example")).await.unwrap(), "running");
    assert_eq!(proxy.asked(), ["CONNECT cloud.example:443 HTTP/1.1"]);
    let error = watch(through("other.example")).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Tls(_))), "{error}");
}

#[async_std::test]
async fn plain_http_is_tunnelled_too() {
    let sim = serving(Sim::builder().allow_host("cloud.example").start().unwrap());
    let proxy = Proxy::start(http, sim.addr());
    let builder = client("http://cloud.example/api/v1").allow_http(true);
    assert_eq!(watch(builder.proxy(format!("http://me:hunter2@{}", proxy.addr))).await.unwrap(), "running");
    assert_eq!(proxy.asked(), ["CONNECT cloud.example:80 HTTP/1.1"]);
    let sent = &sim.log().requests()[0];
    assert_eq!((sent.header("host"), sent.header("proxy-authorization")), (Some(&b"cloud.example"[..]), None));
}

#[async_std::test]
async fn a_socks_proxy_gets_the_name_and_the_password() {
    let sim = serving(Sim::builder().allow_host("cloud.example").start().unwrap());
    let proxy = Proxy::start(socks, sim.addr());
    let builder = client("http://cloud.example/api/v1").allow_http(true);
    assert_eq!(watch(builder.proxy(format!("socks5://me:hunter2@{}", proxy.addr))).await.unwrap(), "running");
    assert_eq!(proxy.asked(), ["cloud.example"]);
}

#[async_std::test]
async fn what_goes_wrong_at_a_proxy_is_told_as_its_own_and_without_its_password() {
    let sim = serving(Sim::start().unwrap());
    let strict = Proxy::start(http, sim.addr());
    let refused = RefusedPort::new().unwrap();
    for address in [strict.addr, refused.addr()] {
        let builder = client("http://cloud.example").allow_http(true).proxy(format!("http://you:hunter3@{address}"));
        let shown = format!("{builder:?}");
        let error = watch(builder).await.unwrap_err();
        let cause = match error.failure() {
            Some(Failure::MaxRetriesExceeded { last_cause: RetryCause::Closed(cause), .. }) => *cause,
            other => panic!("{other:?}"),
        };
        assert_eq!(cause, CloseCause::Proxy);
        assert!(error.source().is_some());
        let shown = format!("{shown} {error} {error:?}");
        assert!(!shown.contains("hunter3") && !shown.contains("eW91Omh1bnRlcjM"), "{shown}");
    }
    assert!(sim.log().connections().is_empty());
}

#[async_std::test]
async fn a_base_url_on_this_machine_goes_past_the_proxy() {
    let sim = serving(Sim::start().unwrap());
    let nobody = RefusedPort::new().unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let builder = client(sim.base_url_for(host)).proxy(format!("http://{}", nobody.addr()));
        assert_eq!(watch(builder).await.unwrap(), "running");
    }
}

#[async_std::test]
async fn an_echo_of_the_proxys_password_is_masked() {
    let sim = Sim::builder().allow_host("cloud.example").start().unwrap();
    sim.script("x", Attempt::json(403, r#"{"detail":"hunter2 is not welcome, nor bWU6aHVudGVyMg=="}"#));
    let proxy = Proxy::start(http, sim.addr());
    let builder = client("http://cloud.example/api/v1").allow_http(true);
    let error = watch(builder.proxy(format!("http://me:hunter2@{}", proxy.addr))).await.unwrap_err();
    assert_eq!(error.to_string(), "the server rejected the watch: HTTP 403: *** is not welcome, nor ***");
}

#[async_std::test]
async fn an_abort_while_the_tunnel_is_asked_for_closes_the_socket_to_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = client("https://cloud.example").proxy(format!("http://{}", listener.local_addr().unwrap()));
    let (kept, keep) = std::sync::mpsc::channel();
    let asked = async_std::task::spawn_blocking(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(crate::LONG)).unwrap();
        socket.read_exact(&mut [0]).unwrap();
        kept.send(socket).unwrap();
    });
    let error = builder.build().unwrap().watch("x", "running").abort_on(asked).await.unwrap_err();
    assert_eq!(error.failure(), Some(&Failure::Aborted));
    let mut socket = keep.recv().unwrap();
    // To the end, or a reset: a timeout would be neither.
    if let Err(error) = socket.read_to_end(&mut Vec::new()) {
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
