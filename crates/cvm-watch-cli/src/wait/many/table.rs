//! How each of many CVMs ended, as a table.

use std::time::Duration;

use console::{measure_text_width, truncate_str};
use cvm_watch_core::printable;

use super::super::progress;
use super::roster::Roster;
use crate::duration;

/// The most columns of an id and of a status, and of what is said beside them.
const NAME_WIDTH: usize = 48;
const STATUS_WIDTH: usize = 24;
const DETAIL_WIDTH: usize = 200;

const HEADINGS: [&str; 5] = ["CVM", "OUTCOME", "STATUS", "TIME", "DETAIL"];

/// The columns that an id keeps where the terminal is narrow, as long as the outcome fits beside it.
const LEAST_NAME_WIDTH: usize = 12;

/// A line for each CVM below the headings. Where the terminal has too few columns, ids are shortened first,
/// then what follows the outcome. The outcome itself is always whole.
pub(super) fn lines(roster: &Roster, columns: usize) -> Vec<String> {
    let rows = roster.members().iter().map(|member| {
        let (outcome, detail) = match member.end.as_ref().map(|end| &end.ended.outcome) {
            Some(Ok(_)) => ("resolved", member.progress.steady.map(progress::steady).unwrap_or_default()),
            Some(Err(trouble)) => (trouble.kind, printable(&trouble.message, DETAIL_WIDTH)),
            None => ("unfinished", String::new()),
        };
        let status = match member.end.as_ref().map(|end| &end.ended.outcome) {
            Some(Ok(state)) => Some(state.status.as_str()),
            _ => member.last_status(),
        };
        let status = status.map_or_else(|| "-".to_owned(), |status| printable(status, STATUS_WIDTH));
        let after = member.end.as_ref().map_or(Duration::ZERO, |end| end.after);
        [member.name.clone(), outcome.to_owned(), status, duration::passed(after), detail]
    });
    let mut rows: Vec<[String; 5]> = [HEADINGS.map(str::to_owned)].into_iter().chain(rows).collect();
    let mut widths: [usize; 4] = core::array::from_fn(|column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or_default()
    });
    let [name_width, outcome_width, status_width, time_width] = widths;
    let beside_all = columns.saturating_sub(outcome_width + status_width + time_width + 9).max(LEAST_NAME_WIDTH);
    let beside_outcome = columns.saturating_sub(outcome_width + 2).max(1);
    widths[0] = name_width.min(NAME_WIDTH).min(beside_all).min(beside_outcome);
    for [name, ..] in &mut rows {
        *name = cut(name, widths[0]);
    }
    rows.iter().map(|row| line(row, widths, columns)).collect()
}

fn line(row: &[String; 5], widths: [usize; 4], columns: usize) -> String {
    let mut cells = row.iter().zip(widths.into_iter().chain([0])).map(|(cell, width)| {
        let pad = width.saturating_sub(measure_text_width(cell));
        format!("{cell}{}  ", " ".repeat(pad))
    });
    let outcome: String = cells.by_ref().take(2).collect();
    let rest: String = cells.collect();
    let room = columns.saturating_sub(measure_text_width(&outcome));
    let rest = if room > 0 { cut(rest.trim_end(), room) } else { String::new() };
    format!("{outcome}{rest}").trim_end().to_owned()
}

fn cut(text: &str, columns: usize) -> String {
    truncate_str(text, columns, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::wait::ended::{Ended, Trouble};
    use cvm_watch_core::{AttemptId, CvmState, Event};
    use cvm_watch_hyper::Update;
    use std::sync::Arc;

    fn roster(ids: &[&str]) -> Roster {
        Roster::new(&ids.iter().map(ToString::to_string).collect::<Vec<_>>(), "running", false)
    }

    fn reached(status: &str) -> Ended {
        Ended { exit: Exit::Success, outcome: Ok(Box::new(CvmState::with_status(status))) }
    }

    fn failed(kind: &'static str, message: &str) -> Ended {
        let trouble = Trouble { kind, message: message.to_owned(), ..Trouble::default() };
        Ended { exit: Exit::GaveUp, outcome: Err(Box::new(trouble)) }
    }

    fn state(status: &str) -> Update {
        let event = Event::State(Arc::new(CvmState::with_status(status)));
        Update::event(AttemptId::from_number(1), "", event)
    }

    #[tokio::test(start_paused = true)]
    async fn each_cvm_has_an_aligned_line_in_the_order_given() {
        let mut roster = roster(&["my-cvm", "ＷＩＤＥ", "c"]);
        roster.update(1, &state("start\x1b[2Jing"));
        tokio::time::advance(Duration::from_secs(65)).await;
        roster.end(2, failed("rejected", "HTTP 404\n::error::x"));
        roster.end(0, reached("RUNNING"));
        assert_eq!(
            lines(&roster, 80),
            [
                r"CVM       OUTCOME     STATUS           TIME   DETAIL",
                r"my-cvm    resolved    RUNNING          1m05s",
                r"ＷＩＤＥ  unfinished  start\x1b[2Jing  0s",
                r"c         rejected    -                1m05s  HTTP 404\n::error::x",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_shortens_the_id_and_never_the_outcome() {
        let mut roster = roster(&["production-database-eu-west-1", "b"]);
        roster.end(0, reached("running"));
        roster.end(1, failed("max_retries_exceeded", "gave up after 2 attempts"));
        for (columns, expected) in [
            (
                70,
                [
                    "CVM                            OUTCOME               STATUS   TIME  D…",
                    "production-database-eu-west-1  resolved              running  0s",
                    "b                              max_retries_exceeded  -        0s    g…",
                ],
            ),
            (
                50,
                [
                    "CVM           OUTCOME               STATUS   TIME…",
                    "production-…  resolved              running  0s",
                    "b             max_retries_exceeded  -        0s  …",
                ],
            ),
            (30, ["CVM       OUTCOME", "product…  resolved", "b         max_retries_exceeded"]),
            (3, ["…  OUTCOME", "…  resolved", "b  max_retries_exceeded"]),
        ] {
            assert_eq!(lines(&roster, columns), expected, "{columns}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_where_the_outcome_fits() {
        let long = "ＷＩＤＥ".repeat(100);
        let mut roster = roster(&[&long, "b"]);
        roster.update(0, &state(&long));
        roster.end(1, failed("max_retries_exceeded", &long));
        for columns in 1..200 {
            for line in lines(&roster, columns) {
                assert!(measure_text_width(&line) <= columns.max(23), "{columns}: {line}");
            }
            assert!(lines(&roster, columns).iter().any(|line| line.contains("max_retries_exceeded")), "{columns}");
        }
    }
}
