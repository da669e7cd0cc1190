//! A watch's configuration in a recording, with stand-ins for its secrets.

use core::time::Duration;

use cvm_watch_driver::core::{ApiKey, Backoff, Config, ConfigBuilder, ConfigError};
use serde::{Deserialize, Serialize};

use crate::stand_in::StandIns;

/// Everything that a [`Config`] is made of.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Parameters {
    id: String,
    target: String,
    #[serde(flatten)]
    rules: Rules,
    #[serde(flatten)]
    secrets: Secrets,
}

#[derive(Debug, Deserialize, Serialize)]
struct Secrets {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    /// What is masked besides the key and the headers' values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    masked: Vec<String>,
}

/// Declares [`Rules`]: for each its name in the file, its type, how it is read from a [`Config`] and
/// how it is given to a [`ConfigBuilder`]. One that a file does not have keeps its default.
macro_rules! rules {
    ($($name:ident: $type:ty, $read:expr, $give:expr;)*) => {
        #[derive(Debug, Deserialize, Serialize)]
        struct Rules {
            $(#[serde(default, skip_serializing_if = "Option::is_none")] $name: Option<$type>,)*
        }

        impl Rules {
            fn of(config: &Config) -> Self {
                let read = |config| Self { $($name: apply(config, $read),)* };
                read(config)
            }

            fn give_to(self, builder: ConfigBuilder) -> ConfigBuilder {
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
    interval: Duration, |config| Some(config.interval()), ConfigBuilder::interval;
    timeout: Duration, |config| Some(config.timeout()), ConfigBuilder::timeout;
    max_retries: u64, Config::max_retries, ConfigBuilder::max_retries;
    retry_delay: Duration, Config::retry_delay, ConfigBuilder::retry_delay;
    backoff_max: Duration, |config| config.backoff().map(Backoff::max_delay), backoff_up_to;
    connect_timeout: Duration, |config| Some(config.connect_timeout()), ConfigBuilder::connect_timeout;
    idle_timeout: Duration, Config::idle_timeout, ConfigBuilder::idle_timeout;
    deadline: Duration, Config::deadline, ConfigBuilder::deadline;
    complete_grace: Duration, |config| Some(config.complete_grace()), ConfigBuilder::complete_grace;
    max_event_bytes: usize, |config| Some(config.max_event_bytes()), ConfigBuilder::max_event_bytes;
    keep_raw: bool, |config| Some(config.keep_raw()), ConfigBuilder::keep_raw;
}

/// Gives the closure's argument its type.
fn apply<T>(config: &Config, read: impl Fn(&Config) -> T) -> T {
    read(config)
}

fn backoff_up_to(builder: ConfigBuilder, max: Duration) -> ConfigBuilder {
    builder.backoff(Backoff::up_to(max))
}

impl Parameters {
    pub(crate) fn of(config: &Config, stand_ins: &StandIns) -> Self {
        let api_key = config.api_key().and_then(|key| stand_ins.of_secret(key.expose())).map(str::to_owned);
        let is_sent = |secret: &str| {
            config.api_key().is_some_and(|key| key.expose() == secret)
                || config.headers().iter().any(|header| header.value().trim() == secret)
        };
        let masked = stand_ins.pairs().iter().filter(|pair| !is_sent(&pair.secret));
        let headers = config.headers().iter();
        let secrets = Secrets {
            api_key,
            headers: headers
                .map(|header| (header.name().to_owned(), stand_ins.of_header_value(header.value())))
                .collect(),
            masked: masked.map(|pair| pair.stand_in.clone()).collect(),
        };
        let (id, target) = (config.id().as_str().to_owned(), config.target().to_owned());
        Self { id, target, rules: Rules::of(config), secrets }
    }

    pub(crate) fn build(self) -> Result<Config, ConfigError> {
        let mut builder = self.rules.give_to(Config::builder(self.id, self.target));
        if let Some(key) = self.secrets.api_key {
            builder = builder.api_key(ApiKey::new(key)?);
        }
        for (name, value) in self.secrets.headers {
            builder = builder.header(name, value);
        }
        for secret in self.secrets.masked {
            builder = builder.mask(&secret);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_comes_back_and_no_secret_does() {
        let seconds = Duration::from_secs;
        let config = Config::builder("550e8400-e29b-41d4-a716-446655440000", "stopped")
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
            .max_event_bytes(1000)
            .keep_raw(true)
            .header("X-Trace", "hunter-header")
            .header("X-Short", "abc")
            .mask("hunter-proxy")
            .build()
            .unwrap();
        let line = crate::line::json(&Parameters::of(&config, &StandIns::new(&config).unwrap()));
        for secret in ["phak", "hunter", "abc"] {
            assert!(!line.contains(secret), "{line}");
        }
        let back = serde_json::from_str::<Parameters>(&line).unwrap().build().unwrap();
        // `Debug` masks the key and the headers' values, and shows everything else.
        assert_eq!(format!("{back:?}"), format!("{config:?}"));
        assert_eq!(back.headers()[1].value().len(), 3);
    }

    #[test]
    fn a_parameter_that_is_missing_keeps_its_default() {
        let back =
            serde_json::from_str::<Parameters>(r#"{"id":"my-cvm","target":"running"}"#).unwrap().build().unwrap();
        assert_eq!(format!("{back:?}"), format!("{:?}", Config::builder("my-cvm", "running").build().unwrap()));
    }
}
