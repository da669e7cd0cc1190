//! Whether a status that was given looks like a slip of the pen. It may be a new one, so this is a
//! doubt and no refusal.

use cvm_watch_core::printable;

/// The statuses that the platform's public material names. There may be others.
pub(crate) const KNOWN: [&str; 15] = [
    "running",
    "starting",
    "restarting",
    "stopping",
    "stopped",
    "shutting_down",
    "exited",
    "creating",
    "removing",
    "deleting",
    "deleted",
    "provisioning",
    "updating",
    "in_progress",
    "error",
];

/// From this similarity on, one word is taken to mean another; 1 is the same word.
const SIMILAR: f64 = 0.75;

/// What to tell of a target that is no known status.
pub(super) fn doubt(target: &str) -> Option<String> {
    let likely = likely(target)?;
    let target = printable(target, 60);
    Some(format!("target \"{target}\" is not a known status; {likely} Waiting for it all the same"))
}

/// What to tell of a target of a check that is no known status.
pub(super) fn doubt_of_check(target: &str) -> Option<String> {
    let likely = match likely(target)? {
        // A check does not wait for the end of a boot.
        _ if target.eq_ignore_ascii_case("ready") => "did you mean \"running\"?".to_owned(),
        likely => likely,
    };
    Some(format!("target \"{}\" is not a known status; {likely}", printable(target, 60)))
}

/// The same of a status on which to give up.
pub(super) fn doubt_of_giving_up(status: &str) -> Option<String> {
    let likely = likely(status)?;
    let status = printable(status, 60);
    Some(format!("status \"{status}\" of --fail-on is not a known one; {likely} Giving up on it all the same"))
}

/// What is meant, if the status is no known one.
fn likely(status: &str) -> Option<String> {
    let lower = status.to_ascii_lowercase();
    // A blank one is refused elsewhere.
    if lower.trim().is_empty() || KNOWN.contains(&lower.as_str()) {
        return None;
    }
    if lower == "ready" {
        return Some("--ready waits for running and the end of the boot.".to_owned());
    }
    let running = ["up", "started", "online", "active", "healthy", "available", "booted"];
    let known = if running.contains(&lower.as_str()) { Some("running") } else { nearest(&lower) };
    Some(match known {
        Some(known) => format!("did you mean \"{known}\"?"),
        None => format!("known are {}.", KNOWN.join(", ")),
    })
}

fn nearest(target: &str) -> Option<&'static str> {
    let similarity = |known: &'static str| (known, strsim::jaro_winkler(target, known));
    let (known, similarity) = KNOWN.map(similarity).into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (similarity >= SIMILAR).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_status_in_any_case_and_a_blank_one_leave_no_doubt() {
        for target in KNOWN.into_iter().chain(["RUNNING", "Shutting_Down", "", " \t"]) {
            assert_eq!(doubt(target), None, "{target}");
        }
    }

    #[test]
    fn a_typo_is_reported_with_the_nearest_status() {
        for (target, expected) in [
            ("runing", "running"),
            ("RUNNIG", "running"),
            ("runnign", "running"),
            ("run", "running"),
            ("unning", "running"),
            ("stoped", "stopped"),
            ("stop", "stopped"),
            ("start", "starting"),
            ("restart", "restarting"),
            ("exit", "exited"),
            ("shutdown", "shutting_down"),
            ("in-progress", "in_progress"),
            ("shutting down", "shutting_down"),
            ("removed", "removing"),
            ("running ", "running"),
            ("err", "error"),
        ] {
            assert_eq!(nearest(&target.to_ascii_lowercase()), Some(expected), "{target}");
        }
        assert_eq!(
            doubt("Runing").unwrap(),
            "target \"Runing\" is not a known status; did you mean \"running\"? Waiting for it all the same"
        );
    }

    #[test]
    fn a_status_similar_to_none_is_reported_with_all_of_them() {
        for target in ["frobnicate", "hibernated", "五", "x", "\n"] {
            assert_eq!(nearest(target), None, "{target}");
        }
        assert!(doubt("up").unwrap().contains("did you mean \"running\"?"));
        assert!(doubt("Ready").unwrap().contains("not a known status; --ready waits for running"));
        let of_check = doubt_of_check("Ready").unwrap();
        assert_eq!(of_check, "target \"Ready\" is not a known status; did you mean \"running\"?");
        let doubt = doubt("x\ny").unwrap();
        assert!(doubt.starts_with(r#"target "x\ny" is not a known status; known are running, starting, "#), "{doubt}");
        assert!(doubt.ends_with(", error. Waiting for it all the same"), "{doubt}");
    }
}
