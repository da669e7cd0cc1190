//! The last middleware before the back end: secrets are sent only to the base URL.

use surf::http::Url;
use surf::http::headers::{HeaderName, HeaderValue};
use surf::middleware::{Middleware, Next};
use surf::{Client, Request, Response, Result};

use crate::head::Beside;

/// A middleware of one request. It runs after the middleware of the client.
///
/// A middleware that follows redirects sends requests without the secrets that are held here, and then passes on the
/// request with another URL. This middleware restores the watch's URL, so the secrets are never sent to another
/// origin, and the server's redirect becomes the answer, which ends the watch with the right cause. An error instead
/// would not name the redirect, and would be retried.
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
