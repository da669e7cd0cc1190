//! Serves the metrics to Prometheus.

use std::net::SocketAddr;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Error;

/// Upper limits of the buckets of the time to target, in seconds.
const BUCKETS: [f64; 9] = [5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// Installs the recorder, and answers every request to `address` with all metrics. Returns the address.
pub async fn start(address: SocketAddr) -> Result<SocketAddr, Error> {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    cvm_watch_driver::metrics::describe();
    metrics::describe_gauge!("cvm_watch_queue_leases", "API keys that this worker holds");
    metrics::describe_counter!("cvm_watch_queue_deliveries_total", "Jobs that were delivered to this worker");
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            // Without a free file descriptor the next one is tried after a pause.
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(answer(stream, recorder.clone()))),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, recorder: PrometheusHandle) -> std::io::Result<()> {
    let mut head = [0; 4096];
    let mut read = 0;
    while let Some(free) = head.get_mut(read..).filter(|free| !free.is_empty()) {
        let count = stream.read(free).await?;
        read += count;
        let is_complete = head.get(..read).is_some_and(|head| head.windows(4).any(|end| end == b"\r\n\r\n"));
        if count == 0 || is_complete {
            break;
        }
    }
    recorder.run_upkeep();
    let text = recorder.render();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
