//! Every scenario of the conformance suite.

use cvm_watch_conformance::{Setup, Suite};
use cvm_watch_surf::driver::{ConnectOptions, Settings};
use cvm_watch_surf::surf::middleware::{Middleware, Next};
use cvm_watch_surf::{AsyncStdTimer, Bridge, SurfTransport, surf};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The bridge under a surf client of the user's, with middleware that touches all that it can.
fn transport_under_middleware(setup: &Setup) -> Result<(SurfTransport, AsyncStdTimer), BoxError> {
    let options = setup.authority_pem.iter().fold(ConnectOptions::new().no_proxy(), ConnectOptions::root_certificates);
    let client = surf::Client::with_http_client(Bridge::new(&options)?).with(Curious);
    let settings = Settings::builder().base_url(&setup.base_url).api_key("phak_1").allow_http(true).build()?;
    Ok((SurfTransport::over(client, &settings)?, AsyncStdTimer::new()))
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
    Box::pin(Suite::new(Setup::transport::<SurfTransport>).run()).await.assert_passed();
}

#[async_std::test]
async fn surf_passes_the_suite_under_middleware_too() {
    Box::pin(Suite::new(transport_under_middleware).run()).await.assert_passed();
}
