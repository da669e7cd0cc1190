//! What all watches of one client share.

use std::sync::Arc;

use crate::account::BaseUrl;
use crate::account::Settings;

/// The settings, the transport and the timer of a client.
pub(crate) struct Shared<T, C> {
    pub(crate) settings: Settings,
    /// The base URL of the settings, shared with every request.
    pub(crate) base: Arc<BaseUrl>,
    pub(crate) transport: T,
    pub(crate) timer: C,
}

impl<T, C> Shared<T, C> {
    pub(crate) fn new(settings: Settings, transport: T, timer: C) -> Self {
        let base = Arc::new(settings.base_url().clone());
        Self { settings, base, transport, timer }
    }
}
