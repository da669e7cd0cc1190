//! Which worker an API key belongs to. Only the holder of a key's lease opens streams with it.

use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Store, UpdateErrorKind};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::Error;

/// A lease on a key: an entry of a bucket whose entries expire.
pub struct Lease {
    leases: Store,
    key: String,
    worker: Bytes,
    revision: u64,
    duration: Duration,
    /// Until when no other worker can have it.
    valid_until: Instant,
}

impl Lease {
    /// Takes the lease on `key`; `None` while another worker has it.
    pub async fn acquire(leases: &Store, key: &str, worker: &str, duration: Duration) -> Result<Option<Self>, Error> {
        let asked = Instant::now();
        let worker = Bytes::from(worker.to_owned());
        let revision = match leases.create(key, worker.clone()).await {
            Ok(revision) => revision,
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let valid_until = asked + safe(duration);
        Ok(Some(Self { leases: leases.clone(), key: key.to_owned(), worker, revision, duration, valid_until }))
    }

    /// Renews the lease for as long as that works. Returns before another worker can have it.
    pub async fn hold(&mut self) {
        loop {
            let asked = Instant::now();
            let next = match timeout_at(self.valid_until, self.renew()).await {
                Ok(Ok(true)) => {
                    self.valid_until = asked + safe(self.duration);
                    asked + self.duration / 3
                }
                Ok(Ok(false)) | Err(_) => return,
                Ok(Err(_)) => asked + self.duration / 10,
            };
            if next >= self.valid_until {
                tokio::time::sleep_until(self.valid_until).await;
                return;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    /// Gives the lease back, so that another worker need not wait for its end.
    pub async fn release(self) {
        let released = self.leases.delete_expect_revision(&self.key, Some(self.revision));
        // Without an answer it expires by itself.
        let _ = timeout_at(self.valid_until, released).await;
    }

    /// Returns false if another worker has the lease.
    async fn renew(&mut self) -> Result<bool, Error> {
        match self.leases.update(&self.key, self.worker.clone(), self.revision).await {
            Ok(revision) => self.revision = revision,
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                // The answer to an earlier renewal may not have come.
                match self.leases.entry(&self.key).await? {
                    Some(entry) if entry.value == self.worker => self.revision = entry.revision,
                    _ => return Ok(false),
                }
                self.revision = self.leases.update(&self.key, self.worker.clone(), self.revision).await?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}

/// A little less than the lease, for the time that closing the streams takes.
fn safe(duration: Duration) -> Duration {
    duration.mul_f64(0.8)
}
