//! Events from an `AsyncRead`, borrowed from the bytes as they arrive.
//! `cargo run -p cvm-watch-sse --example async_read`

#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "an example; a read is no longer than its buffer")]

use std::io;

use cvm_watch_sse::{Chunk, Decoder, Event, Item};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (mut server, client) = tokio::io::duplex(64);
    let served = tokio::spawn(async move {
        server.write_all(b"id: 1\nevent: state\ndata: starting\n\nid: 2\nevent: state\ndata: run").await?;
        server.write_all(b"ning\n\n").await
    });

    let mut statuses = Vec::new();
    for_each_event(client, |event| {
        println!("{}: {} (id {})", event.event_type(), event.data, event.id);
        statuses.push(event.data.to_owned());
    })
    .await?;
    assert_eq!(statuses, ["starting", "running"]);
    served.await?
}

/// Calls `receive` for each event until the source ends.
async fn for_each_event(mut source: impl AsyncRead + Unpin, mut receive: impl FnMut(Event<'_>)) -> io::Result<()> {
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = source.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let mut chunk = Chunk::new(&buffer[..count]);
        while let Some(item) = decoder.decode(&mut chunk) {
            match item {
                Item::Event(event) => receive(event),
                Item::Retry(milliseconds) => println!("the server asks for {milliseconds} ms before a reconnect"),
                Item::TooLarge { limit } => println!("an event of more than {limit} bytes was skipped"),
                _ => {}
            }
        }
    }
}
