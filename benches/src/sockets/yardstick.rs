//! Readers that watch nothing: what the same bytes cost at least.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::script::{END, Script};

/// What a reader has at hand for one read: as much as hyper has at first, and for a long stream as
/// much as it soon has.
fn buffer(script: Script) -> Vec<u8> {
    vec![0; if script.states() < 1000 { 8 * 1024 } else { 256 * 1024 }]
}

/// The request as the client sends it, without a key.
fn request(address: SocketAddr, script: Script) -> String {
    let target = target(script);
    format!(
        "GET {target} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\naccept-encoding: identity\r\n\
         cache-control: no-store\r\nuser-agent: yardstick\r\n\r\n"
    )
}

fn target(script: Script) -> String {
    format!("/api/v1/cvms/{script}/state?target=running&interval=5&timeout=300")
}

/// Reads with tokio until the end of the response. `see` gets each read; the answer is how many
/// bytes there were.
pub async fn tokio_reader(address: SocketAddr, script: Script, mut see: impl FnMut(&[u8])) -> u64 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream.write_all(request(address, script).as_bytes()).await.expect("a request");
    let (mut buffer, mut end, mut bytes) = (buffer(script), End::default(), 0);
    loop {
        let read = stream.read(&mut buffer).await.expect("bytes");
        let chunk = &buffer[..read];
        bytes += read as u64;
        see(chunk);
        if read == 0 || end.reached(chunk) {
            return bytes;
        }
    }
}

/// The same with async-std.
pub async fn async_std_reader(address: SocketAddr, script: Script, mut see: impl FnMut(&[u8])) -> u64 {
    use async_std::io::prelude::{ReadExt, WriteExt};
    let mut stream = async_std::net::TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream.write_all(request(address, script).as_bytes()).await.expect("a request");
    let (mut buffer, mut end, mut bytes) = (buffer(script), End::default(), 0);
    loop {
        let read = stream.read(&mut buffer).await.expect("bytes");
        let chunk = &buffer[..read];
        bytes += read as u64;
        see(chunk);
        if read == 0 || end.reached(chunk) {
            return bytes;
        }
    }
}

/// A bare hyper connection whose body is read in the same task; `see` gets each of its chunks, and
/// the answer is how many bytes of body there were.
pub async fn hyper_reader(address: SocketAddr, script: Script, mut see: impl FnMut(&[u8])) -> u64 {
    let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    let mut connection = pin!(connection);
    let request = hyper::Request::get(target(script))
        .header("host", address.to_string())
        .header("accept", "text/event-stream")
        .header("accept-encoding", "identity")
        .header("cache-control", "no-store")
        .header("user-agent", "yardstick")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let mut response = pin!(sender.send_request(request));
    let mut open = true;
    let mut drive = |cx: &mut std::task::Context<'_>| {
        if open && connection.as_mut().poll(cx).is_ready() {
            open = false;
        }
    };
    let response = std::future::poll_fn(|cx| {
        drive(cx);
        response.as_mut().poll(cx)
    });
    let mut body = response.await.expect("a response").into_body();
    let mut bytes = 0;
    loop {
        let frame = std::future::poll_fn(|cx| {
            let mut frame = pin!(body.frame());
            if let Poll::Ready(frame) = frame.as_mut().poll(cx) {
                return Poll::Ready(frame);
            }
            drive(cx);
            Pin::new(&mut frame).poll(cx)
        });
        let Some(frame) = frame.await else { return bytes };
        let Ok(data) = frame.expect("a frame").into_data() else { continue };
        bytes += data.len() as u64;
        see(&data);
    }
}

/// Knows the end of a chunked body by its last bytes, wherever reads cut them.
#[derive(Default)]
struct End {
    last: [u8; END.len()],
}

impl End {
    fn reached(&mut self, chunk: &[u8]) -> bool {
        let from = chunk.len().saturating_sub(END.len());
        let tail = &chunk[from..];
        self.last.rotate_left(tail.len());
        let at = END.len() - tail.len();
        self.last[at..].copy_from_slice(tail);
        self.last == END
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_known_however_it_is_cut() {
        let text = b"5\r\nhello\r\n0\r\n\r\n";
        for size in 1..text.len() {
            let mut end = End::default();
            let reached: Vec<bool> = text.chunks(size).map(|chunk| end.reached(chunk)).collect();
            assert_eq!(reached.iter().filter(|reached| **reached).count(), 1, "{size}");
            assert_eq!(reached.last(), Some(&true), "{size}");
        }
    }
}
