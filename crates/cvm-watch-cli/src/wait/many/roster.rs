//! The CVMs that are waited for: where each stands, and what that comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use cvm_watch_core::{Event, printable};
use cvm_watch_hyper::Update;
use tokio::time::Instant;

use super::super::ended::Ended;
use super::super::identity::Identity;
use super::super::ndjson::Counts;
use super::super::pace::Pace;
use super::super::progress::Progress;
use crate::exit::Exit;

/// All of them, in the order in which they were given.
pub(super) struct Roster {
    started: Instant,
    members: Vec<Member>,
    /// Whether one that gets there is enough.
    any: bool,
    target: String,
}

/// One of them.
pub(super) struct Member {
    /// As it was given.
    pub(super) id: String,
    /// The same, made harmless.
    pub(super) name: String,
    pub(super) progress: Progress,
    /// When there was news of it last, counted from the start.
    pub(super) changed: Duration,
    last_status: Option<String>,
    identity: Identity,
    pace: Pace,
    pub(super) end: Option<End>,
}

/// How a wait ended, and when, counted from the start.
pub(super) struct End {
    pub(super) ended: Ended,
    pub(super) after: Duration,
}

impl Roster {
    pub(super) fn new(ids: &[String], target: &str, any: bool) -> Self {
        let member = |id: &String| Member {
            id: id.clone(),
            name: printable(id, 100),
            progress: Progress::of_many(),
            changed: Duration::ZERO,
            last_status: None,
            identity: Identity::new(id),
            pace: Pace::new(),
            end: None,
        };
        let members = ids.iter().map(member).collect();
        Self { started: Instant::now(), members, any, target: target.to_owned() }
    }

    /// Takes in an update; says whether there is anything to tell.
    pub(super) fn update(&mut self, index: usize, update: &Update) -> bool {
        let passed = self.passed();
        let Some(member) = self.members.get_mut(index) else { return false };
        if let Update::Event { event: Event::State(state), .. } = update {
            member.last_status = Some(state.status.clone());
        }
        let is_news = member.progress.update(update);
        if is_news {
            member.changed = passed;
        }
        is_news
    }

    /// A warning when the server reports about another CVM than this one.
    pub(super) fn doubt(&mut self, index: usize, update: &Update) -> Option<String> {
        self.members.get_mut(index)?.identity.doubt(update)
    }

    /// Whether a change of this CVM may be printed now; if not, it is held back.
    pub(super) fn allows_line(&mut self, index: usize) -> bool {
        self.members.get_mut(index).is_some_and(|member| member.pace.allows())
    }

    /// When the change of this CVM that was held back is to be printed.
    pub(super) fn due(&self, index: usize) -> Option<Instant> {
        self.member(index)?.pace.due()
    }

    /// A line of this CVM is printed; says how many changes had none before it.
    pub(super) fn print_line(&mut self, index: usize) -> u64 {
        self.members.get_mut(index).map_or(0, |member| member.pace.print())
    }

    pub(super) fn end(&mut self, index: usize, ended: Ended) {
        let after = self.passed();
        if let Some(member) = self.members.get_mut(index) {
            member.progress.end(&ended);
            member.changed = after;
            member.end = Some(End { ended, after });
        }
    }

    /// How long it has been going on.
    pub(super) fn passed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn member(&self, index: usize) -> Option<&Member> {
        self.members.get(index)
    }

    pub(super) fn last_status(&self, index: usize) -> Option<&str> {
        self.member(index)?.last_status()
    }

    /// What goes on: `still 3 of 10: 2 starting, 1 connecting`.
    pub(super) fn still(&self) -> String {
        format!("still {} of {}: {}", self.unfinished(), self.members.len(), self.positions())
    }

    /// What has ended and what goes on, in one line.
    pub(super) fn tally(&self) -> String {
        let failed = match self.failed() {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let positions = self.positions();
        let positions = if positions.is_empty() { positions } else { format!("; {positions}") };
        format!("{} of {} reached{failed}{positions}", self.reached(), self.members.len())
    }

    /// How many have ended, in percent.
    pub(super) fn percent(&self) -> u8 {
        let ended = self.members.len() - self.unfinished();
        u8::try_from(ended * 100 / self.members.len().max(1)).unwrap_or(100)
    }

    /// What to do next, each once.
    pub(super) fn hints(&self) -> Vec<&str> {
        let hints = self.ends().filter_map(|end| end.ended.outcome.as_ref().err()?.hint.as_deref());
        hints.fold(Vec::new(), |mut distinct, hint| {
            if !distinct.contains(&hint) {
                distinct.push(hint);
            }
            distinct
        })
    }

    /// What the server has to say beside its messages, of each CVM that failed and of which it does:
    /// lines that name the CVM.
    pub(super) fn server_messages(&self) -> impl Iterator<Item = Vec<String>> {
        let of = |member: &Member| {
            let trouble = member.end.as_ref()?.ended.outcome.as_ref().err()?;
            let lines = trouble.server_messages().map(|words| format!("{}: {words}", member.name));
            Some(lines.collect::<Vec<_>>()).filter(|lines| !lines.is_empty())
        };
        self.members.iter().filter_map(of)
    }

    /// How many CVMs are in which position, the most frequent first.
    fn positions(&self) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for member in self.members.iter().filter(|member| member.end.is_none()) {
            *counts.entry(&member.progress.headline).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| core::cmp::Reverse(*count));
        counts.iter().map(|(headline, count)| format!("{count} {headline}")).collect::<Vec<_>>().join(", ")
    }

    /// How many have not ended.
    fn unfinished(&self) -> usize {
        self.members.iter().filter(|member| member.end.is_none()).count()
    }

    fn reached(&self) -> usize {
        self.members.iter().filter(|member| member.has_reached()).count()
    }

    /// How many have failed; one that was cancelled has not.
    fn failed(&self) -> usize {
        self.members.iter().filter(|member| member.has_failed()).count()
    }

    /// How many ended in each way, by its name for programs.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for end in self.ends() {
            *counts.entry(end.ended.kind()).or_default() += 1;
        }
        counts
    }

    /// The exit code of all.
    pub(super) fn exit(&self) -> Exit {
        if self.any && self.reached() > 0 {
            return Exit::Success;
        }
        Exit::worst(self.ends().map(|end| end.ended.exit))
    }

    /// What the whole wait came to, for people.
    pub(super) fn verdict(&self) -> String {
        let (reached, all, target) = (self.reached(), self.members.len(), printable(&self.target, 60));
        match self.members.iter().find(|member| member.has_reached()) {
            Some(first) if self.any => format!("{} got to {target}, which is enough", first.name),
            None if self.any => format!("none of {all} CVMs got to {target}"),
            _ if reached == all => format!("all {all} CVMs got to {target}"),
            _ => format!("{} of {all} CVMs did not get to {target}", all - reached),
        }
    }

    fn ends(&self) -> impl Iterator<Item = &End> {
        self.members.iter().filter_map(|member| member.end.as_ref())
    }
}

impl Member {
    pub(super) fn last_status(&self) -> Option<&str> {
        self.last_status.as_deref()
    }

    /// Whether it ended without the target; one that was cancelled has not failed.
    pub(super) fn has_failed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.ended.outcome.is_err() && !end.ended.is_cancelled())
    }

    pub(super) fn has_reached(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.ended.outcome.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::ended::Trouble;
    use cvm_watch_core::{AttemptId, CvmState};

    fn ended(exit: Exit, kind: &'static str, hint: Option<&str>) -> Ended {
        let trouble = Trouble { kind, hint: hint.map(str::to_owned), ..Trouble::default() };
        Ended { exit, outcome: Err(Box::new(trouble)) }
    }

    fn reached() -> Ended {
        Ended { exit: Exit::Success, outcome: Ok(Box::new(CvmState::with_status("running"))) }
    }

    fn roster(any: bool, ends: Vec<Option<Ended>>) -> Roster {
        let ids: Vec<_> = (0..ends.len()).map(|n| format!("cvm-{n}")).collect();
        let mut roster = Roster::new(&ids, "running", any);
        for (index, ended) in ends.into_iter().enumerate() {
            ended.into_iter().for_each(|ended| roster.end(index, ended));
        }
        roster
    }

    #[test]
    fn the_worst_end_decides_and_with_any_the_best() {
        let gave_up = || Some(ended(Exit::GaveUp, "deadline_exceeded", None));
        let rejected = || Some(ended(Exit::Rejected, "rejected", None));
        for (any, ends, exit, verdict) in [
            (false, vec![Some(reached()), Some(reached())], Exit::Success, "all 2 CVMs got to running"),
            (false, vec![Some(reached()), gave_up()], Exit::GaveUp, "1 of 2 CVMs did not get to running"),
            (false, vec![gave_up(), rejected(), gave_up()], Exit::Rejected, "3 of 3 CVMs did not get to running"),
            (true, vec![rejected(), Some(reached())], Exit::Success, "cvm-1 got to running, which is enough"),
            (true, vec![gave_up(), rejected()], Exit::Rejected, "none of 2 CVMs got to running"),
        ] {
            let roster = roster(any, ends);
            assert_eq!((roster.exit(), roster.verdict().as_str()), (exit, verdict));
        }
    }

    #[test]
    fn those_that_go_on_are_counted_by_what_they_do() {
        let late = Some(ended(Exit::GaveUp, "deadline_exceeded", Some("raise it")));
        let again = Some(ended(Exit::GaveUp, "deadline_exceeded", Some("raise it")));
        let mut roster = roster(false, vec![None, None, Some(reached()), late, again, None]);
        assert!(roster.update(1, &Update::connecting(AttemptId::from_number(1))));
        assert_eq!(roster.still(), "still 3 of 6: 2 waiting, 1 connecting");
        assert_eq!(roster.tally(), "1 of 6 reached, 2 failed; 2 waiting, 1 connecting");
        assert_eq!(roster.hints(), ["raise it"]);
        let counts: Vec<_> = roster.counts().into_iter().collect();
        assert_eq!(counts, [("deadline_exceeded", 2), ("resolved", 1)]);
    }

    #[test]
    fn a_new_time_slice_is_not_reported() {
        let mut roster = roster(false, vec![None]);
        let busy = cvm_watch_core::RetryCause::TooManyStreams { message: None };
        assert!(roster.update(0, &Update::connecting(AttemptId::from_number(1))));
        assert!(!roster.update(0, &Update::connecting(AttemptId::from_number(2))));
        let refused = Update::retrying(AttemptId::from_number(2), Duration::from_secs(1), busy);
        assert!(roster.update(0, &refused));
        assert_eq!(roster.member(0).unwrap().progress.text(), "looking again in 1s: HTTP 429");
        assert_eq!(roster.member(0).unwrap().progress.attempt, 1);
    }
}
