//! What the simulator saw: requests, those it refused, connections and how they ended.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::WaitError;
use crate::http::{Refusal, origin_form};
use crate::request;

/// A request as it arrived.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The number of its connection.
    pub connection: u64,
    /// The method, as sent.
    pub method: String,
    /// The request target, as sent: path and query, or a whole URL.
    pub uri: String,
    /// Header names and values, as sent and in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The CVM asked for, decoded, when the path names one.
    pub id: Option<String>,
    /// Which attempt for this CVM it is, from 1; `None` when none of a script's or scenario's attempts was played:
    /// refused by the endpoint's own checks, or immediate mode.
    pub attempt: Option<u32>,
    /// When its head was complete.
    pub at: Instant,
}

impl Request {
    /// The first value of the header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }

    /// The path, as sent.
    pub fn path(&self) -> &str {
        let origin = origin_form(&self.uri);
        origin.split_once('?').map_or(origin, |(path, _)| path)
    }

    /// The last value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        request::query_value(&self.uri, name)
    }
}

/// Credentials are redacted: this ends up in the output of failed tests.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers.iter().map(|(name, value)| {
            let secret = request::SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
            let value = if secret { "***".into() } else { value.escape_ascii().to_string() };
            format!("{name}: {value}")
        });
        f.debug_struct("Request")
            .field("connection", &self.connection)
            .field("method", &self.method)
            .field("uri", &self.uri)
            .field("headers", &headers.collect::<Vec<_>>())
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// A request that the simulator refused by its own checks, or bytes that were not a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedRequest {
    /// The number of its connection.
    pub connection: u64,
    /// The status that was answered.
    pub status: u16,
    /// Why, in one line. It may quote the request.
    pub reason: String,
    /// When it was refused.
    pub at: Instant,
}

/// A connection, open or over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Connections are numbered from 1 in the order in which they were accepted.
    pub number: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// Bytes sent so far, heads and chunk lines included, TLS excluded.
    pub sent: u64,
    /// When something was last sent.
    pub sent_at: Option<Instant>,
    /// How and when it ended; `None` while it is open.
    pub end: Option<(End, Instant)>,
}

impl Connection {
    /// Whether it has not ended yet.
    pub const fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// Whether the client ended it.
    pub const fn left_by_client(&self) -> bool {
        matches!(self.end, Some((End::ClientLeft, _)))
    }

    /// From the last byte sent, or else from accepting, to the end.
    pub fn silence_before_end(&self) -> Option<Duration> {
        let (_, at) = self.end?;
        Some(at.saturating_duration_since(self.sent_at.unwrap_or(self.accepted_at)))
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The client closed or reset it first, or closed its sending side.
    ClientLeft,
    /// The simulator closed it, with the body finished or not.
    Closed,
    /// The simulator reset it.
    Reset,
    /// The TLS handshake failed: the client refused the certificate, or left.
    TlsFailed,
    /// The simulator was stopped.
    Stopped,
}

/// What a [`Sim`](crate::Sim) saw. Clones are handles to the same log; it outlives the simulator.
///
/// The `wait_…` methods block the calling thread, without polling. On an async runtime call them where blocking is
/// allowed, or after the client has done its part.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<Records>,
    changed: Condvar,
    keep: usize,
}

#[derive(Debug, Default)]
struct Records {
    requests: VecDeque<Request>,
    request_count: u64,
    refused: VecDeque<RefusedRequest>,
    connections: BTreeMap<u64, Connection>,
    connection_count: u64,
    open: usize,
    /// How many threads wait for a change.
    waiting: usize,
}

impl Log {
    pub(crate) fn new(keep: usize) -> Log {
        let shared = Shared { records: Mutex::default(), changed: Condvar::new(), keep };
        Log { shared: Arc::new(shared) }
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.records().requests.iter().cloned().collect()
    }

    /// The refused requests so far, oldest first.
    pub fn refused_requests(&self) -> Vec<RefusedRequest> {
        self.records().refused.iter().cloned().collect()
    }

    /// The connections so far, oldest first.
    pub fn connections(&self) -> Vec<Connection> {
        self.records().connections.values().cloned().collect()
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.records().open
    }

    /// Blocks until `count` requests have arrived since the start, and returns those in the log.
    ///
    /// # Errors
    ///
    /// When it takes longer than `timeout`.
    pub fn wait_for_requests(&self, count: u64, timeout: Duration) -> Result<Vec<Request>, WaitError> {
        self.wait_until(timeout, |records| {
            if records.request_count >= count {
                return Ok(records.requests.iter().cloned().collect());
            }
            Err((format!("request {count}"), format!("{} arrived", records.request_count)))
        })
    }

    /// Blocks until the connection of this number has ended, and returns its record.
    ///
    /// # Errors
    ///
    /// When it takes longer than `timeout`, or there is no such connection by then (or in the log any more).
    pub fn wait_until_closed(&self, connection: u64, timeout: Duration) -> Result<Connection, WaitError> {
        self.wait_until(timeout, |records| match records.connections.get(&connection) {
            Some(found) if !found.is_open() => Ok(found.clone()),
            found => {
                let state = if found.is_some() { "it is open" } else { "there is none" };
                Err((format!("the end of connection {connection}"), state.to_owned()))
            }
        })
    }

    /// Blocks until no connection is open.
    ///
    /// # Errors
    ///
    /// When it takes longer than `timeout`.
    pub fn wait_until_idle(&self, timeout: Duration) -> Result<(), WaitError> {
        self.wait_until(timeout, |records| match records.open {
            0 => Ok(()),
            open => Err(("the end of all connections".to_owned(), format!("{open} are open"))),
        })
    }

    pub(crate) fn accepted(&self, peer: SocketAddr, accepted_at: Instant) -> ConnectionRecorder {
        let mut records = self.records();
        records.connection_count += 1;
        records.open += 1;
        let number = records.connection_count;
        let record = Connection { number, peer, accepted_at, sent: 0, sent_at: None, end: None };
        records.connections.insert(number, record);
        records.drop_old_connections(self.shared.keep);
        self.notify(records);
        ConnectionRecorder { log: self.clone(), number, over: false }
    }

    pub(crate) fn refused(&self, connection: u64, refusal: &Refusal, at: Instant) -> RefusedRequest {
        let mut records = self.records();
        let refused = RefusedRequest { connection, status: refusal.status, reason: refusal.reason.clone(), at };
        records.refused.push_back(refused.clone());
        if records.refused.len() > self.shared.keep {
            records.refused.pop_front();
        }
        refused
    }

    pub(crate) fn requested(&self, request: Request) {
        let mut records = self.records();
        records.request_count += 1;
        records.requests.push_back(request);
        if records.requests.len() > self.shared.keep {
            records.requests.pop_front();
        }
        self.notify(records);
    }

    fn wait_until<T>(
        &self,
        timeout: Duration,
        done: impl Fn(&Records) -> Result<T, (String, String)>,
    ) -> Result<T, WaitError> {
        let start = Instant::now();
        let mut records = self.records();
        loop {
            let (what, state) = match done(&records) {
                Ok(value) => return Ok(value),
                Err(missing) => missing,
            };
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                return Err(WaitError { what, timeout, seen: state });
            };
            records.waiting += 1;
            let woken = self.shared.changed.wait_timeout(records, left);
            (records, _) = woken.unwrap_or_else(PoisonError::into_inner);
            records.waiting -= 1;
        }
    }

    /// Wakes the threads that wait, if there are any.
    fn notify(&self, records: MutexGuard<'_, Records>) {
        let waiting = records.waiting;
        drop(records);
        if waiting > 0 {
            self.shared.changed.notify_all();
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.shared.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    // Open ones are kept, so that an end always finds its record.
    fn drop_old_connections(&mut self, keep: usize) {
        let over = self.connections.len().saturating_sub(self.open).saturating_sub(keep);
        let old = self.connections.values().filter(|known| !known.is_open());
        let old = old.take(over).map(|known| known.number).collect::<Vec<_>>();
        for number in old {
            self.connections.remove(&number);
        }
    }
}

/// Writes the record of one connection. Dropped before [`end`](ConnectionRecorder::end), it records [`End::Stopped`].
#[derive(Debug)]
pub(crate) struct ConnectionRecorder {
    log: Log,
    number: u64,
    over: bool,
}

impl ConnectionRecorder {
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn sent(&self, bytes: usize, at: Instant) {
        let mut records = self.log.records();
        if let Some(connection) = records.connections.get_mut(&self.number) {
            connection.sent = connection.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            connection.sent_at = Some(at);
        }
    }

    /// Records the end; only the first one counts.
    pub(crate) fn end(&mut self, end: End, at: Instant) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let mut records = self.log.records();
        records.open = records.open.saturating_sub(1);
        if let Some(connection) = records.connections.get_mut(&self.number) {
            connection.end = Some((end, at));
        }
        self.log.notify(records);
    }
}

impl Drop for ConnectionRecorder {
    fn drop(&mut self) {
        self.end(End::Stopped, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const LONG: Duration = Duration::from_secs(30);

    fn peer() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 9))
    }

    fn request(uri: &str) -> Request {
        Request {
            connection: 1,
            method: "GET".to_owned(),
            uri: uri.to_owned(),
            headers: vec![
                ("X-Api-Key".to_owned(), b"hunter2".to_vec()),
                ("authorization".to_owned(), b"Bearer hunter2".to_vec()),
            ],
            id: None,
            attempt: None,
            at: Instant::now(),
        }
    }

    #[test]
    fn an_end_wakes_a_thread_that_waits_for_it() {
        let log = Log::new(10);
        let mut recorder = log.accepted(peer(), Instant::now());
        let waiting = thread::spawn({
            let log = log.clone();
            move || log.wait_until_closed(1, LONG)
        });
        recorder.sent(7, Instant::now());
        recorder.end(End::ClientLeft, Instant::now());
        let record = waiting.join().unwrap().unwrap();
        assert!(record.left_by_client() && !record.is_open());
        assert_eq!(record.sent, 7);
        assert!(record.silence_before_end().is_some());
        assert_eq!(log.open_connections(), 0);
    }

    #[test]
    fn a_wait_that_times_out_says_how_far_it_came() {
        let log = Log::new(10);
        let open = log.accepted(peer(), Instant::now());
        let text = |error: WaitError| error.to_string();
        let none = Duration::ZERO;
        assert_eq!(text(log.wait_for_requests(2, none).unwrap_err()), "request 2 did not happen within 0ns; 0 arrived");
        assert_eq!(
            text(log.wait_until_closed(1, none).unwrap_err()),
            "the end of connection 1 did not happen within 0ns; it is open"
        );
        assert!(text(log.wait_until_closed(2, none).unwrap_err()).ends_with("there is none"));
        assert!(text(log.wait_until_idle(none).unwrap_err()).ends_with("1 are open"));
        drop(open);
        assert_eq!(log.connections()[0].end.map(|(end, _)| end), Some(End::Stopped));
        assert_eq!(log.wait_until_idle(none), Ok(()));
    }

    #[test]
    fn the_oldest_records_are_dropped_but_never_an_open_connection() {
        let log = Log::new(2);
        let open = log.accepted(peer(), Instant::now());
        for status in 400..405 {
            log.accepted(peer(), Instant::now()).end(End::Closed, Instant::now());
            log.requested(request("/"));
            log.refused(1, &Refusal::new(status, "odd"), Instant::now());
        }
        let last = log.accepted(peer(), Instant::now());
        let numbers = log.connections().iter().map(|known| known.number).collect::<Vec<_>>();
        assert_eq!(numbers, [1, 5, 6, 7]);
        assert_eq!(log.requests().len(), 2);
        assert_eq!(log.wait_for_requests(5, Duration::ZERO).unwrap().len(), 2);
        assert_eq!(log.refused_requests().iter().map(|refused| refused.status).collect::<Vec<_>>(), [403, 404]);
        drop((open, last));
    }

    #[test]
    fn a_request_reads_its_parts_and_redacts_credentials_in_debug() {
        let request = request("/a%20b?target=run%6eing&target=a+b");
        assert_eq!(request.path(), "/a%20b");
        assert_eq!(request.query("target").as_deref(), Some("a b"));
        assert_eq!(request.query("interval"), None);
        assert_eq!(request.header("x-api-key"), Some(b"hunter2".as_slice()));
        let debug = format!("{request:?}");
        assert!(!debug.contains("hunter2") && debug.contains("X-Api-Key: ***"), "{debug}");
    }
}
