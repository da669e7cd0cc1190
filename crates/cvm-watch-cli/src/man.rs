//! `cvm-watch man`: the manual page, made of the same texts as `--help`.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Args;
use crate::exit::Exit;
use crate::output;

pub(crate) fn run() -> Exit {
    output::document(page().as_bytes())
}

/// One page for the program and all its commands, with a section per command.
fn page() -> String {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let mut roff = Roff::new();
    let (title, version) = (program.get_name().to_uppercase(), program.get_version().unwrap_or_default());
    roff.control("TH", [title.as_str(), "1", "", &format!("{} {version}", program.get_name()), "User Commands"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{} - {}", program.get_name(), about(&program)))]);
    roff.control("SH", ["SYNOPSIS"]);
    for mut command in program.get_subcommands().cloned() {
        let usage = command.render_usage().to_string();
        roff.control("br", []);
        roff.text([bold(usage.trim_start_matches("Usage: "))]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    prose(&mut roff, &part(&notes(&program), None));
    let mut page = roff.render();
    program.get_subcommands().for_each(|command| page.push_str(&section(command)));
    let wait = program.find_subcommand("wait").map(notes).unwrap_or_default();
    for (heading, title) in SECTIONS {
        let mut section = Roff::new();
        section.control("SH", [title]);
        prose(&mut section, &part(&wait, Some(heading)));
        page.push_str(without_preamble(&section.render()));
    }
    page
}

/// The parts of the notes of `wait` that are sections of the page, with their titles.
const SECTIONS: [(&str, &str); 4] =
    [("Exit codes:", "EXIT STATUS"), ("Environment:", "ENVIRONMENT"), ("Files:", "FILES"), ("Examples:", "EXAMPLES")];

/// What stands below this heading, or before any heading.
fn part(notes: &str, wanted: Option<&str>) -> String {
    let mut heading = None;
    let mut lines = Vec::new();
    for line in notes.lines() {
        match SECTIONS.iter().find(|(name, _)| *name == line) {
            Some((name, _)) => heading = Some(*name),
            None if heading == wanted => lines.push(line),
            None => {}
        }
    }
    lines.join("\n").trim_end().to_owned()
}

/// What `--help` prints after the flags.
fn notes(command: &Command) -> String {
    let text = command.get_after_long_help().or(command.get_after_help());
    text.map(ToString::to_string).unwrap_or_default()
}

fn section(command: &Command) -> String {
    let mut heading = Roff::new();
    heading.control("SH", [command.get_bin_name().unwrap_or_default()]);
    heading.text([roman(about(command))]);
    let mut options = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = Man::new(command.clone()).render_options_section(&mut options);
    let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS", ".SS Options").replace(".SH ", ".SS ");
    let mut rest = Roff::new();
    rest.control("SS", ["Notes"]);
    // Of `wait` the rest is in sections of the page.
    let text = notes(command);
    prose(&mut rest, &if command.get_name() == "wait" { part(&text, None) } else { text });
    [heading.render().as_str(), &options, &rest.render()].map(without_preamble).concat()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Text in paragraphs; indented lines stay as they are.
fn prose(roff: &mut Roff, text: &str) {
    let mut is_verbatim = false;
    for line in text.lines() {
        let indented = line.starts_with(' ');
        if indented != is_verbatim {
            roff.control(if indented { "nf" } else { "fi" }, []);
            is_verbatim = indented;
        }
        if line.is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line)]);
        }
    }
    if is_verbatim {
        roff.control("fi", []);
    }
}

/// What the page begins with already.
fn without_preamble(rendered: &str) -> &str {
    rendered.find(".S").and_then(|at| rendered.get(at..)).unwrap_or_default()
}
