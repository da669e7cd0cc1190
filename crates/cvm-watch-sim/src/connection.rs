//! One connection, from accepting to its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::http::{MAX_BODY, MAX_HEAD, Refusal, RequestHead, parse};
use crate::log::{ConnectionRecorder, End};
use crate::play::{Closing, play};

/// How long a client that was sent everything may take to leave before its socket is dropped. Dropping it at once
/// could reset the connection, and the client would not get the answer.
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
pub(crate) async fn serve<S: Socket>(stream: S, endpoint: Arc<Endpoint>, mut recorder: ConnectionRecorder) {
    let (mut reader, mut writer) = io::split(stream);
    let answer = match read_head(&mut reader).await {
        None => return recorder.end(End::ClientLeft, Instant::now()),
        Some(Ok(head)) => endpoint.answer(head, recorder.number(), Instant::now()),
        Some(Err(refusal)) => endpoint.refuse(refusal, recorder.number(), Instant::now()),
    };
    let closing = tokio::select! {
        biased;
        end = client_end(&mut reader) => match end {
            ClientEnd::Left => None,
            ClientEnd::SentTooMuch => {
                let reason = format!("more than {MAX_BODY} bytes after the request head");
                endpoint.refused(recorder.number(), &Refusal::new(413, reason), Instant::now());
                Some(Closing::Reset)
            }
        },
        closing = play(&mut writer, answer.attempt(), answer.form(), endpoint.speed(), &recorder) => closing.ok(),
    };
    // The slot is free before the client can see the end and come back.
    drop(answer);
    let mut stream = reader.unsplit(writer);
    match closing {
        None => recorder.end(End::ClientLeft, Instant::now()),
        Some(Closing::Reset) => {
            // If the system refuses, the drop below still ends the connection.
            let _ = stream.tcp().set_zero_linger();
            drop(stream);
            recorder.end(End::Reset, Instant::now());
        }
        Some(closing) => {
            let ending = async {
                match closing {
                    Closing::Cut => stream.tcp().shutdown().await,
                    Closing::Close | Closing::Reset => stream.shutdown().await,
                }
            };
            // This fails when the client is gone, and takes long when it reads nothing. Either way it is over.
            let _ = timeout(LINGER, ending).await;
            recorder.end(End::Closed, Instant::now());
            let _ = timeout(LINGER, client_end(stream.tcp())).await;
        }
    }
}

/// The request head, or what refuses it; `None` when the client left before it was whole.
async fn read_head<R: AsyncRead + Unpin>(reader: &mut R) -> Option<Result<RequestHead, Refusal>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        let before = bytes.len();
        match reader.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        // Only the end of a line can complete a head, and reading it again for each byte would take long.
        let has_line_end = bytes.get(before..).is_some_and(|new| new.contains(&b'\n'));
        if (before == 0 || has_line_end || bytes.len() >= MAX_HEAD)
            && let Some(parsed) = parse(&bytes)
        {
            return Some(parsed);
        }
    }
}

/// Why nothing more is read from a client.
enum ClientEnd {
    /// It has closed its side or reset the connection.
    Left,
    /// It has sent more after its head than is read.
    SentTooMuch,
}

/// Reads and drops what the client sends after its request, until it ends.
async fn client_end<R: AsyncRead + Unpin>(reader: &mut R) -> ClientEnd {
    let mut dropped = [0; 512];
    let mut total: usize = 0;
    while let Ok(count @ 1..) = reader.read(&mut dropped).await {
        total = total.saturating_add(count);
        if total > MAX_BODY {
            return ClientEnd::SentTooMuch;
        }
    }
    ClientEnd::Left
}
