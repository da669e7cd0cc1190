//! Tests that both clients pass. Each client's suite includes this folder and provides its crate as
//! `crate::subject` and the test attribute of its runtime as `crate::runtime_test`.

mod client;
mod closing;
mod contract;
mod credentials;
mod faults;
mod fleet;
mod played;
mod proxy;
pub(crate) mod request;
mod scenarios;
mod threads;
mod tls;

use std::io::Read;
use std::net::TcpStream;

use cvm_watch_sim::Sim;

use crate::subject::Client;

/// A time limit that is far from what anything here takes.
const LONG: std::time::Duration = std::time::Duration::from_secs(30);

/// A client of this simulator, with a key.
fn client(sim: &Sim) -> Client {
    Client::builder().base_url(sim.base_url()).api_key("phak_1").build().unwrap()
}

/// That the client has closed this connection: it ends, by a reset or not, before a read times out.
fn assert_closed(mut socket: TcpStream) {
    socket.set_read_timeout(Some(LONG)).unwrap();
    if let Err(error) = socket.read_to_end(&mut Vec::new()) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}
