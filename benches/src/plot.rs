//! Plots of measured figures as SVG, for light and for dark pages.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// Horizontal bars in groups, all on one scale within a group.
pub struct Bars {
    pub title: String,
    pub groups: Vec<Group>,
}

pub struct Group {
    pub title: String,
    pub bars: Vec<Bar>,
}

pub struct Bar {
    pub name: String,
    pub value: f64,
    /// How the value is written beside its bar.
    pub label: String,
    pub is_ours: bool,
}

/// A table whose cells are coloured by how far they are above or below 1.
pub struct Grid {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<f64>)>,
}

/// The colours of a page.
pub struct Theme {
    name: &'static str,
    text: &'static str,
    faint: &'static str,
    ours: &'static str,
    peer: &'static str,
    /// Ratios from far below 1 to far above.
    scale: [&'static str; 6],
}

const THEMES: [Theme; 2] = [
    Theme {
        name: "light",
        text: "#1f2328",
        faint: "#59636e",
        ours: "#0969da",
        peer: "#afb8c1",
        scale: ["#ffb3a7", "#ffd8cf", "#eaf3e6", "#c6e6bd", "#9ad68c", "#6cc35c"],
    },
    Theme {
        name: "dark",
        text: "#f0f6fc",
        faint: "#9198a1",
        ours: "#4493f8",
        peer: "#4b545f",
        scale: ["#8a3324", "#5f352d", "#26382a", "#26502b", "#28692e", "#2a8433"],
    },
];

const WIDTH: u32 = 760;
const NAMES: u32 = 210;
const ROW: u32 = 20;

/// Writes `NAME-light.svg` and `NAME-dark.svg` into a folder.
pub trait Plot {
    fn write(&self, folder: &Path, name: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        THEMES
            .iter()
            .try_for_each(|theme| fs::write(folder.join(format!("{name}-{}.svg", theme.name)), self.svg(theme)))
    }

    fn svg(&self, theme: &Theme) -> String;
}

impl Plot for Bars {
    fn svg(&self, theme: &Theme) -> String {
        let mut body = String::new();
        let mut y = 44;
        for group in &self.groups {
            text(&mut body, 8, y + 14, "start", theme.faint, 13, &group.title);
            y += 22;
            let most = group.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
            for bar in &group.bars {
                let length = bar.value / most * f64::from(WIDTH - NAMES - 90);
                let fill = if bar.is_ours { theme.ours } else { theme.peer };
                text(&mut body, NAMES - 8, y + 14, "end", theme.text, 12, &bar.name);
                let _ = writeln!(
                    body,
                    r#"<rect x="{NAMES}" y="{}" width="{length:.1}" height="{}" rx="2" fill="{fill}"/>"#,
                    y + 3,
                    ROW - 5
                );
                text(&mut body, NAMES + length as u32 + 6, y + 14, "start", theme.text, 12, &bar.label);
                y += ROW;
            }
            y += 12;
        }
        document(&self.title, theme, y, &body)
    }
}

impl Plot for Grid {
    fn svg(&self, theme: &Theme) -> String {
        let mut body = String::new();
        let width = (WIDTH - NAMES - 8) / self.columns.len().max(1) as u32;
        let x = |column: usize| NAMES + column as u32 * width;
        for (column, name) in self.columns.iter().enumerate() {
            text(&mut body, x(column) + width / 2, 58, "middle", theme.faint, 12, name);
        }
        let mut y = 66;
        for (name, values) in &self.rows {
            text(&mut body, NAMES - 8, y + 18, "end", theme.text, 12, name);
            for (column, value) in values.iter().enumerate() {
                let steps = [0.75, 0.95, 1.2, 1.75, 2.5];
                let fill = theme.scale[steps.iter().filter(|step| *value >= **step).count()];
                let _ = writeln!(
                    body,
                    r#"<rect x="{}" y="{y}" width="{}" height="26" rx="3" fill="{fill}"/>"#,
                    x(column) + 1,
                    width - 2
                );
                text(&mut body, x(column) + width / 2, y + 18, "middle", theme.text, 12, &format!("{value:.2}x"));
            }
            y += 28;
        }
        document(&self.title, theme, y + 8, &body)
    }
}

fn document(title: &str, theme: &Theme, height: u32, body: &str) -> String {
    let mut head = String::new();
    text(&mut head, 8, 24, "start", theme.text, 15, title);
    format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" "#,
            r#"viewBox="0 0 {width} {height}" role="img" font-family="system-ui, sans-serif">"#,
            "\n<title>{title}</title>\n{head}{body}</svg>\n"
        ),
        width = WIDTH,
        height = height,
        title = escaped(title),
        head = head,
        body = body
    )
}

fn text(svg: &mut String, x: u32, y: u32, anchor: &str, fill: &str, size: u32, text: &str) {
    let text = escaped(text);
    let _ =
        writeln!(svg, r#"<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">{text}</text>"#);
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
