//! One connection, from accepting to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::log::{End, Tally};
use crate::play::{Last, play};
use crate::request::{Parsed, parse};
use crate::world::World;

/// How long a client that was sent everything may take to leave before its socket is dropped. Dropping at once could
/// turn into a reset that takes the answer with it.
const LINGER: Duration = Duration::from_secs(1);

/// A stream over TCP, whose TCP part can be reached to cut or reset it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// The TCP connection below.
    fn tcp(&mut self) -> &mut TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&mut self) -> &mut TcpStream {
        self
    }
}

/// Reads one request, answers it and ends the connection.
pub(crate) async fn serve<S: Socket>(stream: S, world: Arc<World>, tally: Tally) {
    let (mut reader, mut writer) = io::split(stream);
    let Some(parsed) = read_head(&mut reader).await else {
        return tally.end(End::ClientLeft);
    };
    let answer = match parsed {
        Parsed::Whole(call) => world.answer(call, tally.number(), Instant::now()),
        Parsed::Bad(attempt) => attempt.into(),
        Parsed::Partial => return tally.end(End::ClientLeft),
    };
    let last = tokio::select! {
        biased;
        () = client_left(&mut reader) => None,
        last = play(&mut writer, answer.attempt(), world.speed(), &tally) => last.ok(),
    };
    // Its place among the key's streams is free before the client can see the end and come back.
    drop(answer);
    let mut stream = reader.unsplit(writer);
    match last {
        None => tally.end(End::ClientLeft),
        Some(Last::Reset) => {
            // If the system refuses, the drop below still ends the connection.
            let _ = stream.tcp().set_zero_linger();
            drop(stream);
            tally.end(End::Reset);
        }
        Some(last) => {
            let ending = async {
                match last {
                    Last::Cut => stream.tcp().shutdown().await,
                    Last::Close | Last::Reset => stream.shutdown().await,
                }
            };
            // A client that is gone makes this fail, one that reads nothing makes it late; either way it is over.
            let _ = timeout(LINGER, ending).await;
            tally.end(End::Closed);
            let _ = timeout(LINGER, client_left(stream.tcp())).await;
        }
    }
}

/// The head, or an answer to a bad one; `None` when the client left before it was whole.
async fn read_head<R: AsyncRead + Unpin>(reader: &mut R) -> Option<Parsed> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        match reader.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        match parse(&bytes) {
            Parsed::Partial => {}
            parsed => return Some(parsed),
        }
    }
}

/// Resolves when the client has closed its side or reset the connection. What it sends meanwhile is dropped.
async fn client_left<R: AsyncRead + Unpin>(reader: &mut R) {
    let mut ignored = [0; 512];
    while let Ok(1..) = reader.read(&mut ignored).await {}
}
