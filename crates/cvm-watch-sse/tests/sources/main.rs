//! Events from a `Read` and from a `Stream` of chunks: the same as the decoder reads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by them")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cvm_watch_sse::{Chunk, Decoder, EventStream, Item, Limits, OwnedEvent, ReadError, Reader};
use futures_core::Stream;
use futures_core::stream::FusedStream;

const STREAM: &str = "\u{feff}retry: 250\nid: 1\nevent: state\ndata: a\ndata: b\r\n\r\n: beat\n\ndata: \u{e9}\n\nid: 2\n\n\
                      data: 123456789012345678901\n\ndata: last\rid: 3\r\rdata: unfinished";

fn limits() -> Limits {
    Limits::default().max_event_bytes(20)
}

/// What the decoder reads from the whole stream; None: an event that is too large.
fn expected() -> Vec<Option<OwnedEvent>> {
    let mut decoder = Decoder::new(limits());
    let mut chunk = Chunk::new(STREAM.as_bytes());
    let mut events = Vec::new();
    while let Some(item) = decoder.decode(&mut chunk) {
        match item {
            Item::Event(event) => events.push(Some(event.into())),
            Item::TooLarge { .. } => events.push(None),
            _ => {}
        }
    }
    assert_eq!(events.len(), 4);
    events
}

/// A source of these steps; it ends after them.
struct Steps(VecDeque<Result<Vec<u8>, ErrorKind>>);

impl Steps {
    fn new(steps: &[Result<&str, ErrorKind>]) -> Steps {
        Steps(steps.iter().map(|step| step.map(|text| text.as_bytes().to_vec())).collect())
    }

    fn pieces(length: usize) -> Steps {
        Steps(STREAM.as_bytes().chunks(length).map(|piece| Ok(piece.to_vec())).collect())
    }
}

impl Read for Steps {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.pop_front() {
            None => Ok(0),
            Some(Err(kind)) => Err(kind.into()),
            Some(Ok(mut bytes)) => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                if count < bytes.len() {
                    self.0.push_front(Ok(bytes.split_off(count)));
                }
                Ok(count)
            }
        }
    }
}

/// Pending before each step, as a body that has to wait for the network.
struct Chunks {
    steps: Steps,
    is_ready: bool,
}

impl Chunks {
    fn new(steps: Steps) -> Chunks {
        Chunks { steps, is_ready: false }
    }
}

impl Stream for Chunks {
    type Item = Result<Vec<u8>, ErrorKind>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.steps.0.pop_front())
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The next item. Panics if the stream is pending without having arranged a wake-up.
fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    for polls in 0.. {
        assert_eq!(wakes.0.load(Ordering::Relaxed), polls, "a wake-up for each pending poll");
        if let Poll::Ready(item) = Pin::new(&mut *stream).poll_next(&mut Context::from_waker(&waker)) {
            return item;
        }
    }
    None
}

fn event<E: std::fmt::Debug>(read: Result<OwnedEvent, ReadError<E>>) -> Option<OwnedEvent> {
    match read {
        Ok(event) => Some(event),
        Err(ReadError::TooLarge { limit: 20 }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_reader_yields_what_the_decoder_reads_however_the_bytes_arrive() {
    for length in 1..=STREAM.len() {
        let mut reader = Reader::with_decoder(Steps::pieces(length), Decoder::new(limits()));
        assert_eq!(reader.by_ref().map(event).collect::<Vec<_>>(), expected(), "pieces of {length}");
        assert_eq!(reader.last_event_id(), "3");
        assert_eq!(reader.reconnect_delay(), Some(Duration::from_millis(250)));
        assert!(reader.next().is_none());
    }
}

#[test]
fn an_event_stream_yields_what_the_decoder_reads_however_the_bytes_arrive() {
    for length in 1..=STREAM.len() {
        let chunks = Chunks::new(Steps::pieces(length));
        let mut events = EventStream::with_decoder(chunks, Decoder::new(limits()));
        let mut read = Vec::new();
        while let Some(next) = next(&mut events) {
            read.push(event(next));
        }
        assert_eq!(read, expected(), "pieces of {length}");
        assert_eq!(events.last_event_id(), "3");
        assert_eq!(events.reconnect_delay(), Some(Duration::from_millis(250)));
        assert!(events.is_terminated() && next(&mut events).is_none());
    }
}

/// Larger than the buffer of a reader.
#[test]
fn an_event_of_many_buffers_is_read_whole() {
    let data = "0123456789".repeat(10_000);
    let body = format!("data: {data}\n\ndata: next\n\n");
    let data: Vec<_> = Reader::new(body.as_bytes()).map(|event| event.unwrap().data).collect();
    assert!(data.len() == 2 && data[0].len() == 100_000 && data[1] == "next");
}

#[test]
fn an_event_is_yielded_before_the_source_is_read_again() {
    let mut reader = Reader::new(Steps::new(&[Ok("data: a\n\ndata: b\n\n"), Err(ErrorKind::ConnectionReset)]));
    assert_eq!(reader.next().unwrap().unwrap().data, "a");
    assert_eq!(reader.next().unwrap().unwrap().data, "b");
    assert!(matches!(reader.next(), Some(Err(ReadError::Source(_)))));
}

#[test]
fn the_last_event_id_is_that_of_the_events_yielded_so_far() {
    let mut reader = Reader::new("id: 1\ndata: a\n\nid: 2\ndata: b\n\n".as_bytes());
    assert_eq!(reader.last_event_id(), "");
    for id in ["1", "2"] {
        assert_eq!(reader.next().unwrap().unwrap().id, id);
        assert_eq!(reader.last_event_id(), id);
    }
}

#[test]
fn a_reader_reads_on_after_an_error_that_can_pass() {
    let mut reader = Reader::new(Steps::new(&[
        Ok("data: a"),
        Err(ErrorKind::Interrupted),
        Ok("b"),
        Err(ErrorKind::WouldBlock),
        Ok("c"),
        Err(ErrorKind::TimedOut),
        Ok("\n\n"),
    ]));
    for kind in [ErrorKind::WouldBlock, ErrorKind::TimedOut] {
        match reader.next() {
            Some(Err(ReadError::Source(error))) => assert_eq!(error.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reader.next().unwrap().unwrap().data, "abc");
    assert!(reader.next().is_none());
}

#[test]
fn any_other_error_of_the_source_is_yielded_once_and_is_last() {
    let steps = || Steps::new(&[Ok("data: a\n\ndata: b"), Err(ErrorKind::ConnectionReset), Ok("\n\n")]);

    let mut reader = Reader::new(steps());
    assert_eq!(reader.next().unwrap().unwrap().data, "a");
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!(error.to_string(), "cannot read the event stream");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("reset"));
    assert!(reader.next().is_none() && reader.next().is_none());

    let mut events = EventStream::new(Chunks::new(steps()));
    assert_eq!(next(&mut events).unwrap().unwrap().data, "a");
    assert!(!events.is_terminated());
    assert_eq!(next(&mut events), Some(Err(ReadError::Source(ErrorKind::ConnectionReset))));
    assert!(events.is_terminated() && next(&mut events).is_none());
}

#[test]
fn an_event_that_is_too_large_is_named_with_its_limit_and_what_to_do() {
    let error = ReadError::<io::Error>::TooLarge { limit: 20 };
    assert_eq!(error.to_string(), "an event is larger than 20 bytes; raise Limits::max_event_bytes to read it");
    assert!(std::error::Error::source(&error).is_none());
}

#[test]
fn a_decoder_carries_its_id_and_limits_to_the_next_connection_and_drops_what_was_unfinished() {
    let mut reader = Reader::with_decoder("id: 7\ndata: a\n\nid: 8\ndata: b".as_bytes(), Decoder::new(limits()));
    assert_eq!(reader.by_ref().count(), 1);
    let chunks = Chunks::new(Steps::new(&[Ok("data: c\n\ndata: 123456789012345678901\n\n")]));
    let mut events = EventStream::with_decoder(chunks, reader.into_decoder());
    assert_eq!(
        next(&mut events).unwrap().unwrap(),
        OwnedEvent { data: "c".into(), id: "7".into(), ..OwnedEvent::default() }
    );
    assert_eq!(next(&mut events), Some(Err(ReadError::TooLarge { limit: 20 })));
}

#[test]
fn debug_output_shows_nothing_of_the_stream() {
    let mut reader = Reader::new("id: secret\ndata: secret\n\ndata: secret".as_bytes());
    assert!(reader.next().is_some());
    assert!(!format!("{reader:?}").contains("secret"));
    let mut events = EventStream::new(Chunks::new(Steps::new(&[Ok("id: secret\ndata: secret\n\ndata: secret")])));
    assert!(next(&mut events).is_some());
    assert!(!format!("{events:?}").contains("secret"));
}
