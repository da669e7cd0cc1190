//! The simulator in virtual time, as these tests use it.

use std::cell::RefCell;
use std::rc::Rc;

use cvm_watch_driver::cvm_watch_core::Timestamp;
use cvm_watch_driver::{Client, Settings, Timer};
use cvm_watch_sim::virtual_time::{VirtualSim, VirtualSleep, VirtualTime};
use cvm_watch_sim::{Script, Sim};

/// A simulator without a limit of streams.
pub(crate) fn start() -> VirtualSim {
    Sim::builder().stream_limit(0).start_virtual()
}

/// A client of a simulator that runs this script for every CVM without its own script.
pub(crate) fn client(sim: &VirtualSim, script: impl Into<Script>) -> Client<VirtualSim, VirtualTime> {
    sim.script_others(script);
    sim.client()
}

/// The start and the end of each sleep.
pub(crate) type Sleeps = Rc<RefCell<Vec<(Timestamp, Timestamp)>>>;

/// A timer that records its sleeps.
pub(crate) struct Recorded(VirtualTime, Sleeps);

impl Timer for Recorded {
    type Sleep = VirtualSleep;

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> VirtualSleep {
        self.1.borrow_mut().push((self.0.now(), at));
        self.0.sleep_until(at)
    }
}

/// As [`client`], with a record of its sleeps.
pub(crate) fn recorded(sim: &VirtualSim, script: impl Into<Script>) -> (Client<VirtualSim, Recorded>, Sleeps) {
    sim.script_others(script);
    let sleeps = Sleeps::default();
    let settings = Settings::builder().base_url("http://127.0.0.1/api/v1").build().unwrap();
    let timer = Recorded(sim.time().clone(), Rc::clone(&sleeps));
    (Client::new(settings, sim.clone(), timer), sleeps)
}
