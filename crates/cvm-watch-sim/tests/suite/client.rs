//! A client of raw bytes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use cvm_watch_sim::Sim;

/// Far longer than anything here takes: only a hang reaches it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Opens a connection and sends a whole request for this path below `/api/v1`.
pub(crate) fn send(sim: &Sim, path: &str, headers: &str) -> TcpStream {
    request(sim, &format!("GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"))
}

/// Opens a connection and sends these bytes.
pub(crate) fn request(sim: &Sim, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sim.addr()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    stream
}

/// Opens the event stream of this CVM.
pub(crate) fn watch(sim: &Sim, id: &str) -> TcpStream {
    send(sim, &format!("/cvms/{id}/state?target=running"), "")
}

/// The rest of a connection that ends properly, as text.
pub(crate) fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Reads until `text` has come, and returns all of it.
pub(crate) fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&seen).ends_with(text) {
        let count = stream.read(&mut byte).unwrap();
        assert_ne!(count, 0, "ended before {text:?}: {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8(seen).unwrap()
}

/// How reading everything ends.
pub(crate) fn ending(mut stream: TcpStream) -> Result<Vec<u8>, io::ErrorKind> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(|error| error.kind())?;
    Ok(bytes)
}

/// The body of a chunked answer that was sent whole.
pub(crate) fn dechunk(answer: &str) -> String {
    let (_, mut rest) = answer.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            assert_eq!(after, "\r\n");
            return body;
        }
        body.push_str(&after[..length]);
        rest = after[length..].strip_prefix("\r\n").unwrap();
    }
}
