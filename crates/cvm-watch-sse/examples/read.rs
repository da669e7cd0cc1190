//! Events from a socket, with nothing but the standard library. `cargo run -p cvm-watch-sse --example read`

#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use cvm_watch_sse::Reader;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || serve(&listener));

    let body = open(TcpStream::connect(address)?)?;
    let mut statuses = Vec::new();
    for event in Reader::new(body) {
        let event = event?;
        println!("{}: {} (id {})", event.event_type(), event.data, event.id);
        statuses.push(event.data);
    }
    assert_eq!(statuses, ["starting", "running"]);
    server.join().map_err(|_| "the server panicked")??;
    Ok(())
}

/// Sends a request and reads the head of the answer. What follows is the event stream.
fn open(mut socket: TcpStream) -> io::Result<impl Read> {
    socket.write_all(b"GET / HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")?;
    let mut answer = BufReader::new(socket);
    let mut line = String::new();
    while answer.read_line(&mut line)? > 2 {
        line.clear();
    }
    Ok(answer)
}

fn serve(listener: &TcpListener) -> io::Result<()> {
    let (mut client, _) = listener.accept()?;
    let mut request = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    client.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")?;
    client.write_all(b"id: 1\nevent: state\ndata: starting\n\nid: 2\nevent: state\ndata: run")?;
    client.write_all(b"ning\n\n")
}
