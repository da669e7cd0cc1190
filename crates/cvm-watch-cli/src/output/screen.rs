//! The terminal on standard error, as the live lines need it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

use super::{Standard, queue};

/// How often a frame is drawn at most.
const FRAMES_PER_SECOND: u8 = 20;
/// A frame is left out while more than this waits to be printed: the terminal is stopped, or slow.
const MOST_WAITING: usize = 64 << 10;

/// Lines are drawn ten times a second. After so long without, the process was stopped, as by Ctrl-Z, and
/// the cursor is elsewhere.
const STOPPED: Duration = Duration::from_secs(2);

/// Where live lines are drawn.
pub(crate) fn draw_target() -> ProgressDrawTarget {
    if cfg!(windows) {
        return ProgressDrawTarget::stderr();
    }
    ProgressDrawTarget::term_like_with_hz(Box::new(Screen::default()), FRAMES_PER_SECOND)
}

/// Queues each frame as a whole, so that a stopped terminal stops nothing else. A process in the background
/// draws nothing: what it would erase is the shell's.
#[derive(Debug, Default)]
struct Screen {
    frame: Mutex<Frame>,
}

#[derive(Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    /// When the last one was asked for.
    last: Option<Instant>,
    /// Whether the cursor is no longer at the end of the last one, so that there is nothing to erase.
    is_displaced: bool,
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, Frame> {
        self.frame.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: &str) -> io::Result<()> {
        self.lock().bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// What a frame begins with erases the one before it.
    fn erase(&self, text: &str) -> io::Result<()> {
        let mut frame = self.lock();
        let was_stopped = frame.last.is_some_and(|last| last.elapsed() > STOPPED);
        frame.is_displaced |= was_stopped;
        if !(frame.is_displaced && frame.bytes.is_empty()) {
            frame.bytes.extend_from_slice(text.as_bytes());
        }
        Ok(())
    }

    fn move_cursor(&self, columns_or_lines: usize, direction: char) -> io::Result<()> {
        if columns_or_lines == 0 { Ok(()) } else { self.erase(&format!("\x1b[{columns_or_lines}{direction}")) }
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
        self.erase("\r\x1b[2K")
    }

    /// The end of a frame. An error says that it is not drawn, so that the next one redraws the lines
    /// that are there.
    fn flush(&self) -> io::Result<()> {
        let mut frame = self.lock();
        let mut bytes = std::mem::take(&mut frame.bytes);
        frame.last = Some(Instant::now());
        if is_in_background() {
            frame.is_displaced = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let queue = queue(Standard::Error);
        if queue.size() > MOST_WAITING {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if !bytes.is_empty() {
            frame.is_displaced = false;
            // A terminal shows what is typed, such as ^C, where the cursor is: at the end of a line it would
            // begin another one, and the next frame would not erase what is above.
            bytes.push(b'\r');
            let size = bytes.len();
            queue.push((Standard::Error, bytes), size);
        }
        Ok(())
    }
}

/// Whether standard error is the terminal of a shell that runs this process in the background.
#[cfg(unix)]
pub(super) fn is_in_background() -> bool {
    let foreground = nix::unistd::tcgetpgrp(io::stderr());
    foreground.is_ok_and(|foreground| foreground != nix::unistd::getpgrp())
}

#[cfg(not(unix))]
pub(super) fn is_in_background() -> bool {
    false
}
