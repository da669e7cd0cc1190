//! `cvm-watch decode`: any event stream as NDJSON, event by event.

mod object;

use std::io::{self, Read, Write};

use cvm_watch_core::sse::{Chunk, Decoder, Limits};

use crate::args::DecodeArgs;
use crate::exit::Exit;
use crate::input;
use crate::json;
use crate::output::{self, Lines, Standard};
use object::Object;

/// How much is read at a time, where there is as much.
const CHUNK: usize = 64 << 10;

pub(crate) fn run(args: &DecodeArgs) -> Exit {
    let input = match input::open(&args.file) {
        Ok(input) => input,
        Err(exit) => return exit,
    };
    match decode(input, Standard::Output, args) {
        Ok(()) => Exit::Success,
        Err(Broken::Input(error)) => {
            output::failure(&format!("cannot read {}: {error}", input::shown(&args.file)));
            Exit::Failure
        }
        // A reader that closes the pipe, such as `head`, has all it needs.
        Err(Broken::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(Broken::Output(error)) => {
            output::failure(&format!("cannot write to stdout: {error}"));
            Exit::Failure
        }
    }
}

/// The side that failed.
#[derive(Debug)]
enum Broken {
    Input(io::Error),
    Output(io::Error),
}

fn decode(mut input: impl Read, output: impl Write, args: &DecodeArgs) -> Result<(), Broken> {
    let limit = usize::try_from(args.max_event_bytes).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new(Limits::default().max_event_bytes(limit));
    let mut lines = Lines::new(output);
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Input(error)),
        };
        let mut chunk = Chunk::new(buffer.get(..length).unwrap_or_default());
        while let Some(item) = decoder.decode(&mut chunk) {
            if let Some(object) = Object::new(&item, args.cvm) {
                lines.print(json::line(&object)).map_err(Broken::Output)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(cvm: bool, max_event_bytes: u32) -> DecodeArgs {
        DecodeArgs { file: "-".into(), cvm, max_event_bytes }
    }

    fn decoded(input: impl Read, args: &DecodeArgs) -> String {
        let mut output = Vec::new();
        decode(input, &mut output, args).unwrap();
        String::from_utf8(output).unwrap()
    }

    /// A reader that hands out one byte at a time, with an interruption before each.
    struct Drip<'a>(&'a [u8], bool);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn events_retries_and_dropped_events_are_separate_objects() {
        let stream = "\u{feff}: hi\nid: 7\nevent: state\ndata: {\"a\":1}\ndata: \"b\"\n\n\
                      retry: 99999999999999999999999\nretry: 1x\ndata\n\nevent: big\ndata: 0123456789abcdef012\n\n\
                      id\ndata: \x1b[2J\u{9b}##[x]\n\ndata: unfinished";
        let expected = concat!(
            r#"{"event":"state","data":"{\"a\":1}\n\"b\"","id":"7"}"#,
            "\n",
            r#"{"retry":18446744073709551615}"#,
            "\n",
            r#"{"event":"message","data":"","id":"7"}"#,
            "\n",
            r#"{"malformed":"the event is larger than 20 bytes"}"#,
            "\n",
            r#"{"event":"message","data":"\u001b[2J\u009b#\u0023[x]","id":""}"#,
            "\n",
        );
        assert_eq!(decoded(stream.as_bytes(), &args(false, 20)), expected);
        assert_eq!(decoded(Drip(stream.as_bytes(), false), &args(false, 20)), expected);
    }

    #[test]
    fn any_bytes_are_an_event_stream() {
        for bytes in [&b""[..], b"\0", b"\xff\xfe", b"data: \xf0\x9f\n\n", b"\r\r\r", b"\xef\xbb"] {
            decode(bytes, io::sink(), &args(true, 16)).unwrap();
        }
        let replaced = decoded(&b"data: \xf0\x9f\xffa\n\n"[..], &args(false, 100));
        assert_eq!(replaced, "{\"event\":\"message\",\"data\":\"\u{fffd}\u{fffd}a\",\"id\":\"\"}\n");
    }

    #[test]
    fn an_event_is_out_before_the_next_is_read() {
        /// Counts the lines that are out whenever it is asked for more.
        struct Counting<'a>(&'a std::cell::RefCell<Vec<u8>>, u8);
        impl Read for Counting<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let lines = self.0.borrow().iter().filter(|byte| **byte == b'\n').count();
                assert_eq!(lines, usize::from(self.1));
                self.1 += 1;
                if self.1 < 4 { (&b"data: 1\n\n"[..]).read(buffer) } else { Ok(0) }
            }
        }
        struct Shared<'a>(&'a std::cell::RefCell<Vec<u8>>);
        impl Write for Shared<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let out = std::cell::RefCell::default();
        decode(Counting(&out, 0), Shared(&out), &args(false, 100)).unwrap();
    }
}
