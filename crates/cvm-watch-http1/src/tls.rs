//! TLS over a stream, by rustls.

use std::future::poll_fn;
use std::io::{self, BufRead, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::stream::Stream;

/// A TLS session and the stream under it.
pub(crate) struct TlsStream<S> {
    stream: S,
    session: ClientConnection,
}

impl<S: Stream> TlsStream<S> {
    /// Performs the handshake. The certificate of the server must be for `name`.
    pub(crate) async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut this = Self { stream, session };
        poll_fn(|cx| this.poll_handshake(cx)).await?;
        Ok(this)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.is_handshaking() {
            ready!(self.poll_write_tls(cx))?;
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            if self.session.is_handshaking() && ready!(self.poll_read_tls(cx))? == 0 {
                let problem = "the server closed the connection during the TLS handshake";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem)));
            }
        }
        // The client sends the last message of the handshake.
        self.poll_write_tls(cx)
    }

    /// Reads some bytes of the stream into the session; 0 is the end of the stream.
    fn poll_read_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { stream, session } = self;
        let count = match session.read_tls(&mut Blocking { stream, cx }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            read => read?,
        };
        if let Err(error) = session.process_new_packets() {
            // Sends the alert to the server. Its failure is ignored, since the error itself matters more.
            let _ = self.poll_write_tls(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(count))
    }

    /// Writes everything that the session has to send.
    fn poll_write_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, session } = self;
        while session.wants_write() {
            match session.write_tls(&mut Blocking { stream: &mut *stream, cx: &mut *cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Read for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut out: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let mut reader = this.session.reader();
            match reader.fill_buf() {
                // An empty read is the end that the server announced (close_notify).
                Ok(chunk) => {
                    let count = chunk.len().min(out.remaining());
                    out.put_slice(chunk.get(..count).unwrap_or_default());
                    reader.consume(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(this.poll_read_tls(cx))?;
            // Sends the session's answers, such as a key update. A write that would block is done with the next read.
            if let Poll::Ready(Err(error)) = this.poll_write_tls(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl<S: Stream> Write for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // No more data is added while earlier bytes wait.
        ready!(this.poll_write_tls(cx))?;
        let count = this.session.writer().write(bytes)?;
        match this.poll_write_tls(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The rest is sent by the next write or flush.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_tls(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.session.send_close_notify();
        ready!(this.poll_write_tls(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// A stream in the form that rustls reads and writes: `WouldBlock` means pending.
struct Blocking<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
}

impl<S: Stream> io::Read for Blocking<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.stream).poll_read(self.cx, buffer.unfilled()) {
            Poll::Ready(read) => read.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: Stream> io::Write for Blocking<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.stream).poll_write(self.cx, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
