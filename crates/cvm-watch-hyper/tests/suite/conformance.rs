//! Every scenario of the conformance suite.

use cvm_watch_conformance::{Setup, Suite};
use cvm_watch_hyper::HyperTransport;

#[tokio::test]
async fn hyper_passes_every_scenario_of_the_suite() {
    Suite::new(Setup::transport::<HyperTransport>).run().await.assert_passed();
}
