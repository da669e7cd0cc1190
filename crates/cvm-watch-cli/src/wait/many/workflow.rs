//! How many CVMs ended, for a step of GitHub Actions.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::github;
use super::roster::{Member, Roster};
use crate::exit::Exit;
use crate::{duration, json};

/// An error for each that failed and a notice of all, as lines; adds to the step's files.
pub(super) fn end(roster: &Roster, exit: Exit) -> Vec<String> {
    let mut lines = Vec::new();
    let mut summary = github::TABLE.to_owned();
    for member in roster.members() {
        let Some(end) = &member.end else { continue };
        // Those that were left out since another one was enough are no trouble.
        if let (Err(trouble), false) = (&end.ended.outcome, exit == Exit::Success) {
            lines.push(github::error(&member.id, trouble));
        }
        summary.push_str(&github::row(&member.id, &end.ended, member.last_status(), &duration::passed(end.after)));
    }
    summary.push('\n');
    let passed = duration::passed(roster.passed());
    lines.push(github::notice("", &format!("{} after {passed}", roster.verdict())));
    github::add("GITHUB_OUTPUT", &outputs(roster, exit));
    github::add("GITHUB_STEP_SUMMARY", &summary);
    lines
}

/// The step's outputs: the outcome of all, and those of each as JSON in one line.
fn outputs(roster: &Roster, exit: Exit) -> String {
    #[derive(Serialize)]
    struct Result {
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'static str>,
    }
    let result = |member: &Member| {
        let end = &member.end.as_ref()?.ended;
        let result = match &end.outcome {
            Ok(state) => Result { outcome: end.word(), status: Some(github::plain(&state.status)), error: None },
            Err(trouble) => {
                let status = member.last_status().map(github::plain);
                Result { outcome: end.word(), status, error: Some(trouble.kind) }
            }
        };
        Some((member.id.clone(), result))
    };
    let results: BTreeMap<_, _> = roster.members().iter().filter_map(result).collect();
    format!("outcome={}\nresults={}\n", exit.outcome(), json::line(&results))
}
