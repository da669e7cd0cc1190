//! An animated SVG of what a terminal showed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::screen::{Row, Style};
use super::{COLUMNS, Frame};

/// How often the picture changes.
const STEP: Duration = Duration::from_millis(125);
/// How long the end stays before it begins again.
const HOLD: Duration = Duration::from_secs(6);

const FONT: &str = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace";
const CHARACTER: f64 = 7.8;
const LINE: usize = 19;
const MARGIN: usize = 16;

/// The colours of a picture.
pub(super) struct Theme {
    background: &'static str,
    border: &'static str,
    text: &'static str,
    dim: &'static str,
    /// Black, red, green, yellow, blue, magenta, cyan, white.
    colours: [&'static str; 8],
}

pub(super) const LIGHT: Theme = Theme {
    background: "#f6f8fa",
    border: "#d1d9e0",
    text: "#1f2328",
    dim: "#59636e",
    colours: ["#1f2328", "#cf222e", "#116329", "#7d4e00", "#0969da", "#8250df", "#1b7c83", "#59636e"],
};

pub(super) const DARK: Theme = Theme {
    background: "#0d1117",
    border: "#3d444d",
    text: "#f0f6fc",
    dim: "#9198a1",
    colours: ["#656c76", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#f0f6fc"],
};

/// Screens, each with the time from which it is shown.
pub(super) struct Picture {
    frames: Vec<(Duration, Vec<Row>)>,
    length: Duration,
}

impl Picture {
    /// The command as it is typed, what it showed, and its exit code.
    pub(super) fn of(command: &str, shown: &[&Frame], code: i32) -> Self {
        let mut frames = Vec::new();
        let mut at = Duration::ZERO;
        let typed: Vec<_> = command.chars().collect();
        for end in (0..=typed.len()).step_by(4).chain([typed.len()]) {
            frames.push((at, vec![prompt(&typed[..end].iter().collect::<String>())]));
            at += STEP;
        }
        let line = prompt(command);
        let run = shown.last().map(|last| last.at).unwrap_or_default();
        let screen = |elapsed: Duration| {
            let rows = shown.iter().rev().find(|frame| frame.at <= elapsed).map(|frame| frame.rows.clone());
            [vec![line.clone()], rows.unwrap_or_default()].concat()
        };
        let mut elapsed = Duration::ZERO;
        while elapsed < run {
            frames.push((at + elapsed, screen(elapsed)));
            elapsed += STEP;
        }
        let mut last = screen(run);
        while last.last().is_some_and(|row| row.0.is_empty()) {
            last.pop();
        }
        frames.push((at + run, last.clone()));
        let answer = [prompt("echo $?"), plain(&code.to_string())];
        frames.push((at + run + STEP * 8, [&last[..], &answer[..]].concat()));
        frames.dedup_by(|later, earlier| later.1 == earlier.1);
        Self { frames, length: at + run + STEP * 8 + HOLD }
    }

    pub(super) fn svg(&self, theme: &Theme) -> String {
        let rows = self.frames.iter().map(|(_, rows)| rows.len()).max().unwrap_or_default();
        let (width, height) = (f64::from(COLUMNS) * CHARACTER + 2.0 * MARGIN as f64, rows * LINE + 2 * MARGIN);
        let mut lines = BTreeMap::new();
        let mut definitions = String::new();
        let mut frames = String::new();
        let mut keyframes = String::new();
        for (number, (at, rows)) in self.frames.iter().enumerate() {
            let percent = 100.0 * at.as_secs_f64() / self.length.as_secs_f64();
            let top = number * height;
            writeln!(keyframes, "{percent:.2}%{{transform:translateY(-{top}px)}}").unwrap();
            write!(frames, "<g transform=\"translate({MARGIN} {top})\">").unwrap();
            for (row, text) in rows.iter().enumerate().filter(|(_, text)| !text.0.is_empty()) {
                let next = lines.len();
                let line = *lines.entry(drawn(text, theme)).or_insert_with_key(|drawn| {
                    writeln!(definitions, "<text id=\"l{next}\">{drawn}</text>").unwrap();
                    next
                });
                write!(frames, "<use href=\"#l{line}\" y=\"{}\"/>", MARGIN + row * LINE + LINE - 5).unwrap();
            }
            frames.push_str("</g>\n");
        }
        let last = (self.frames.len() - 1) * height;
        let Theme { background, border, text, .. } = theme;
        let seconds = self.length.as_secs_f64();
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{FONT}" font-size="13" fill="{text}">
<title>cvm-watch waits for three CVMs: two reach running, one fails to boot</title>
<style>
.play{{animation:play {seconds:.2}s step-end infinite}}
@keyframes play{{
{keyframes}}}
@media (prefers-reduced-motion:reduce){{.play{{animation:none;transform:translateY(-{last}px)}}}}
</style>
<rect x="0.5" y="0.5" width="{}" height="{}" rx="6" fill="{background}" stroke="{border}"/>
<defs>
{definitions}</defs>
<svg width="{width}" height="{height}">
<g class="play">
{frames}</g>
</svg>
</svg>
"##,
            width - 1.0,
            height - 1
        )
    }
}

fn plain(text: &str) -> Row {
    Row(text.chars().map(|char| (char, Style::default())).collect())
}

fn prompt(command: &str) -> Row {
    let mut row = plain(&format!("$ {command}"));
    row.0[0].1 = Style { colour: Some(2), bold: true, dim: false };
    row
}

/// A line as SVG: one span for each piece of a style without a gap, at its column in any font.
fn drawn(row: &Row, theme: &Theme) -> String {
    let mut spans = String::new();
    let mut column = 0;
    for run in row.0.chunk_by(|one, other| one.1 == other.1) {
        let style = run[0].1;
        let colour = style.colour.map(|number| theme.colours[usize::from(number)]);
        let colour = colour.or(style.dim.then_some(theme.dim));
        let fill = colour.map(|colour| format!(" fill=\"{colour}\"")).unwrap_or_default();
        let weight = if style.bold { " font-weight=\"bold\"" } else { "" };
        // White space of two and more would be drawn as one.
        let text: String = run.iter().map(|(char, _)| *char).collect();
        for piece in text.split("  ") {
            let start = column + piece.chars().take_while(|char| *char == ' ').count();
            column += piece.chars().count() + 2;
            let piece = piece.trim();
            if !piece.is_empty() {
                let (x, length) = (start as f64 * CHARACTER, piece.chars().count() as f64 * CHARACTER);
                let piece = escaped(piece);
                write!(spans, "<tspan x=\"{x:.1}\" textLength=\"{length:.1}\"{fill}{weight}>{piece}</tspan>").unwrap();
            }
        }
        column -= 2;
    }
    spans
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The text of each line of a picture, words separated by single spaces.
pub(super) fn lines(svg: &str) -> Vec<String> {
    let text = |line: &str| {
        let line = line.replace("</tspan>", " ");
        let parts = line.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text);
        let text = parts.collect::<String>().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    svg.lines().filter(|line| line.starts_with("<text ")).map(text).collect()
}
