//! Watches a CVM from a web page: a [`Transport`](cvm_watch_driver::Transport) on `fetch` and a
//! [`Timer`](cvm_watch_driver::Timer) on `setTimeout`.
//!
//! The page is for a simulator or for your own server that adds the key. Do not put an API key into a page: everyone who
//! can open the page can read and use it.

mod fetch;
mod timer;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use cvm_watch_driver::cvm_watch_core::Event;
use cvm_watch_driver::{Client, Settings, Update};
use fetch::Fetch;
use js_sys::{Function, Promise};
use timer::BrowserTimer;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

/// Watches `id` at this base URL until its status is `target`, or until the promise `stopped` ends.
///
/// `report` is called with the kind of each update and a text: `connecting` and the number of the attempt, `status` and
/// the status, `progress` and the boot step, `retrying` and the cause.
///
/// # Errors
///
/// The message of what ended the watch without its target.
#[wasm_bindgen]
pub async fn watch(
    base: String,
    id: String,
    target: String,
    report: Function,
    stopped: Promise,
) -> Result<String, JsValue> {
    let settings = Settings::builder().base_url(base).build().map_err(|error| error.to_string())?;
    let client = Client::new(settings, Fetch, BrowserTimer);
    let mut watch = client.watch(id, target).retry_delay(Duration::from_secs(1));
    let mut stopped = pin!(JsFuture::from(stopped));
    loop {
        let update = {
            let mut next = pin!(watch.next_update());
            poll_fn(|cx| match stopped.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => next.as_mut().poll(cx).map(Some),
            })
            .await
        };
        match update {
            // Dropping the handle aborts the request.
            None => return Err("stopped".into()),
            Some(None | Some(Update::Ended)) => break,
            Some(Some(update)) => show(&update, &report)?,
        }
    }
    let state = watch.into_future().await.map_err(|error| error.to_string())?;
    Ok(state.status)
}

fn show(update: &Update, report: &Function) -> Result<(), JsValue> {
    let call = |kind: &str, text: &str| report.call2(&JsValue::NULL, &kind.into(), &text.into()).map(drop);
    match update {
        Update::Connecting { attempt, .. } => call("connecting", &attempt.to_string()),
        Update::Event { event: Event::State(state), .. } => {
            call("status", &state.status)?;
            state.boot_progress.as_deref().map_or(Ok(()), |step| call("progress", step))
        }
        Update::Retrying { cause, .. } => call("retrying", &cause.to_string()),
        _ => Ok(()),
    }
}
