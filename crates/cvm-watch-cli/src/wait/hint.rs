//! What to do next when a watch has failed: one line for each kind of failure.

use cvm_watch_core::{CloseCause, Failure, RejectCause, RetryCause, TlsFault, printable};
use cvm_watch_driver::{Source, Sources};

/// The next step after a failure; `None` where there is nothing to do. It does not repeat the failure's
/// message.
pub(super) fn next_step(failure: &Failure, origins: &Sources) -> Option<String> {
    match failure {
        Failure::DeadlineExceeded { last_status, last_cause, .. } => {
            Some(after_deadline(last_status.as_deref(), last_cause.as_ref(), origins))
        }
        Failure::TargetUnreachable { boot_error, .. } => Some(after_failed_boot(boot_error.is_some())),
        Failure::MaxRetriesExceeded { last_cause, .. } => Some(after_failed_attempts(last_cause, origins)),
        Failure::Rejected(rejection) => {
            let has_code = rejection.error_code.is_some();
            Some(after_rejection(&rejection.cause, rejection.status, has_code, origins))
        }
        Failure::Stalled { .. } => {
            Some("look at the CVM's logs; raise --stall-timeout if a step of the boot is slow".to_owned())
        }
        Failure::ProxyAuthentication => Some(
            "set user name and password in the proxy's URL, percent-encoded, or bypass the proxy with NO_PROXY"
                .to_owned(),
        ),
        Failure::Tls(TlsFault::Authority) => {
            Some("give the server a separate certificate, signed by this authority and without CA:TRUE".to_owned())
        }
        Failure::Tls(TlsFault::HostName) => {
            Some(format!("check the host in the base URL, which is {}", base_url(origins)))
        }
        Failure::Tls(_) => Some("put your own certificate authority into SSL_CERT_FILE, as PEM".to_owned()),
        // An abort was the user's decision.
        _ => None,
    }
}

/// The next step after a check has failed, which is not repeated and has no limits to raise.
pub(super) fn next_step_of_check(failure: &Failure, origins: &Sources) -> Option<String> {
    match failure {
        Failure::MaxRetriesExceeded { last_cause, .. } => Some(match last_cause {
            RetryCause::TooManyStreams { .. } => TRY_AGAIN.to_owned(),
            cause if is_network(cause) || matches!(cause, RetryCause::Closed(CloseCause::Credential)) => {
                after_failed_attempts(cause, origins)
            }
            _ => TRY_AGAIN.to_owned(),
        }),
        _ => next_step(failure, origins),
    }
}

/// The next step where only time helps.
const TRY_AGAIN: &str = "try again; cvm-watch wait does that by itself";

fn after_rejection(cause: &RejectCause, status: u16, has_code: bool, origins: &Sources) -> String {
    match (cause, status) {
        (RejectCause::Redirect { .. }, _) => {
            format!("give the final address as --base-url; the one in use is {}", base_url(origins))
        }
        (RejectCause::ContentType { .. }, _) => {
            format!("the answer is not from Phala Cloud's API: check the base URL, which is {}", base_url(origins))
        }
        (RejectCause::ContentEncoding { .. } | RejectCause::TransferEncoding { .. }, _) => {
            "a proxy changes the response; bypass it with NO_PROXY".to_owned()
        }
        (_, 401) => format!("check the API key, which is {}", key(origins)),
        (_, 403) => format!("check the id, and that the API key may see this CVM; the key is {}", key(origins)),
        // The API gives its answers a code, so another server or path may have answered.
        (_, 404) if !has_code => format!(
            "check that the base URL ends with the API's path, as in …/api/v1, and then the id; the base URL is {}",
            base_url(origins)
        ),
        (_, 404) => format!(
            "check the id, and that the CVM belongs to the API key's workspace (--profile chooses another); the key is {}",
            key(origins)
        ),
        (_, 400 | 422) => "check the id and the flags; the server's message names the problem".to_owned(),
        (_, 200..=299) => format!("check the base URL, which is {}", base_url(origins)),
        _ => "retrying does not help; follow the server's message, or ask Phala's support".to_owned(),
    }
}

fn after_deadline(last_status: Option<&str>, last_cause: Option<&RetryCause>, origins: &Sources) -> String {
    match (last_status, last_cause) {
        (_, Some(RetryCause::NotReady)) => "raise --deadline, or leave out --ready if the status is enough".to_owned(),
        (_, Some(RetryCause::NotChanged)) => {
            "check that the restart or update was requested, or set --after-change to less than --deadline".to_owned()
        }
        // The last attempts did not get to the server, so the last status is old.
        (Some(_), Some(cause)) if is_network(cause) => after_failed_attempts(cause, origins),
        (Some(status), _) => {
            let status = printable(status, 40);
            format!("raise --deadline, or find out why the CVM stays \"{status}\"")
        }
        (None, Some(cause)) => after_failed_attempts(cause, origins),
        (None, None) => "raise --deadline; the server has not reported a status yet".to_owned(),
    }
}

fn after_failed_boot(has_error: bool) -> String {
    let step = if has_error { "fix what the boot error names" } else { "look for the reason in the CVM's logs" };
    format!("{step}; if the CVM recovers by itself, use --no-fail-early")
}

/// Whether an attempt failed before the server answered.
fn is_network(cause: &RetryCause) -> bool {
    use CloseCause::{Dns, HeadTooLarge, HostUnreachable, NotHttp, Proxy, Refused, Tls};
    let closed =
        matches!(cause, RetryCause::Closed(Dns | Refused | HostUnreachable | Proxy | NotHttp | HeadTooLarge | Tls(_)));
    closed || matches!(cause, RetryCause::ConnectTimeout | RetryCause::TooManyStreams { .. })
}

/// What helps when every attempt failed, by the cause of the last one.
fn after_failed_attempts(cause: &RetryCause, origins: &Sources) -> String {
    match cause {
        RetryCause::Closed(CloseCause::Dns | CloseCause::Refused | CloseCause::HostUnreachable) => {
            format!("check the network and the base URL, which is {}", base_url(origins))
        }
        RetryCause::Closed(CloseCause::Credential) => {
            "run the program of --token-command by hand, or look into the file of --token-file".to_owned()
        }
        RetryCause::Closed(CloseCause::Proxy) => {
            "check the proxy and the variable that names it, or bypass it with NO_PROXY".to_owned()
        }
        RetryCause::Closed(CloseCause::NotHttp | CloseCause::HeadTooLarge | CloseCause::Tls(_)) => {
            format!("check what listens at the base URL, which is {}", base_url(origins))
        }
        RetryCause::ConnectTimeout => {
            format!("raise --connect-timeout, or check the base URL, which is {}", base_url(origins))
        }
        RetryCause::IdleTimeout => "raise --idle-timeout, or leave it out for no limit".to_owned(),
        RetryCause::CompletedElsewhere { .. } => "check --target: the CVM settled in another status".to_owned(),
        RetryCause::TooManyStreams { .. } => {
            "a user may have five event streams: stop other waits, or run one wait for all CVMs".to_owned()
        }
        _ => "raise --max-retries, or leave it out and set --deadline".to_owned(),
    }
}

fn key(origins: &Sources) -> String {
    match origins.credential() {
        None => "not set: PHALA_CLOUD_API_KEY".to_owned(),
        Some(source) => format!("from {source}"),
    }
}

fn base_url(origins: &Sources) -> String {
    match origins.base_url() {
        Source::Default => "the default".to_owned(),
        Source::Given => "from --base-url".to_owned(),
        source => format!("from {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cvm_watch_driver::Settings;
    use std::time::Duration;

    fn origins(base_url: Option<&str>) -> Sources {
        let settings = Settings::builder().api_key("phak_example");
        let settings = match base_url {
            Some(url) => settings.base_url(url),
            None => settings,
        };
        settings.build().unwrap().sources().clone()
    }

    #[test]
    fn each_answer_that_no_retry_changes_has_a_next_step() {
        let found = || "text/html".to_owned();
        for (cause, status, expected) in [
            (RejectCause::Status, 401, "check the API key, which is from the caller"),
            (
                RejectCause::Status,
                403,
                "check the id, and that the API key may see this CVM; the key is from the caller",
            ),
            (RejectCause::Status, 404, "check the id, and that the CVM belongs to the API key's workspace"),
            (RejectCause::Status, 422, "check the id and the flags"),
            (RejectCause::Status, 204, "check the base URL, which is the default"),
            (RejectCause::Status, 410, "retrying does not help"),
            (RejectCause::Redirect { location: None }, 302, "give the final address as --base-url"),
            (RejectCause::ContentType { found: found() }, 200, "the answer is not from Phala Cloud's API"),
            (RejectCause::ContentEncoding { found: found() }, 200, "a proxy changes the response"),
        ] {
            let hint = after_rejection(&cause, status, true, &origins(None));
            assert!(hint.starts_with(expected), "{cause:?} {status}: {hint}");
        }
        assert!(
            after_rejection(&RejectCause::Status, 204, true, &origins(Some("https://x.example")))
                .ends_with("--base-url")
        );
        let keyless = Settings::builder().base_url("http://localhost").build().unwrap();
        let hint = after_rejection(&RejectCause::Status, 401, true, keyless.sources());
        assert_eq!(hint, "check the API key, which is not set: PHALA_CLOUD_API_KEY");
        let hint = after_rejection(&RejectCause::Status, 404, false, &origins(None));
        assert!(hint.starts_with("check that the base URL ends with the API's path"), "{hint}");
    }

    #[test]
    fn what_used_up_the_retries_or_the_deadline_decides_the_next_step() {
        let closed = RetryCause::Closed;
        let gave_up = |last_cause| Failure::MaxRetriesExceeded { attempts: 1, last_cause, last_error: None };
        let late = |last_status: Option<&str>, last_cause| Failure::DeadlineExceeded {
            deadline: Duration::from_secs(1),
            attempts: 1,
            last_status: last_status.map(str::to_owned),
            last_cause,
            last_error: None,
        };
        let unreachable = |boot_error: Option<&str>| Failure::TargetUnreachable {
            target: "running".to_owned(),
            status: "error".to_owned(),
            boot_error: boot_error.map(str::to_owned),
            attempts: 1,
        };
        for (failure, expected) in [
            (gave_up(closed(CloseCause::Dns)), "check the network and the base URL"),
            (gave_up(closed(CloseCause::Refused)), "check the network and the base URL"),
            (gave_up(closed(CloseCause::Proxy)), "check the proxy"),
            (gave_up(closed(CloseCause::Credential)), "run the program of --token-command by hand"),
            (gave_up(closed(CloseCause::NotHttp)), "check what listens at the base URL"),
            (gave_up(closed(CloseCause::Ended)), "raise --max-retries"),
            (gave_up(RetryCause::ConnectTimeout), "raise --connect-timeout"),
            (gave_up(RetryCause::IdleTimeout), "raise --idle-timeout"),
            (gave_up(RetryCause::CompletedElsewhere { status: "exited".to_owned() }), "check --target"),
            (gave_up(RetryCause::TooManyStreams { message: None }), "a user may have five event streams"),
            (gave_up(RetryCause::Status { status: 503, message: None }), "raise --max-retries"),
            (
                late(Some("start\ning"), Some(RetryCause::IdleTimeout)),
                r#"raise --deadline, or find out why the CVM stays "start\ning""#,
            ),
            (late(None, Some(closed(CloseCause::Dns))), "check the network"),
            (late(Some("starting"), Some(closed(CloseCause::Refused))), "check the network"),
            (late(Some("starting"), Some(closed(CloseCause::Reset))), "raise --deadline, or find out"),
            (late(None, None), "raise --deadline"),
            (late(Some("running"), Some(RetryCause::NotReady)), "raise --deadline, or leave out --ready"),
            (late(Some("running"), Some(RetryCause::NotChanged)), "check that the restart or update was requested"),
            (unreachable(None), "look for the reason in the CVM's logs; if the CVM recovers"),
            (unreachable(Some("no keys")), "fix what the boot error names; if the CVM recovers"),
            (Failure::Tls(TlsFault::HostName), "check the host in the base URL, which is the default"),
            (Failure::ProxyAuthentication, "set user name and password in the proxy's URL"),
            (Failure::Tls(TlsFault::Authority), "give the server a separate certificate"),
            (Failure::Tls(TlsFault::Certificate), "put your own certificate authority into SSL_CERT_FILE"),
        ] {
            let hint = next_step(&failure, &origins(None)).unwrap();
            assert!(hint.starts_with(expected) && !hint.contains('\n'), "{failure:?}: {hint}");
        }
        assert_eq!(next_step(&Failure::Aborted, &origins(None)), None);
    }
}
