//! As much of HTTP/1.1 as one `GET` needs, over a socket with a read timeout.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use cvm_watch_driver::BaseUrl;
use cvm_watch_driver::cvm_watch_core::{AttemptId, CloseCause, Request};

/// The most bytes of a response head.
const MAX_HEAD: usize = 64 << 10;
/// The most lines of a response head.
const MAX_HEADER_LINES: usize = 1000;

/// What came of waiting.
pub(crate) enum Arrival {
    Head {
        status: u16,
        headers: Vec<(String, Vec<u8>)>,
    },
    Bytes(Vec<u8>),
    Closed(CloseCause),
    /// The time is up.
    Nothing,
}

/// One attempt's connection. Dropping it closes the socket.
pub(crate) struct Connection {
    attempt: AttemptId,
    host: (String, u16),
    /// What is left to send, until the socket is open.
    request: String,
    socket: Option<TcpStream>,
    /// Bytes that were read and not understood yet.
    read: Vec<u8>,
    /// Body bytes that the watch did not take yet.
    left: Vec<u8>,
    body: Body,
}

/// What the next bytes belong to.
enum Body {
    Head,
    /// Before the size of a chunk.
    Chunked,
    /// In a chunk, or the end of line after it.
    InChunk(usize),
    ChunkEnd,
    Length(u64),
    UntilClose,
    Ended,
}

impl Connection {
    pub(crate) fn new(attempt: AttemptId, base: &BaseUrl, request: &Request) -> Self {
        let mut text =
            format!("GET {}{} HTTP/1.1\r\nhost: {}\r\n", base.path(), request.path_and_query(), base.authority());
        for header in request.headers() {
            text += &format!("{}: {}\r\n", header.name(), header.value());
        }
        text += "\r\n";
        let host = (base.host().to_owned(), base.port());
        Self { attempt, host, request: text, socket: None, read: Vec::new(), left: Vec::new(), body: Body::Head }
    }

    pub(crate) fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Keeps what the watch did not take of these bytes.
    pub(crate) fn put_back(&mut self, mut bytes: Vec<u8>, taken: usize) {
        bytes.drain(..taken.min(bytes.len()));
        self.left = bytes;
    }

    /// The next thing that the peer has to say, if it comes in time.
    pub(crate) fn wait(&mut self, patience: Duration) -> Arrival {
        if !self.left.is_empty() {
            return Arrival::Bytes(std::mem::take(&mut self.left));
        }
        self.try_wait(patience.max(Duration::from_millis(1))).unwrap_or_else(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Arrival::Nothing,
            ErrorKind::ConnectionRefused => Arrival::Closed(CloseCause::Refused),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Arrival::Closed(CloseCause::Reset),
            ErrorKind::InvalidData => Arrival::Closed(CloseCause::NotHttp),
            ErrorKind::NotFound => Arrival::Closed(CloseCause::Dns),
            ErrorKind::FileTooLarge => Arrival::Closed(CloseCause::HeadTooLarge),
            _ => Arrival::Closed(CloseCause::Other),
        })
    }

    fn try_wait(&mut self, patience: Duration) -> io::Result<Arrival> {
        if self.socket.is_none() {
            self.connect(patience)?;
        }
        let Some(socket) = &mut self.socket else { return Ok(Arrival::Nothing) };
        if let Some(arrival) = self.body.next(&mut self.read)? {
            return Ok(arrival);
        }
        socket.set_read_timeout(Some(patience))?;
        let mut buffer = [0; 16 << 10];
        let count = socket.read(&mut buffer)?;
        self.read.extend(buffer.iter().take(count));
        if count > 0 {
            return Ok(self.body.next(&mut self.read)?.unwrap_or(Arrival::Bytes(Vec::new())));
        }
        Ok(Arrival::Closed(match self.body {
            Body::UntilClose | Body::Ended => CloseCause::Ended,
            Body::Head if self.read.is_empty() => CloseCause::Ended,
            _ => CloseCause::Truncated,
        }))
    }

    fn connect(&mut self, patience: Duration) -> io::Result<()> {
        let addresses = (self.host.0.as_str(), self.host.1).to_socket_addrs();
        let mut addresses: Vec<_> = addresses.map_err(|error| io::Error::new(ErrorKind::NotFound, error))?.collect();
        // A retry starts with the next address.
        let retries = usize::try_from(self.attempt.number().saturating_sub(1)).unwrap_or_default();
        let first = retries.checked_rem(addresses.len()).unwrap_or_default();
        addresses.rotate_left(first);
        let share = patience / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = io::Error::from(ErrorKind::NotFound);
        for address in addresses {
            match TcpStream::connect_timeout(&address, share) {
                Ok(mut socket) => {
                    socket.set_nodelay(true)?;
                    socket.write_all(self.request.as_bytes())?;
                    self.socket = Some(socket);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Body {
    /// The next thing in `read`, if it is whole. Takes its bytes.
    fn next(&mut self, read: &mut Vec<u8>) -> io::Result<Option<Arrival>> {
        loop {
            match self {
                Self::Head => return self.head(read),
                Self::Chunked => match httparse::parse_chunk_size(read).map_err(|_| ErrorKind::InvalidData)? {
                    httparse::Status::Partial => return Ok(None),
                    httparse::Status::Complete((length, size)) => {
                        read.drain(..length);
                        *self = match usize::try_from(size).map_err(|_| ErrorKind::InvalidData)? {
                            0 => Self::Ended,
                            size => Self::InChunk(size),
                        };
                    }
                },
                Self::InChunk(size) => {
                    let bytes: Vec<_> = read.drain(..read.len().min(*size)).collect();
                    *size -= bytes.len();
                    if *size == 0 {
                        *self = Self::ChunkEnd;
                    }
                    return Ok((!bytes.is_empty()).then_some(Arrival::Bytes(bytes)));
                }
                Self::ChunkEnd if read.len() < 2 => return Ok(None),
                Self::ChunkEnd => {
                    read.drain(..2);
                    *self = Self::Chunked;
                }
                Self::Length(0) => *self = Self::Ended,
                Self::Length(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
                    *left -= take as u64;
                    let bytes: Vec<_> = read.drain(..take).collect();
                    return Ok((!bytes.is_empty()).then_some(Arrival::Bytes(bytes)));
                }
                Self::UntilClose if read.is_empty() => return Ok(None),
                Self::UntilClose => return Ok(Some(Arrival::Bytes(std::mem::take(read)))),
                Self::Ended => return Ok(Some(Arrival::Closed(CloseCause::Ended))),
            }
        }
    }

    fn head(&mut self, read: &mut Vec<u8>) -> io::Result<Option<Arrival>> {
        let mut space = vec![httparse::EMPTY_HEADER; MAX_HEADER_LINES];
        let mut head = httparse::Response::new(&mut space);
        // Reads heads as browsers do.
        let mut parser = httparse::ParserConfig::default();
        parser.allow_obsolete_multiline_headers_in_responses(true).ignore_invalid_headers_in_responses(true);
        let parsed = parser.parse_response(&mut head, read).map_err(|_| ErrorKind::InvalidData)?;
        let length = match parsed {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if read.len() > MAX_HEAD => return Err(ErrorKind::FileTooLarge.into()),
            httparse::Status::Partial => return Ok(None),
        };
        let status = head.code.unwrap_or_default();
        let headers: Vec<_> =
            head.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
        let value = |name: &str| {
            let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase())
        };
        *self = match (value("transfer-encoding"), value("content-length")) {
            _ if (100..200).contains(&status) => Self::Head,
            _ if status == 204 || status == 304 => Self::Length(0),
            (Some(coding), _) if coding == "chunked" => Self::Chunked,
            (_, Some(length)) => Self::Length(length.parse().map_err(|_| ErrorKind::InvalidData)?),
            _ => Self::UntilClose,
        };
        read.drain(..length);
        if let Self::Head = self {
            return self.head(read);
        }
        Ok(Some(Arrival::Head { status, headers }))
    }
}
