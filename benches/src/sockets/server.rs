//! A server that does as little as it can: it finds the script's name in the request and writes
//! bytes that were made before.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::process::{allow_many_files, monotonic};
use super::script::{self, Script};

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 16 * 1024;

type Pieces = Arc<Vec<Vec<u8>>>;

/// Serves until standard input ends. The first line of standard output is the port; a script that reports its end prints
/// `closed NAME TIME` for each of its connections.
pub fn serve() {
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    runtime.block_on(accept());
}

async fn accept() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let listener = socket.listen(BACKLOG).expect("a listener");
    println!("{}", listener.local_addr().expect("an address").port());
    let made = Arc::new(Mutex::new(HashMap::new()));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let made = Arc::clone(&made);
        tokio::spawn(async move {
            // A client that goes before the end is the client's business; it counts what it got.
            let _ = answer(stream, &made).await;
        });
    }
}

async fn answer(mut stream: TcpStream, made: &Mutex<HashMap<Script, Pieces>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let script = asked(&mut stream).await?;
    let pieces = {
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(made.entry(script).or_insert_with(|| Arc::new(script.pieces())))
    };
    match script {
        Script::Burst { .. } | Script::Blocks { .. } => {
            stream.write_all(script.head()).await?;
            for piece in pieces.iter() {
                stream.write_all(piece).await?;
            }
            finish(&mut stream).await
        }
        Script::Paced { pause, .. } => {
            paced(&mut stream, script, &pieces, pause).await?;
            finish(&mut stream).await
        }
        Script::Held { pause, .. } => {
            paced(&mut stream, script, &pieces, pause).await?;
            closed(&mut stream).await;
            Ok(())
        }
        Script::Timed { states, pause } => {
            stream.write_all(script.head()).await?;
            for _ in 0..states {
                tokio::time::sleep(pause).await;
                stream.write_all(&script::timed(monotonic())).await?;
            }
            stream.write_all(&script::completed()).await?;
            finish(&mut stream).await
        }
        Script::Open { .. } => {
            stream.write_all(&[script.head(), &pieces.concat()].concat()).await?;
            tell_closed(&mut stream, script).await;
            Ok(())
        }
        Script::Unanswered { .. } => {
            tell_closed(&mut stream, script).await;
            Ok(())
        }
    }
}

/// Reads a request head and finds the script in its path.
async fn asked(stream: &mut TcpStream) -> io::Result<Script> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let id = head.split_once("/cvms/").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(id, _)| id);
    id.parse().map_err(io::Error::other)
}

async fn paced(stream: &mut TcpStream, script: Script, pieces: &[Vec<u8>], pause: Duration) -> io::Result<()> {
    stream.write_all(script.head()).await?;
    for piece in pieces {
        tokio::time::sleep(pause).await;
        stream.write_all(piece).await?;
    }
    Ok(())
}

/// Ends the response, and lets the client be the one that closes.
async fn finish(stream: &mut TcpStream) -> io::Result<()> {
    closed(stream).await;
    Ok(())
}

async fn tell_closed(stream: &mut TcpStream, script: Script) {
    closed(stream).await;
    let now = monotonic();
    let _ = writeln!(io::stdout(), "closed {script} {now}");
}

/// Waits until the client has closed, by `FIN` or by `RST`.
async fn closed(stream: &mut TcpStream) {
    while stream.read(&mut [0; 256]).await.is_ok_and(|read| read > 0) {}
}
