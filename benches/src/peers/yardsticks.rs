//! How fast the bytes can be looked at at all.

use std::hint::black_box;

use crate::digest::Sink;

/// Finds every line end with one call each.
pub(super) fn memchr2<S: Sink>(stream: &'static [u8], chunk: usize, _: &mut S) {
    for chunk in stream.chunks(chunk) {
        memchr::memchr2_iter(b'\n', b'\r', chunk).for_each(|end| _ = black_box(end));
    }
}

/// Checks the encoding of every chunk.
pub(super) fn from_utf8<S: Sink>(stream: &'static [u8], chunk: usize, _: &mut S) {
    for chunk in stream.chunks(chunk) {
        _ = black_box(std::str::from_utf8(chunk));
    }
}

/// Copies every chunk.
pub(super) fn memcpy<S: Sink>(stream: &'static [u8], chunk: usize, _: &mut S) {
    let mut buffer = vec![0; chunk];
    for chunk in stream.chunks(chunk) {
        buffer[..chunk.len()].copy_from_slice(chunk);
        black_box(&mut buffer);
    }
}
