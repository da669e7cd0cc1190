//! Standard input, output and error, each of which another process may have made non-blocking: then
//! the program waits until there is something to read, or room to write.

use std::io::{self, Read, Write};

/// Standard output or error. A write ends when all of its bytes were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standard {
    Output,
    Error,
}

/// Standard input.
pub(crate) struct Input(io::StdinLock<'static>);

impl Input {
    pub(crate) fn lock() -> Self {
        Self(io::stdin().lock())
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                read => return read,
            }
        }
    }
}

impl Write for Standard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_whole(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::MetadataExt;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::unistd::write;

    use super::{Input, Standard};

    impl Input {
        pub(super) fn wait(&self) -> io::Result<()> {
            wait(self.0.as_fd(), PollFlags::POLLIN)
        }
    }

    impl Standard {
        pub(super) fn write_whole(self, bytes: &[u8]) -> io::Result<()> {
            match self {
                Self::Output => write_whole(io::stdout().as_fd(), bytes),
                Self::Error => write_whole(io::stderr().as_fd(), bytes),
            }
        }

        /// Whether both are the same terminal, pipe or file.
        pub(crate) fn are_one() -> bool {
            // A duplicate, since a `File` closes what it is made from.
            let file = |fd: BorrowedFd<'_>| File::from(fd.try_clone_to_owned()?).metadata();
            match (file(io::stdout().as_fd()), file(io::stderr().as_fd())) {
                (Ok(output), Ok(error)) => (output.dev(), output.ino()) == (error.dev(), error.ino()),
                _ => false,
            }
        }
    }

    // Past the buffer of `io::Stdout`, which loses what a non-blocking write does not take.
    fn write_whole(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match write(fd, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => wait(fd, PollFlags::POLLOUT)?,
                // Not open for writing, which is ignored, as in the standard library.
                Err(Errno::EBADF) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait(fd: BorrowedFd<'_>, until: PollFlags) -> io::Result<()> {
        match poll(&mut [PollFd::new(fd, until)], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io::{self, Write};
    use std::thread;
    use std::time::Duration;

    use super::{Input, Standard};

    impl Input {
        pub(super) fn wait(&self) -> io::Result<()> {
            thread::sleep(Duration::from_millis(10));
            Ok(())
        }
    }

    impl Standard {
        pub(super) fn write_whole(self, bytes: &[u8]) -> io::Result<()> {
            match self {
                Self::Output => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
                Self::Error => io::stderr().write_all(bytes),
            }
        }

        /// Whether both are the same terminal, pipe or file.
        pub(crate) fn are_one() -> bool {
            use std::io::IsTerminal;
            io::stdout().is_terminal() && io::stderr().is_terminal()
        }
    }
}
