//! The page in headless Chromium, against the simulator.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod build;
mod driver;
mod files;

use std::time::{Duration, Instant};

use cvm_watch_sim::{Attempt, Script, Sim};
use driver::Browser;
use files::Files;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

/// Polls until the page's text of this element is as `is` wants it.
fn until(browser: &Browser, id: &str, is: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let text = browser.run(&format!("return document.getElementById('{id}').textContent"));
        let text = text.as_str().unwrap().to_owned();
        if is(&text) {
            return text;
        }
        assert!(began.elapsed() < PATIENCE, "{id} is {text:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn watch(browser: &Browser, sim: &Sim, id: &str) {
    for (field, value) in [("base", sim.base_url()), ("id", id.to_owned())] {
        browser.run(&format!("document.getElementById('{field}').value = {}", json!(value)));
    }
    browser.run("document.getElementById('form').requestSubmit()");
}

#[test]
fn the_page_shows_status_boot_steps_and_reconnects_and_closes_what_is_stopped() {
    let Some(page) = build::page() else { return };
    let files = Files::serve(page);
    let Some(browser) = Browser::start() else {
        println!("skipped: browser: no chromedriver program, or no chromium");
        return;
    };
    let sim = Sim::builder().cors(&files.origin()).start().unwrap();
    let script = Script::new()
        .then(Attempt::stream().progress("starting", "booting").progress("starting", "requesting app keys").close())
        .then(Attempt::json(503, json!({"detail": "<b>busy</b>"})))
        .then(Attempt::stream().progress("starting", "starting containers").state("running").complete("running"));
    sim.script("my-cvm", script);
    sim.script("never", Attempt::stream().state("stopped").stall());
    sim.script("missing", Attempt::json(404, json!({"error_code": "ERR-03-001", "message": "CVM <i>not</i> found"})));

    browser.open(&files.origin());
    let began = Instant::now();
    while browser.run("return document.body.dataset.ready") != json!("true") {
        assert!(began.elapsed() < PATIENCE, "the page does not start: {}", browser.errors());
        std::thread::sleep(Duration::from_millis(50));
    }

    watch(&browser, &sim, "my-cvm");
    let outcome = until(&browser, "outcome", |text| text != "watching");
    assert_eq!(outcome, "the target was reached: running");
    let shown = |script: &str| browser.run(script);
    assert_eq!(shown("return document.getElementById('status').textContent"), json!("running"));
    assert_eq!(shown("return document.getElementById('reconnects').textContent"), json!("2"));
    let steps = shown("return [...document.getElementById('steps').children].map((step) => step.textContent)");
    assert_eq!(steps, json!(["booting", "requesting app keys", "starting containers"]));
    // The server's text is shown as text.
    assert_eq!(shown("return document.getElementById('cause').textContent"), json!("(HTTP 503: <b>busy</b>)"));

    watch(&browser, &sim, "missing");
    let outcome = until(&browser, "outcome", |text| text != "watching");
    assert!(outcome.contains("404") && outcome.contains("CVM <i>not</i> found"), "{outcome}");

    watch(&browser, &sim, "never");
    until(&browser, "status", |text| text == "stopped");
    browser.run("document.getElementById('stop').click()");
    assert_eq!(until(&browser, "outcome", |text| text != "watching"), "stopped");
    // The stream that was aborted is closed, though the page is still open.
    sim.log().wait_until_idle(PATIENCE).unwrap();

    // No request of the page carried a key.
    let requests = sim.log().requests();
    assert!(requests.iter().all(|request| request.header("x-api-key").is_none()), "{requests:?}");
    let of_page = |value: Value| value.as_array().is_none_or(Vec::is_empty);
    assert!(of_page(browser.errors()), "{}", browser.errors());
}
