//! The terminal on standard error, as the live lines need it.

use std::io;
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

use super::{Standard, queue};

/// How often a frame is drawn at most.
const FRAMES_PER_SECOND: u8 = 20;
/// A frame is left out while more than this waits to be printed: the terminal is stopped, or slow.
const MOST_WAITING: usize = 64 << 10;

/// Where live lines are drawn.
pub(crate) fn draw_target() -> ProgressDrawTarget {
    if cfg!(windows) {
        return ProgressDrawTarget::stderr();
    }
    ProgressDrawTarget::term_like_with_hz(Box::new(Screen::default()), FRAMES_PER_SECOND)
}

/// Queues each frame as a whole, so that a stopped terminal stops nothing else.
#[derive(Debug, Default)]
struct Screen {
    frame: Mutex<Vec<u8>>,
}

impl Screen {
    fn add(&self, text: &str) -> io::Result<()> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn move_cursor(&self, columns_or_lines: usize, direction: char) -> io::Result<()> {
        if columns_or_lines == 0 { Ok(()) } else { self.add(&format!("\x1b[{columns_or_lines}{direction}")) }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        Term::stderr().size().1
    }

    fn height(&self) -> u16 {
        Term::stderr().size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'A')
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.move_cursor(lines, 'B')
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'C')
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.move_cursor(columns, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text)?;
        self.add("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }

    /// The end of a frame. An error says that it is not drawn, so that the next one redraws the lines
    /// that are there.
    fn flush(&self) -> io::Result<()> {
        let frame = std::mem::take(&mut *self.frame.lock().unwrap_or_else(PoisonError::into_inner));
        let queue = queue(Standard::Error);
        if queue.size() > MOST_WAITING {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !frame.is_empty() {
            let size = frame.len();
            queue.push((Standard::Error, frame), size);
        }
        Ok(())
    }
}
