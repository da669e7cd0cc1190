//! A provider that supplies a credential before each attempt.

use std::collections::VecDeque;
use std::error::Error;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::{
    ApiKey, BearerToken, CloseCause, ConfigError, Credential, Failure, Input, RetryCause, Timestamp,
};
use cvm_watch_driver::{Client, CredentialProvider, Observed, Settings, Update, provider_fn};
use cvm_watch_sim::virtual_time::{Tasks, VirtualSim, VirtualTime};
use cvm_watch_sim::{Attempt, Request, Script};

use crate::sim::start;

const SECOND: Duration = Duration::from_secs(1);

fn client(
    sim: &VirtualSim,
    script: impl Into<Script>,
    provider: impl CredentialProvider + 'static,
) -> Client<VirtualSim, VirtualTime> {
    sim.script("my-cvm", script);
    let settings =
        Settings::builder().base_url("http://127.0.0.1:9/api/v1").credential_provider(provider).build().unwrap();
    Client::new(settings, sim.clone(), sim.time().clone())
}

/// Returns these tokens one after another, and then repeats the last one.
fn tokens(tokens: &[&str]) -> impl CredentialProvider + use<> {
    let left: Mutex<VecDeque<String>> = Mutex::new(tokens.iter().map(ToString::to_string).collect());
    provider_fn(move || -> Result<Credential, ConfigError> {
        let mut left = left.lock().unwrap();
        let token = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
        Ok(BearerToken::new(token.unwrap())?.into())
    })
}

fn sent(sim: &VirtualSim) -> Vec<String> {
    let token =
        |request: &Request| String::from_utf8(request.header("authorization").unwrap_or(b"none").to_vec()).unwrap();
    sim.log().requests().iter().map(token).collect()
}

fn done() -> Attempt {
    Attempt::stream().state("running").complete("running")
}

/// Contract row 27.
#[test]
fn each_attempt_has_the_credential_that_its_provider_gives_then() {
    let sim = start();
    let script = Script::new().then(Attempt::stream().close()).then(Attempt::stream().close()).then(done());
    let state = sim.time().run(client(&sim, script, tokens(&["one", "two", "three"])).watch("my-cvm", "running"));
    assert_eq!(state.unwrap().status, "running");
    assert_eq!(sent(&sim), ["Bearer one", "Bearer two", "Bearer three"]);
}

/// Contract row 27.
#[test]
fn a_refused_token_is_replaced_once_and_the_same_one_is_final() {
    let sim = start();
    let refusal = || Attempt::json(401, r#"{"message":"expired"}"#);
    let client = client(&sim, Script::new().then(refusal()).then(done()), tokens(&["old", "new"]));
    sim.time().run(client.watch("my-cvm", "running").max_retries(0)).unwrap();
    assert_eq!(sent(&sim), ["Bearer old", "Bearer new"]);

    let sim = start();
    let same = self::client(&sim, refusal(), tokens(&["same"]));
    let error = sim.time().run(same.watch("my-cvm", "running")).unwrap_err();
    assert_eq!((error.rejection().map(|rejection| rejection.status), sent(&sim).len()), (Some(401), 1));
}

/// Contract row 27.
#[test]
fn the_error_of_a_provider_is_the_source_of_the_failure() {
    let sim = start();
    let provider = provider_fn(|| Err::<Credential, _>("the vault is sealed"));
    let error = sim.time().run(client(&sim, done(), provider).watch("my-cvm", "running").max_retries(1)).unwrap_err();
    let Some(Failure::MaxRetriesExceeded { last_cause, attempts: 2, .. }) = error.failure() else { panic!("{error}") };
    assert_eq!(*last_cause, RetryCause::Closed(CloseCause::Credential));
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the vault is sealed"));
    assert_eq!(sim.log().requests().len(), 0);
}

/// Contract row 27.
#[test]
fn a_provider_that_hangs_is_cancelled_at_the_connect_timeout() {
    struct Dropped(Arc<Mutex<u32>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let sim = start();
    let dropped = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&dropped);
    let provider = move || {
        let guard = Dropped(Arc::clone(&counter));
        async move {
            let _guard = guard;
            pending::<Result<Credential, ConfigError>>().await
        }
    };
    let client = client(&sim, done(), provider);
    let watch = client.watch("my-cvm", "running").connect_timeout(7 * SECOND).max_retries(0);
    let error = sim.time().run(watch).unwrap_err();
    assert!(error.to_string().contains("no response within the connect timeout"), "{error}");
    assert_eq!((sim.time().now(), *dropped.lock().unwrap()), (Timestamp::from_secs(7), 1));
}

/// Contract row 24.
#[test]
fn every_token_that_was_given_is_redacted_in_what_the_server_sends() {
    let sim = start();
    let echo = Attempt::stream().event("error", r#"{"error":"token-one and token-two"}"#).close();
    let script = Script::new().then(Attempt::stream().close()).then(echo);
    let mut watch = client(&sim, script, tokens(&["token-one", "token-two"])).watch("my-cvm", "running").max_retries(1);
    let mut updates = String::new();
    let error = sim.time().run(async {
        while let Some(update) = watch.next_update().await {
            updates.push_str(&format!("{update:?}"));
        }
        watch.await.unwrap_err()
    });
    let shown = format!("{updates} {error:?} {error}");
    assert!(shown.contains("*** and ***") && !shown.contains("token-"), "{shown}");
}

#[test]
fn an_observer_sees_the_question_and_the_answer() {
    let sim = start();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let key = || async { Ok::<Credential, ConfigError>(ApiKey::new("phak_1")?.into()) };
    let watch = client(&sim, done(), key).watch("my-cvm", "running").observe(move |observed| {
        if let Observed::Handled { input: Input::Credential { credential, .. }, .. } = observed {
            seen.lock().unwrap().push(credential.expose().to_owned());
        }
    });
    sim.time().run(watch).unwrap();
    assert_eq!(*calls.lock().unwrap(), ["phak_1"]);
    assert_eq!(sim.log().requests()[0].header("x-api-key"), Some(&b"phak_1"[..]));
}

/// Contract row 27.
#[test]
fn members_of_fleets_and_pools_ask_too() {
    let sim = start();
    let client = client(&sim, done(), tokens(&["one", "two", "three", "four"]));
    sim.script("other", done());
    let outcomes = sim.time().run(client.watch_all(["my-cvm", "other"], "running"));
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    let (pool, driver) = client.pool();
    let mut tasks = Tasks::default();
    tasks.spawn(driver);
    for id in ["my-cvm", "other"] {
        sim.script(id, done());
        let watch = pool.watch(id, "running");
        tasks.spawn(async move { drop(watch.await.unwrap()) });
    }
    drop(pool);
    assert!(sim.time().run_tasks(&mut tasks));
    let mut sent = sent(&sim);
    sent.sort();
    assert_eq!(sent, ["Bearer four", "Bearer one", "Bearer three", "Bearer two"]);
}

#[test]
fn a_question_without_a_provider_is_a_failed_attempt() {
    let sim = start();
    let settings = Settings::builder().base_url("http://127.0.0.1:9").build().unwrap();
    let client = Client::new(settings, sim.clone(), sim.time().clone());
    let watch = client.watch("my-cvm", "running").configure(|policy| policy.credential_per_attempt(true));
    let mut watch = watch.max_retries(0);
    assert_eq!(sim.time().run(watch.next_update()), Some(Update::Ended));
    let error = sim.time().run(watch).unwrap_err();
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the client has no credential provider"));
}
