//! Every scenario of the contract kit.

use cvm_watch_hyper::driver::BaseUrl;
use cvm_watch_hyper::{HyperTransport, TokioTimer, TransportBuilder};
use cvm_watch_kit::{Kit, Setup};

pub(crate) fn transport(
    setup: &Setup,
) -> Result<(HyperTransport, TokioTimer), Box<dyn std::error::Error + Send + Sync>> {
    let builder = TransportBuilder::new().no_proxy();
    let builder = setup.authority_pem.iter().fold(builder, TransportBuilder::root_certificates);
    let (transport, _) = builder.build(&BaseUrl::parse(&setup.base_url)?)?;
    Ok((transport, TokioTimer::new()))
}

#[tokio::test]
async fn hyper_passes_every_scenario_of_the_kit() {
    Kit::new(transport).run().await.assert_passed();
}
