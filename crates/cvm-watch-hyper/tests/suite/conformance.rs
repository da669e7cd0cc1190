//! Every scenario of the conformance suite.

use cvm_watch_conformance::{Setup, Suite};
use cvm_watch_hyper::driver::BaseUrl;
use cvm_watch_hyper::{HyperTransport, TokioTimer, TransportBuilder};

pub(crate) fn transport(
    setup: &Setup,
) -> Result<(HyperTransport, TokioTimer), Box<dyn std::error::Error + Send + Sync>> {
    let builder = TransportBuilder::new().no_proxy();
    let builder = setup.authority_pem.iter().fold(builder, TransportBuilder::root_certificates);
    let (transport, _) = builder.build(&BaseUrl::parse(&setup.base_url)?)?;
    Ok((transport, TokioTimer::new()))
}

#[tokio::test]
async fn hyper_passes_every_scenario_of_the_suite() {
    Suite::new(transport).run().await.assert_passed();
}
