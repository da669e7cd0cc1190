//! The picture of a fleet in the documents: eight CVMs over four slots, in virtual time. `.ci/generate` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cvm_watch_core::Timestamp;

use crate::virtual_time::fleet::{BootingCvms, Outcome};

const SLOTS: usize = 4;
/// Pixels per second, and of a row.
const SECOND: f64 = 26.0;
const ROW: f64 = 34.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 40.0;

struct Theme {
    name: &'static str,
    text: &'static str,
    grid: &'static str,
    on_bar: &'static str,
    /// One for each CVM.
    bars: [&'static str; 8],
}

const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        text: "#1f2328",
        grid: "#d1d9e0",
        on_bar: "#ffffff",
        bars: ["#0969da", "#8250df", "#bf3989", "#bc4c00", "#7d4e00", "#116329", "#1b7c83", "#57606a"],
    },
    Theme {
        name: "dark",
        text: "#f0f6fc",
        grid: "#3d444d",
        on_bar: "#0d1117",
        bars: ["#58a6ff", "#bc8cff", "#f778ba", "#ffa657", "#e3b341", "#56d364", "#39c5cf", "#9198a1"],
    },
];

fn seconds(at: Timestamp) -> f64 {
    at.since(Timestamp::ZERO).as_secs_f64()
}

/// A server that takes a second to answer, and CVMs that are running one after another.
fn fleet() -> Outcome {
    let mut cvms = BootingCvms::new(8, 1);
    cvms.running_at = [9, 5, 13, 17, 11, 20, 7, 15].map(Duration::from_secs).to_vec();
    cvms.latency = Duration::from_millis(1000);
    assert_eq!(cvms.max_streams, SLOTS);
    cvms.run(|policy| policy)
}

/// The slot of each connection: the first that is free.
fn slots(outcome: &Outcome) -> Vec<usize> {
    let mut free_from = [Timestamp::ZERO; SLOTS];
    let mut slot_of = Vec::new();
    for (_, opened, closed) in &outcome.connections {
        let slot = free_from.iter().position(|free| free <= opened).expect("more connections than slots");
        free_from[slot] = closed.unwrap();
        slot_of.push(slot);
    }
    slot_of
}

fn svg(outcome: &Outcome, theme: &Theme) -> String {
    let end = seconds(Timestamp::ZERO + outcome.finished()).ceil();
    let (width, height) = (LEFT + end * SECOND + 24.0, TOP + SLOTS as f64 * ROW + 30.0);
    let Theme { text, grid, on_bar, .. } = theme;
    let mut body = String::new();
    let bottom = TOP + SLOTS as f64 * ROW;
    for tick in (0..=end as u32).step_by(5) {
        let x = LEFT + f64::from(tick) * SECOND;
        writeln!(body, r#"<line x1="{x}" x2="{x}" y1="{}" y2="{bottom}" stroke="{grid}"/>"#, TOP - 6.0).unwrap();
        writeln!(body, r#"<text x="{x}" y="{}" text-anchor="middle">{tick} s</text>"#, bottom + 20.0).unwrap();
    }
    for slot in 0..SLOTS {
        let y = TOP + slot as f64 * ROW + ROW / 2.0 + 4.0;
        writeln!(body, r#"<text x="8" y="{y}">slot {}</text>"#, slot + 1).unwrap();
    }
    let mut last = BTreeMap::new();
    for (number, (member, ..)) in outcome.connections.iter().enumerate() {
        last.insert(member, number);
    }
    for (number, ((member, opened, closed), slot)) in outcome.connections.iter().zip(slots(outcome)).enumerate() {
        let (from, to) = (seconds(*opened), seconds(closed.unwrap()));
        let (x, y, length) = (LEFT + from * SECOND, TOP + slot as f64 * ROW + 4.0, (to - from) * SECOND - 2.0);
        let colour = theme.bars[usize::try_from(*member).unwrap() % theme.bars.len()];
        // The last connection of a CVM is the one that saw it running.
        let label = if last[member] == number { format!("{}✓", member + 1) } else { (member + 1).to_string() };
        writeln!(
            body,
            r#"<rect x="{x:.1}" y="{y}" width="{length:.1}" height="{}" rx="4" fill="{colour}"/><text x="{:.1}" y="{}" text-anchor="middle" fill="{on_bar}">{label}</text>"#,
            ROW - 8.0,
            x + length / 2.0,
            y + 18.0
        )
        .unwrap();
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="13" fill="{text}">
<title>Eight CVMs share four slots until each is running</title>
<text x="8" y="20" font-weight="bold">Eight CVMs, four slots; ✓ is where the CVM was seen running</text>
{body}</svg>
"#
    )
}

#[test]
fn the_picture_of_a_fleet_is_what_a_run_in_virtual_time_gives() {
    let outcome = fleet();
    assert_eq!((outcome.ends.len(), outcome.most_open), (8, SLOTS));
    for theme in &THEMES {
        let name = format!("../../docs/pictures/fleet-{}.svg", theme.name);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("GENERATE").is_some() {
            fs::write(&path, svg(&outcome, theme)).unwrap();
        }
        // A packaged crate has no documents beside it.
        let Ok(drawn) = fs::read_to_string(&path) else { return };
        assert!(drawn == svg(&outcome, theme), "{} is out of date; run .ci/generate", path.display());
    }
}
