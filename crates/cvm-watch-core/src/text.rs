//! Makes server text safe to show in terminals, logs and CI output.

use alloc::string::String;
use core::fmt::{self, Write};

/// Escapes `text` so that it cannot control a terminal or a CI runner, in at most `width` characters.
///
/// Control characters (C0, C1, DEL), line and paragraph separators, and the invisible characters
/// that reorder or hide text are escaped, and so is anything that could start a workflow command of a CI
/// runner: `::` at the beginning (GitHub Actions) and `##` anywhere (Azure Pipelines and older
/// runners look for `##[` and `##vso[` inside a line). Text that is cut ends in `…`.
///
/// ```
/// use cvm_watch_core::printable;
///
/// assert_eq!(printable("a\x1b[2Jb\n::error::x", 40), r"a\x1b[2Jb\n::error::x");
/// assert_eq!(printable("::error::x", 40), r"\x3a:error::x");
/// assert_eq!(printable("starting containers", 9), "starting…");
/// ```
pub fn printable(text: &str, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    let mut previous = None;
    for char in text.chars() {
        let mut piece = String::new();
        // Writing to a String cannot fail.
        let _ = write_escaped(&mut piece, char, previous, used == 0 && text.trim_start().starts_with("::"));
        let length = piece.chars().count();
        if used + length > width {
            cut_to(&mut out, width.saturating_sub(1));
            if width > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(&piece);
        used += length;
        previous = Some(char);
    }
    out
}

fn cut_to(text: &mut String, chars: usize) {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
    }
}

fn write_escaped(out: &mut String, char: char, previous: Option<char>, command: bool) -> fmt::Result {
    match char {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '#' if previous == Some('#') => out.write_str("\\x23"),
        _ if command => write!(out, "\\x{:02x}", u32::from(char)),
        _ if char.is_control() => write!(out, "\\x{:02x}", u32::from(char)),
        _ if is_invisible(char) => write!(out, "\\u{{{:x}}}", u32::from(char)),
        _ => out.write_char(char),
    }
}

/// Characters that cannot be seen: those that Unicode lets a font leave out (`Default_Ignorable_Code_Point`,
/// with bidi controls, variation selectors and Hangul fillers), line and paragraph separators, interlinear
/// marks, and the blank Braille pattern.
pub(crate) fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn nothing_that_moves_a_cursor_or_breaks_a_line_gets_through() {
        let nasty: Vec<char> = ('\0'..='\u{20}')
            .chain('\u{7f}'..='\u{a0}')
            .chain("\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}".chars())
            .chain("\u{34f}\u{115f}\u{1160}\u{3164}\u{ffa0}\u{2800}\u{fe0f}\u{180c}\u{e0100}".chars())
            .collect();
        for char in nasty {
            let shown = printable(&String::from(char), 100);
            let harmless = shown.chars().all(|c| !c.is_control() && !is_invisible(c));
            assert!(harmless, "{char:?} came out as {shown:?}");
        }
    }

    #[test]
    fn workflow_commands_lose_their_start() {
        for (given, expected) in [
            ("::error::x", r"\x3a:error::x"),
            ("  ::error::x", r"\x20 ::error::x"),
            ("ok ::error::x", "ok ::error::x"),
            ("##[error]x", r"#\x23[error]x"),
            ("ok ###vso[x]", r"ok #\x23\x23vso[x]"),
            ("[::1]:80", "[::1]:80"),
        ] {
            assert_eq!(printable(given, 100), expected);
        }
    }

    #[test]
    fn the_cut_is_by_characters_of_what_is_shown() {
        assert_eq!(printable("äöü", 3), "äöü");
        assert_eq!(printable("äöüx", 3), "äö…");
        assert_eq!(printable("ab\n\n", 4), r"ab\…");
        assert_eq!(printable("abc", 0), "");
    }
}
