//! Every scenario of the conformance suite.

use cvm_watch_conformance::{Setup, Suite};
use cvm_watch_surf::driver::BaseUrl;
use cvm_watch_surf::surf::middleware::{Middleware, Next};
use cvm_watch_surf::{AsyncStdTimer, SurfTransport, TransportBuilder, surf};

type Made = Result<(SurfTransport, AsyncStdTimer), Box<dyn std::error::Error + Send + Sync>>;

fn builder(setup: &Setup) -> TransportBuilder {
    let builder = TransportBuilder::new().no_proxy();
    setup.authority_pem.iter().fold(builder, TransportBuilder::root_certificates)
}

fn transport(setup: &Setup) -> Made {
    let (transport, _) = builder(setup).build(&BaseUrl::parse(&setup.base_url)?)?;
    Ok((transport, AsyncStdTimer::new()))
}

/// The bridge under a surf client of the user's, with middleware that touches all that it can.
fn transport_under_middleware(setup: &Setup) -> Made {
    let client = surf::Client::with_http_client(builder(setup).bridge()?).with(Curious);
    let (transport, _) = TransportBuilder::new().surf_client(client).build(&BaseUrl::parse(&setup.base_url)?)?;
    Ok((transport, AsyncStdTimer::new()))
}

struct Curious;

#[surf::utils::async_trait]
impl Middleware for Curious {
    async fn handle(
        &self,
        mut request: surf::Request,
        client: surf::Client,
        next: Next<'_>,
    ) -> surf::Result<surf::Response> {
        let body = request.take_body();
        request.set_body(body);
        let mut response = next.run(request.clone(), client).await?;
        let body = response.take_body();
        response.set_body(body);
        Ok(response)
    }
}

#[async_std::test]
async fn surf_passes_every_scenario_of_the_suite() {
    Box::pin(Suite::new(transport).run()).await.assert_passed();
}

#[async_std::test]
async fn surf_passes_the_suite_under_middleware_too() {
    Box::pin(Suite::new(transport_under_middleware).run()).await.assert_passed();
}
