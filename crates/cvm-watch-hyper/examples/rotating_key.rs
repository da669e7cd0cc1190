//! A wait whose credential expires: a provider is asked for a new one before each attempt.
//!
//! `cargo run -p cvm-watch-hyper --example rotating_key` needs no account: the simulator mints the tokens.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{BearerToken, ConfigError, Credential};
use cvm_watch_hyper::Client;
use cvm_watch_sim::{Attempt, Script, Sim};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let sim = Arc::new(Sim::builder().require_token(Duration::from_secs(300)).start()?);
    let ends = || Attempt::stream().state("starting").close();
    let done = Attempt::stream().state("running").complete("running");
    sim.script("my-cvm", Script::new().then(ends()).then(ends()).then(done));

    let mint = Arc::clone(&sim);
    // A program of yours asks its secret store or its CI system here.
    let provider = move || {
        let token = mint.mint_token();
        async move { Ok::<Credential, ConfigError>(BearerToken::new(token)?.into()) }
    };
    let client = Client::builder().base_url(sim.base_url()).credential_provider(provider).build()?;
    let state = client.watch("my-cvm", "running").retry_delay(Duration::ZERO).await?;
    assert_eq!((state.status.as_str(), sim.log().requests().len()), ("running", 3));
    Ok(())
}
