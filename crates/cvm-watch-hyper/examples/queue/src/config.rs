//! The worker's configuration, from a JSON file.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::Error;

/// Read from the file that the command line names. [`Debug`](std::fmt::Debug) is not derived, since it holds API keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The API keys by name. A name is the last part of a subject and a label of metrics, so it is no secret:
    /// letters, digits, `-` and `_`.
    pub keys: BTreeMap<String, String>,
    /// The NATS server.
    #[serde(default = "nats")]
    pub nats: String,
    /// The base URL of the API; that of Phala Cloud by default.
    pub base_url: Option<String>,
    /// How many streams a key may have open at once, 4 by default; the endpoint allows 5.
    #[serde(default = "max_streams")]
    pub max_streams: usize,
    /// For how long a key belongs to a worker that does not renew its lease, in seconds; 15 by default.
    #[serde(default = "lease_seconds")]
    pub lease_seconds: u64,
    /// After how many seconds without a progress signal an id is delivered again; 30 by default.
    #[serde(default = "ack_wait_seconds")]
    pub ack_wait_seconds: u64,
    /// How long one delivery may take, in seconds, 900 by default. Then the id goes back to the queue.
    #[serde(default = "delivery_seconds")]
    pub delivery_seconds: u64,
    /// How many ids of one key may be watched at once, 2000 by default.
    #[serde(default = "max_watches")]
    pub max_watches: i64,
    /// Where metrics are served for Prometheus; a free port of 127.0.0.1 by default.
    #[serde(default = "metrics")]
    pub metrics: SocketAddr,
}

impl Config {
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let config: Self = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if let Some(name) = config.keys.keys().find(|name| !is_name(name)) {
            return Err(format!("keys \"{name}\" must consist of letters, digits, - and _").into());
        }
        for (field, value) in [
            ("lease_seconds", config.lease_seconds),
            ("ack_wait_seconds", config.ack_wait_seconds),
            ("delivery_seconds", config.delivery_seconds),
        ] {
            if value == 0 {
                return Err(format!("{field} 0 must be at least 1").into());
            }
        }
        Ok(config)
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    pub fn ack_wait(&self) -> Duration {
        Duration::from_secs(self.ack_wait_seconds)
    }

    pub fn delivery(&self) -> Duration {
        Duration::from_secs(self.delivery_seconds)
    }
}

fn nats() -> String {
    "127.0.0.1:4222".to_owned()
}

fn max_streams() -> usize {
    4
}

fn lease_seconds() -> u64 {
    15
}

fn ack_wait_seconds() -> u64 {
    30
}

fn delivery_seconds() -> u64 {
    900
}

fn max_watches() -> i64 {
    2000
}

fn metrics() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}
