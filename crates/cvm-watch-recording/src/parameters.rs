//! A watch's configuration in a recording, with stand-ins for its secrets.

use core::time::Duration;

use cvm_watch_driver::core::{ApiKey, Backoff, ConfigError, CvmId, FailEarly, Header, Policy, PolicyBuilder};
use serde::{Deserialize, Serialize};

use crate::stand_in::StandIns;

/// Declares [`Parameters`]: for each rule its name in the file, its type, how it is read from a
/// [`Policy`] and how it is given to a [`PolicyBuilder`]. One that a file does not have keeps its
/// default; one that is not known here is refused, since without it the watch would be another.
macro_rules! rules {
    ($($name:ident: $type:ty, $read:expr, $give:expr;)*) => {
        /// Everything that a [`Policy`] is made of.
        #[derive(Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Parameters {
            id: String,
            target: String,
            $(#[serde(default, skip_serializing_if = "Option::is_none")] $name: Option<$type>,)*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            api_key: Option<String>,
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            headers: Vec<(String, String)>,
            /// What is masked besides the key and the headers' values.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            masked: Vec<String>,
        }

        impl Parameters {
            fn without_secrets(policy: &Policy, id: &CvmId) -> Self {
                Self {
                    id: id.as_str().to_owned(),
                    target: policy.target().to_owned(),
                    $($name: apply(policy, $read),)*
                    api_key: None,
                    headers: Vec::new(),
                    masked: Vec::new(),
                }
            }

            fn builder(self) -> PolicyBuilder {
                let builder = Policy::builder(self.target);
                $(let builder = match self.$name {
                    Some(value) => $give(builder, value),
                    None => builder,
                };)*
                builder
            }
        }
    };
}

rules! {
    interval: Duration, |policy| Some(policy.interval()), PolicyBuilder::interval;
    timeout: Duration, |policy| Some(policy.timeout()), PolicyBuilder::timeout;
    max_retries: u64, Policy::max_retries, PolicyBuilder::max_retries;
    retry_delay: Duration, Policy::retry_delay, PolicyBuilder::retry_delay;
    backoff_max: Duration, |policy| policy.backoff().map(Backoff::max_delay), backoff_up_to;
    connect_timeout: Duration, |policy| Some(policy.connect_timeout()), PolicyBuilder::connect_timeout;
    idle_timeout: Duration, Policy::idle_timeout, PolicyBuilder::idle_timeout;
    deadline: Duration, Policy::deadline, PolicyBuilder::deadline;
    complete_grace: Duration, |policy| Some(policy.complete_grace()), PolicyBuilder::complete_grace;
    fail_early: Early, |policy| policy.fail_early().map(Early::of), give_early;
    ready: bool, |policy| Some(policy.ready()), PolicyBuilder::ready;
    after_change: Duration, Policy::after_change, PolicyBuilder::after_change;
    max_event_bytes: usize, |policy| Some(policy.max_event_bytes()), PolicyBuilder::max_event_bytes;
    keep_raw: bool, |policy| Some(policy.keep_raw()), PolicyBuilder::keep_raw;
}

/// Gives the closure's argument its type.
fn apply<T>(policy: &Policy, read: impl Fn(&Policy) -> T) -> T {
    read(policy)
}

fn backoff_up_to(builder: PolicyBuilder, max: Duration) -> PolicyBuilder {
    builder.backoff(Backoff::up_to(max))
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Early {
    statuses: Vec<String>,
    boot_errors: bool,
}

impl Early {
    fn of(early: &FailEarly) -> Self {
        Self { statuses: early.statuses().map(str::to_owned).collect(), boot_errors: early.counts_boot_errors() }
    }
}

fn give_early(builder: PolicyBuilder, early: Early) -> PolicyBuilder {
    builder.fail_early(FailEarly::on(early.statuses).boot_errors(early.boot_errors))
}

impl Parameters {
    pub(crate) fn of(policy: &Policy, id: &CvmId, stand_ins: &StandIns) -> Self {
        let is_sent = |secret: &str| {
            policy.api_key().is_some_and(|key| key.expose() == secret)
                || policy.headers().iter().any(|header| header.value().trim() == secret)
        };
        let masked = stand_ins.pairs().iter().filter(|pair| !is_sent(&pair.secret));
        let header = |header: &Header| (header.name().to_owned(), stand_ins.of_header_value(header.value()));
        Self {
            api_key: policy.api_key().and_then(|key| stand_ins.of_secret(key.expose())).map(str::to_owned),
            headers: policy.headers().iter().map(header).collect(),
            masked: masked.map(|pair| pair.stand_in.clone()).collect(),
            ..Self::without_secrets(policy, id)
        }
    }

    pub(crate) fn build(mut self) -> Result<(CvmId, Policy), ConfigError> {
        let id = CvmId::new(&self.id)?;
        let api_key = self.api_key.take().map(ApiKey::new).transpose()?;
        let (headers, masked) = (core::mem::take(&mut self.headers), core::mem::take(&mut self.masked));
        let mut builder = self.builder();
        if let Some(key) = api_key {
            builder = builder.api_key(key);
        }
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let policy = masked.iter().fold(builder, |builder, secret| builder.mask(secret)).build()?;
        Ok((id, policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_comes_back_and_no_secret_does() {
        let seconds = Duration::from_secs;
        let policy = Policy::builder("stopped")
            .api_key(ApiKey::new("phak_1234567").unwrap())
            .interval(seconds(7))
            .timeout(seconds(77))
            .max_retries(3)
            .retry_delay(Duration::from_nanos(1_500_000_001))
            .backoff(Backoff::up_to(Duration::MAX))
            .connect_timeout(seconds(9))
            .idle_timeout(seconds(11))
            .deadline(seconds(600))
            .complete_grace(Duration::ZERO)
            .fail_early(FailEarly::of_a_boot())
            .after_change(seconds(3))
            .max_event_bytes(1000)
            .keep_raw(true)
            .header("X-Trace", "hunter-header")
            .header("X-Short", "abc")
            .mask("hunter-proxy")
            .build()
            .unwrap();
        let id = CvmId::new("550e8400-e29b-41d4-a716-446655440000").unwrap();
        let line = crate::line::json(&Parameters::of(&policy, &id, &StandIns::new(&policy, &id).unwrap()));
        for secret in ["phak", "hunter", "abc"] {
            assert!(!line.contains(secret), "{line}");
        }
        let (back_id, back) = serde_json::from_str::<Parameters>(&line).unwrap().build().unwrap();
        assert_eq!(back_id, id);
        // `Debug` masks the key and the headers' values, and shows everything else.
        assert_eq!(format!("{back:?}"), format!("{policy:?}"));
        assert_eq!(back.headers()[1].value().len(), 3);
    }

    #[test]
    fn readiness_comes_back() {
        let policy = Policy::builder("running").ready(true).build().unwrap();
        let line = crate::line::json(&Parameters::of(&policy, &CvmId::new("my-cvm").unwrap(), &StandIns::default()));
        assert!(serde_json::from_str::<Parameters>(&line).unwrap().build().unwrap().1.ready());
    }

    #[test]
    fn a_parameter_that_is_missing_keeps_its_default() {
        let (_, back) =
            serde_json::from_str::<Parameters>(r#"{"id":"my-cvm","target":"running"}"#).unwrap().build().unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", Policy::builder("running").build().unwrap()));
    }
}
