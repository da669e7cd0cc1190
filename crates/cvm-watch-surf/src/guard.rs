//! The last station before the back end: secrets go only where the watch was told to go.

use surf::http::Url;
use surf::http::headers::{HeaderName, HeaderValue};
use surf::middleware::{Middleware, Next};
use surf::{Client, Request, Response, Result};

use crate::head::Beside;

/// A middleware of one request. Those run after the client's own, so it has the last word.
///
/// A middleware that follows redirects asks the server by itself, without what is held here, and
/// then sends the request on with another URL. Here it goes back to the watch's own: the secrets
/// never leave their origin, and the server's own redirect becomes the answer, which ends the watch
/// with the right reason. An error in its place would name no redirect, and would be retried.
pub(crate) struct Guard {
    pub(crate) url: Url,
    pub(crate) secrets: Vec<(HeaderName, HeaderValue)>,
    pub(crate) beside: Beside,
}

#[surf::utils::async_trait]
impl Middleware for Guard {
    async fn handle(&self, mut request: Request, client: Client, next: Next<'_>) -> Result<Response> {
        let message: &mut surf::http::Request = request.as_mut();
        *message.url_mut() = self.url.clone();
        for (name, _) in &self.secrets {
            message.remove_header(name);
        }
        for (name, value) in &self.secrets {
            message.append_header(name, value.clone());
        }
        message.ext_mut().insert(self.beside.clone());
        next.run(request, client).await
    }
}
