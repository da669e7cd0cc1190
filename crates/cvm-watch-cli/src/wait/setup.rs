//! The client of a `wait`: key and base URL from flags, environment and profiles, and what a person
//! should know of that.

use cvm_watch_core::ConfigError;
use cvm_watch_driver::{Settings, Source};
use cvm_watch_hyper::Client;

use super::Report;
use crate::args::WaitArgs;

pub(super) fn client(args: &WaitArgs, report: &mut Report) -> Result<Client, ConfigError> {
    let mut builder = Client::builder().allow_http(args.allow_http);
    if let Some(name) = &args.profile {
        builder = builder.from_profile(name)?;
    }
    if let Some(url) = &args.base_url {
        builder = builder.base_url(url);
    }
    let client = builder.from_user_setup()?.build()?;
    if args.verbose {
        notes(client.settings()).iter().for_each(|note| report.note(note));
    }
    if let Some(warning) = warning(client.settings()) {
        report.warn(&warning);
    }
    Ok(client)
}

/// Where the settings come from, a line each.
fn notes(settings: &Settings) -> Vec<String> {
    let origins = settings.origins();
    let key = match origins.api_key() {
        Some(source) => format!("the API key comes from {source}"),
        None => "there is no API key; this machine needs none".to_owned(),
    };
    let url = settings.base_url();
    let url = match origins.base_url() {
        Source::Default => format!("the base URL is the default, {url}"),
        Source::Given => format!("the base URL comes from --base-url: {url}"),
        source => format!("the base URL comes from {source}: {url}"),
    };
    [key, url].into_iter().chain(origins.notes().iter().cloned()).collect()
}

fn warning(settings: &Settings) -> Option<String> {
    let origins = settings.origins();
    let key = origins.api_key().filter(|_| origins.are_mixed())?;
    let (url, from) = (settings.base_url(), origins.base_url());
    Some(format!(
        "the API key comes from {key}, but the base URL {url} from {from}; set both in one place, or give --base-url \
         if this is meant"
    ))
}
