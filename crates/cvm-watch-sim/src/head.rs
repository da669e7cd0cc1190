//! Response heads, and how the end of a body is marked.

/// A response head. Header values are bytes; order is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Name and value of each header, without the framing ones.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// A head with no headers.
    pub const fn new(status: u16) -> Head {
        Head { status, headers: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Head {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first value of the header of this name, in any case.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

/// How the end of a body is marked. Bytes sent without a [`Step::Head`](crate::Step::Head) before them are not framed: they go out as they
/// are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Framing {
    /// `Transfer-Encoding: chunked`.
    #[default]
    Chunked,
    /// `Content-Length` with the length of all body bytes of the attempt; one more than will come when it ends by a
    /// stall, a truncation or a reset.
    ContentLength,
    /// Neither: the end of the connection is the end of the body, so a truncation looks like an end.
    UntilClose,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_in_any_case() {
        let head = Head::new(429).header("Retry-After", "1");
        assert_eq!(head.value("retry-after"), Some(b"1".as_slice()));
        assert_eq!(head.value("location"), None);
    }
}
