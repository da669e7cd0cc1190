//! Peers that misbehave in ways the simulator has no word for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::subject::{Client, CloseCause, Failure, RetryCause};

/// A server on a separate thread that does this with its one connection.
fn serve(play: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || play(listener.accept().unwrap().0));
    addr
}

fn read_request(socket: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
}

async fn lost_to(addr: SocketAddr) -> RetryCause {
    let client = Client::builder().base_url(format!("http://{addr}")).build().unwrap();
    let error = client.watch("my-cvm", "running").max_retries(0).await.unwrap_err();
    let Some(Failure::MaxRetriesExceeded { last_cause, .. }) = error.failure() else { panic!("{error:?}") };
    last_cause.clone()
}

#[crate::runtime_test]
async fn a_server_of_another_protocol_is_reported_as_not_http() {
    let addr = serve(|mut socket| {
        socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        // Until the client has left.
        let _ = socket.read_to_end(&mut Vec::new());
    });
    assert_eq!(lost_to(addr).await, RetryCause::Closed(CloseCause::NotHttp));
}

#[crate::runtime_test]
async fn a_connection_that_closes_before_it_is_asked_anything_gave_no_answer() {
    let cause = lost_to(serve(drop)).await;
    // Depends on whether the request was on its way already.
    let possible = [RetryCause::NoAnswer, RetryCause::Closed(CloseCause::Reset)];
    assert!(possible.contains(&cause), "{cause:?}");
}

#[crate::runtime_test]
async fn half_a_head_is_reported_as_cut_off_and_not_as_no_answer() {
    let addr = serve(|mut socket| {
        read_request(&mut socket);
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty").unwrap();
    });
    assert_eq!(lost_to(addr).await, RetryCause::Closed(CloseCause::Truncated));
    let addr = serve(|mut socket| read_request(&mut socket));
    assert_eq!(lost_to(addr).await, RetryCause::NoAnswer);
}

#[crate::runtime_test]
async fn a_bad_trailer_is_reported_as_not_http_and_a_good_one_is_ignored() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\ntrailer: x-a\r\n\r\n";
    for (trailer, expected) in [
        ("x-a: b\r\n\r\n", RetryCause::Closed(CloseCause::Ended)),
        ("x a: b\r\n\r\n", RetryCause::Closed(CloseCause::NotHttp)),
    ] {
        let addr = serve(move |mut socket| {
            read_request(&mut socket);
            let comment = ": nothing\n\n";
            let text = format!("{head}{:x}\r\n{comment}\r\n0\r\n{trailer}", comment.len());
            socket.write_all(text.as_bytes()).unwrap();
            let _ = socket.read_to_end(&mut Vec::new());
        });
        assert_eq!(lost_to(addr).await, expected, "{trailer:?}");
    }
}

#[crate::runtime_test]
async fn more_header_lines_than_any_server_sends_are_too_many() {
    let addr = serve(|mut socket| {
        read_request(&mut socket);
        let lines = "x-more: and more\r\n".repeat(2000);
        let _ = socket.write_all(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes());
        let _ = socket.read_to_end(&mut Vec::new());
    });
    assert_eq!(lost_to(addr).await, RetryCause::Closed(CloseCause::HeadTooLarge));
}

/// Contract row 25.
#[test]
fn a_host_that_no_certificate_can_name_is_refused_when_built() {
    let build = |base: &str| Client::builder().base_url(base).api_key("phak_1").build();
    for base in ["https://a..b", "https://-a.example", "https://{x}.example", "https://x\"y.example"] {
        let error = build(base).err().unwrap_or_else(|| panic!("{base} was taken"));
        assert_eq!(error.field(), "base url", "{error}");
    }
    for base in
        ["https://cloud.example", "https://10.1.2.3:8443", "https://[2001:db8::1]", "https://under_score.example"]
    {
        build(base).unwrap();
    }
}

#[crate::runtime_test]
async fn a_base_path_of_odd_characters_is_sent_percent_encoded() {
    let sim = cvm_watch_sim::Sim::start().unwrap();
    let base = format!("http://{}/ä|b^c`{{d}}\"'~", sim.addr());
    let client = Client::builder().base_url(base).build().unwrap();
    let error = client.watch("my-cvm", "running").max_retries(0).await.unwrap_err();
    assert!(matches!(error.failure(), Some(Failure::Rejected(_))), "{error}");
    let uri = sim.log().requests()[0].uri.clone();
    assert!(uri.starts_with("/%C3%A4") && uri.is_ascii(), "{uri}");
}
