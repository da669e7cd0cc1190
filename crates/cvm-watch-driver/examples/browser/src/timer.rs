//! A timer on `setTimeout`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cvm_watch_driver::Timer;
use cvm_watch_driver::cvm_watch_core::{Timestamp, UnixSeconds};
use js_sys::Promise;
use wasm_bindgen_futures::JsFuture;

/// Reads `performance.now()`. Pages in the background are woken once per second at most, and in some browsers once per
/// minute: timers come late then, and what has arrived is read first.
pub struct BrowserTimer;

/// A `setTimeout`, which is cleared when it is dropped.
pub struct Sleep {
    timeout: i32,
    promise: JsFuture,
}

impl Timer for BrowserTimer {
    type Sleep = Sleep;

    fn now(&self) -> Timestamp {
        let millis = web_sys::window().and_then(|window| window.performance()).map_or(0.0, |clock| clock.now());
        Timestamp::ZERO + Duration::try_from_secs_f64(millis / 1000.0).unwrap_or_default()
    }

    fn wall(&self) -> Option<UnixSeconds> {
        Duration::try_from_secs_f64(js_sys::Date::now() / 1000.0).ok().map(|since| UnixSeconds(since.as_secs()))
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        // A browser rounds down, and counts milliseconds in 31 bits.
        let millis = i32::try_from(at.since(self.now()).as_millis().saturating_add(1)).unwrap_or(i32::MAX);
        let mut timeout = 0;
        let promise = Promise::new(&mut |resolve, _| {
            let window = web_sys::window();
            let set =
                window.map(|window| window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, millis));
            timeout = set.and_then(Result::ok).unwrap_or_default();
        });
        Sleep { timeout, promise: promise.into() }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.promise).poll(cx).map(drop)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(window) = web_sys::window() {
            window.clear_timeout_with_handle(self.timeout);
        }
    }
}
