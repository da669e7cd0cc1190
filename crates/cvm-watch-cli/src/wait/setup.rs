//! The client of a `wait` or a `state`: key and base URL from flags, environment, `phala.toml` and
//! profiles, and what a person should know of that.

use std::ffi::OsString;

use cvm_watch_core::{ConfigError, printable};
use cvm_watch_driver::{BaseUrl, PROFILE_VARIABLE, Settings, Source, Sources, TOKEN_VARIABLE};
use cvm_watch_hyper::Client;

use super::ended::Ended;
use super::live::Limit;
use super::prepare::Prepared;
use super::project::{FILE, Project};
use super::{target, token};
use crate::args::{ConnectionArgs, StateArgs, WaitArgs};

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

pub(super) fn client(args: &ConnectionArgs, project: &Project) -> Result<Client, Ended> {
    build(args, project).map_err(|error| Ended::invalid(&error.to_string()))
}

fn build(args: &ConnectionArgs, project: &Project) -> Result<Client, ConfigError> {
    let mut builder = Client::builder().allow_http(args.allow_http);
    if let Some(name) = given(&args.profile) {
        builder = builder.override_from_profile(name)?;
    }
    if let Some(url) = given(&args.base_url) {
        builder = builder.base_url(url);
    }
    if let Some(slug) = given(&args.workspace) {
        builder = builder.workspace(slug);
    }
    if let Some(name) = &project.profile {
        builder = builder.project_profile(name);
    }
    if let Some(version) = given(&args.api_version).or(project.api_version.as_deref()) {
        builder = builder.api_version((version != "none").then_some(version));
    }
    if let Some(provider) = token::provider(args)? {
        builder = builder.credential_provider(provider);
    }
    builder.fill_from_user_setup()?.build()
}

/// The value of a flag, unless it is blank, which counts as not given.
pub(super) fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty())
}

/// What to report before the wait begins.
pub(super) fn remarks(args: &WaitArgs, prepared: &Prepared, is_live: bool) -> Vec<Remark> {
    let ids = &prepared.ids;
    let warnings = warnings(prepared).chain(args.target.iter().filter_map(|target| target::doubt(target)));
    let warnings = warnings.chain(args.fail_on.iter().filter_map(|status| target::doubt_of_giving_up(status)));
    let warnings = warnings.chain(ids.doubt()).chain(ids.doubt_of_separators());
    let no_limit = no_limit(args, is_live).map(str::to_owned);
    let notes = notes(&args.connection, prepared, "waiting for").into_iter().chain(no_limit);
    notes.map(Remark::Note).chain(warnings.map(Remark::Warning)).collect()
}

/// The same for a check, which waits for nothing.
pub(super) fn remarks_of_check(args: &StateArgs, prepared: &Prepared) -> Vec<Remark> {
    let (ids, settings) = (&prepared.ids, prepared.client.settings());
    let warnings = warnings(prepared).chain(args.target.iter().filter_map(|target| target::doubt_of_check(target)));
    let warnings = warnings.chain(ids.doubt()).chain(ids.doubt_of_separators());
    let mut notes = notes(&args.connection, prepared, "checking");
    if args.connection.verbose {
        notes.extend(version_by_default(settings));
        notes.push(proxy(settings.base_url(), &|name| std::env::var_os(name)));
    }
    notes.into_iter().map(Remark::Note).chain(warnings.map(Remark::Warning)).collect()
}

/// The version of the API, if no flag gives it: then the other notes leave it out.
fn version_by_default(settings: &Settings) -> Option<String> {
    let version = settings.api_version().filter(|_| *settings.sources().api_version() == Source::Default)?;
    Some(format!("the version of the API is the default, {version}"))
}

/// Which variable names a proxy for this base URL, but not its value, which may hold a password.
fn proxy(url: &BaseUrl, variable: &dyn Fn(&str) -> Option<OsString>) -> String {
    if url.is_loopback() {
        return "this machine is reached without a proxy".to_owned();
    }
    let own = if url.is_https() { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let is_set = |name: &&str| variable(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty());
    let named = own.into_iter().chain(["ALL_PROXY", "all_proxy"]).find(is_set);
    let except = ["NO_PROXY", "no_proxy"].into_iter().find(is_set);
    match (named, except) {
        (None, _) => "no proxy is named in the environment".to_owned(),
        (Some(named), None) => format!("the proxy comes from environment variable {named}"),
        (Some(named), Some(except)) => {
            format!("the proxy comes from environment variable {named}, unless {except} names the host")
        }
    }
}

/// Which CVM the project names, and with `--verbose` where the settings come from.
fn notes(args: &ConnectionArgs, prepared: &Prepared, purpose: &str) -> Vec<String> {
    let settings = prepared.client.settings();
    let sources = args.verbose.then(|| sources(args, &prepared.project, settings));
    prepared.ids.note(purpose).into_iter().chain(sources.into_iter().flatten()).collect()
}

/// What may not be meant in key and base URL.
fn warnings(prepared: &Prepared) -> impl Iterator<Item = String> {
    let settings = prepared.client.settings();
    [key_doubt(settings.sources()), warning(settings)].into_iter().flatten()
}

/// The notice of a wait that may never end, unless the live line shows it. A `--timeout` is explained in any case.
fn no_limit(args: &WaitArgs, is_live: bool) -> Option<&'static str> {
    match (Limit::of(args), args.timeout) {
        (Some(Limit::Never), Some(_)) => {
            Some("this wait has no limit: --timeout limits one attempt, and --deadline 10m would limit the wait")
        }
        (Some(Limit::Never), None) if !is_live => Some("this wait has no limit; --deadline 10m gives it one"),
        _ => None,
    }
}

/// Where the settings come from, a line each.
fn sources(args: &ConnectionArgs, project: &Result<Project, String>, settings: &Settings) -> Vec<String> {
    let origins = settings.sources();
    let credential = match (origins.credential(), token::flag(args)) {
        (Some(_), Some(flag)) => format!("the credential comes from {flag}"),
        (Some(source @ Source::Variable(TOKEN_VARIABLE)), _) => format!("the bearer token comes from {source}"),
        (Some(source), _) => format!("the API key comes from {source}"),
        (None, _) => "there is no API key; this machine needs none".to_owned(),
    };
    let url = settings.base_url();
    let url = match origins.base_url() {
        Source::Default => format!("the base URL is the default, {url}"),
        Source::Given => format!("the base URL comes from --base-url: {url}"),
        source => format!("the base URL comes from {source}: {url}"),
    };
    let workspace = origins.workspace().zip(settings.workspace()).map(|(source, slug)| match source {
        Source::Given => format!("the workspace comes from --workspace: {slug}"),
        source => format!("the workspace comes from {source}: {slug}"),
    });
    let from = if given(&args.api_version).is_some() { "--api-version" } else { FILE };
    let version = match (origins.api_version(), settings.api_version()) {
        (Source::Default, _) => None,
        (_, None) => Some(format!("no version of the API is asked for, as {from} says")),
        (_, Some(version)) => Some(format!("the version of the API comes from {from}: {version}")),
    };
    let (profile, unused) = match project {
        Ok(project) => (named_profile(args, project, origins), None),
        Err(problem) => (None, Some(format!("{problem}; it is not used"))),
    };
    [credential, url]
        .into_iter()
        .chain(profile)
        .chain(workspace)
        .chain(version)
        .chain(unused)
        .chain(origins.notes().iter().cloned())
        .collect()
}

/// What to report of a profile that is used because the project names it.
fn named_profile(args: &ConnectionArgs, project: &Project, sources: &Sources) -> Option<String> {
    let name = project.profile.as_deref().filter(|_| given(&args.profile).is_none())?;
    let variable = std::env::var_os(PROFILE_VARIABLE).unwrap_or_default();
    let is_used = [sources.credential(), Some(sources.base_url())].into_iter().flatten();
    let is_used = is_used.into_iter().any(|source| matches!(source, Source::Profile { .. }));
    (is_used && variable.to_string_lossy().trim().is_empty())
        .then(|| format!("the profile \"{name}\" comes from {FILE}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_named_by_its_variable_without_the_value() {
        let note = |url: &str, set: &[&str]| {
            let value = |name: &str| set.contains(&name).then(|| OsString::from("http://me:hunter2@proxy:3128"));
            proxy(&url.parse().unwrap(), &value)
        };
        for (url, set, expected) in [
            ("https://cloud.example", &["HTTP_PROXY", "NO_PROXY"][..], "no proxy is named in the environment"),
            ("https://cloud.example", &["ALL_PROXY"], "the proxy comes from environment variable ALL_PROXY"),
            (
                "https://cloud.example",
                &["ALL_PROXY", "https_proxy", "no_proxy"],
                "the proxy comes from environment variable https_proxy, unless no_proxy names the host",
            ),
            ("http://cloud.example", &["HTTP_PROXY"], "the proxy comes from environment variable HTTP_PROXY"),
            ("http://127.0.0.1:8080", &["HTTP_PROXY"], "this machine is reached without a proxy"),
        ] {
            assert_eq!(note(url, set), expected, "{url} {set:?}");
        }
    }
}
