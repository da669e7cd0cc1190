//! Events from the body of a reqwest response. `cargo run -p cvm-watch-sse --example http_client`

#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;

use cvm_watch_sse::EventStream;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/events", listener.local_addr()?);
    let server = tokio::spawn(serve(listener));

    let response = reqwest::Client::builder()
        .no_proxy()
        .build()?
        .get(url)
        .header("Accept", "text/event-stream")
        .send()
        .await?
        .error_for_status()?;
    let mut events = EventStream::new(response.bytes_stream());
    let mut statuses = Vec::new();
    while let Some(event) = events.next().await {
        let event = event?;
        println!("{}: {} (id {})", event.event_type(), event.data, event.id);
        statuses.push(event.data);
    }
    assert_eq!(statuses, ["starting", "running"]);
    server.await??;
    Ok(())
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let (mut client, _) = listener.accept().await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await?);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n").await?;
    client.write_all(b"id: 1\nevent: state\ndata: starting\n\nid: 2\nevent: state\ndata: run").await?;
    client.write_all(b"ning\n\n").await
}
