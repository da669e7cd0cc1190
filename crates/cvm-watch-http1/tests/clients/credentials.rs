//! Tokens that the simulator minted, a new one for each attempt.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{ConfigError, Credential};
use cvm_watch_driver::provider_fn;
use cvm_watch_sim::{Attempt, Script, Sim};

use crate::subject::Client;

/// Contract row 27.
#[crate::runtime_test]
async fn a_wait_outlives_three_tokens() {
    let sim = Sim::builder().require_token(Duration::from_secs(60)).start().unwrap();
    let ends = || Attempt::stream().state("starting").close();
    let done = Attempt::stream().state("running").complete("running");
    sim.script("my-cvm", Script::new().then(ends()).then(ends()).then(done));
    // The first is none of the simulator's, as one that has expired.
    let tokens: Vec<_> = ["expired".to_owned()].into_iter().chain((0..3).map(|_| sim.mint_token())).collect();
    let left = Arc::new(Mutex::new(tokens.into_iter()));
    let provider = provider_fn(move || -> Result<Credential, ConfigError> {
        Credential::from_text(left.lock().unwrap().next().unwrap())
    });
    let client = Client::builder().base_url(sim.base_url()).credential_provider(provider).build().unwrap();
    let state = client.watch("my-cvm", "running").retry_delay(Duration::ZERO).max_retries(2).await.unwrap();
    assert_eq!((state.status.as_str(), sim.log().requests().len()), ("running", 4));
}
