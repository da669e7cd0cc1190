//! Progress in the taskbar or tab of a terminal: the sequence OSC 9;4, which `ConEmu` introduced.

use std::env;
use std::io::Write;

/// Shows progress where the terminal is known to take the sequence; elsewhere does nothing.
pub(crate) struct Taskbar {
    is_known: bool,
    shown: Option<Option<u8>>,
}

impl Taskbar {
    pub(crate) fn new() -> Self {
        let name = |name| env::var(name).unwrap_or_default();
        Self { is_known: is_known(&name("WT_SESSION"), &name("ConEmuANSI"), &name("TERM_PROGRAM")), shown: None }
    }

    /// Shows a share in percent, or that something goes on.
    pub(crate) fn show(&mut self, percent: Option<u8>) {
        if self.shown != Some(percent) {
            self.shown = Some(percent);
            match percent {
                Some(percent) => self.send(&format!("1;{percent}")),
                None => self.send("3;0"),
            }
        }
    }

    /// Takes it away.
    pub(crate) fn clear(&mut self) {
        if self.shown.take().is_some() {
            self.send("0;0");
        }
    }

    fn send(&self, state: &str) {
        if self.is_known {
            // Queued: it cannot fail.
            let _ = super::stderr().write_all(format!("\x1b]9;4;{state}\x1b\\").as_bytes());
        }
    }
}

/// Whether one of these variables names a terminal that takes the sequence. Others print it, or show it as a
/// notification.
fn is_known(windows_terminal: &str, con_emu: &str, program: &str) -> bool {
    !windows_terminal.is_empty() || con_emu == "ON" || matches!(program, "ghostty" | "WezTerm")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_known_by_their_variables() {
        assert!(is_known("2fe1", "", "") && is_known("", "ON", "") && is_known("", "", "ghostty"));
        assert!(is_known("", "", "WezTerm") && !is_known("", "OFF", "") && !is_known("", "", "Apple_Terminal"));
    }
}
