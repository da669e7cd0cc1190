//! Executors other than async-std's.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use cvm_watch_sim::{Attempt, Sim};
use cvm_watch_surf::Client;

#[test]
fn any_executor_will_do_and_a_watch_can_move_between_threads() {
    let sim = Sim::start().unwrap();
    sim.script("x", Attempt::stream().complete("running"));
    let watch = Client::builder().base_url(sim.base_url()).build().unwrap().watch("x", "running");
    let state = thread::spawn(move || {
        let mut outcome = Box::pin(watch.into_future());
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            match outcome.as_mut().poll(&mut cx) {
                Poll::Ready(state) => return state,
                Poll::Pending => thread::park(),
            }
        }
    });
    assert!(state.join().unwrap().unwrap().is("running"));
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
