//! The client of a `wait`: key and base URL from flags, environment and profiles, and what a person
//! should know of that.

use cvm_watch_core::{ConfigError, printable};
use cvm_watch_driver::{Settings, Source, Sources};
use cvm_watch_hyper::Client;

use super::ended::Ended;
use super::ids::Ids;
use super::target;
use crate::args::WaitArgs;

/// A message before the wait begins.
pub(super) enum Remark {
    /// Something that was asked for.
    Note(String),
    /// Something that may not be as it was meant.
    Warning(String),
}

impl Remark {
    /// As a line of standard error.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Note(message) => format!("note: {}", printable(message, 600)),
            Self::Warning(message) => format!("warning: {}", printable(message, 600)),
        }
    }
}

pub(super) fn client(args: &WaitArgs) -> Result<Client, Ended> {
    build(args).map_err(|error| Ended::invalid(&error.to_string()))
}

fn build(args: &WaitArgs) -> Result<Client, ConfigError> {
    let mut builder = Client::builder().allow_http(args.allow_http);
    if let Some(name) = &args.profile {
        builder = builder.override_from_profile(name)?;
    }
    if let Some(url) = &args.base_url {
        builder = builder.base_url(url);
    }
    builder.fill_from_user_setup()?.build()
}

pub(super) fn remarks(args: &WaitArgs, ids: &Ids, settings: &Settings) -> Vec<Remark> {
    let notes = if args.verbose { notes(settings) } else { Vec::new() };
    let warnings = [key_doubt(settings.sources()), warning(settings)].into_iter().flatten();
    let warnings = warnings.chain(args.target.iter().filter_map(|target| target::doubt(target)));
    let warnings = warnings.chain(args.fail_on.iter().filter_map(|status| target::doubt_of_giving_up(status)));
    let warnings = warnings.chain(ids.doubt()).chain(ids.doubt_of_separators());
    let notes = notes.into_iter().chain(no_limit(args));
    notes.map(Remark::Note).chain(warnings.map(Remark::Warning)).collect()
}

/// What to report of a wait that may never end.
fn no_limit(args: &WaitArgs) -> Option<String> {
    match (args.deadline, args.max_retries, args.timeout) {
        (None, None, None) => Some("this wait has no limit; --deadline 10m gives it one".to_owned()),
        (None, None, Some(_)) => Some(
            "this wait has no limit: --timeout limits one attempt, and --deadline 10m would limit the wait".to_owned(),
        ),
        _ => None,
    }
}

/// Where the settings come from, a line each.
fn notes(settings: &Settings) -> Vec<String> {
    let origins = settings.sources();
    let key = match origins.credential() {
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

fn key_doubt(sources: &Sources) -> Option<String> {
    let (source, doubt) = (sources.credential()?, sources.credential_doubt()?);
    Some(format!("the API key from {source} {doubt}; copy it again if that is not meant"))
}

fn warning(settings: &Settings) -> Option<String> {
    let origins = settings.sources();
    let key = origins.credential().filter(|_| origins.are_mixed())?;
    let (url, from) = (settings.base_url(), origins.base_url());
    Some(format!(
        "the API key comes from {key}, but the base URL {url} from {from}; set both in one place, or give --base-url \
         if this is meant"
    ))
}
