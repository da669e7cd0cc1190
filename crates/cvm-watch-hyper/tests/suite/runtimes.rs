//! The runtimes of tokio.

use cvm_watch_hyper::Client;
use cvm_watch_sim::{Attempt, Sim};

#[tokio::test]
async fn it_runs_on_a_runtime_of_many_threads_too() {
    let sim = Sim::start().unwrap();
    sim.script("my-cvm", Attempt::stream().complete("running"));
    let client = Client::builder().base_url(sim.base_url()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let watch = client.watch("my-cvm", "running");
    let state = runtime.spawn(async move { watch.await }).await.unwrap().unwrap();
    assert_eq!(state.status, "running");
    runtime.shutdown_background();
}
