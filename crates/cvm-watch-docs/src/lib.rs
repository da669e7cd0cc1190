//! The examples in the documents of this repository, as doctests.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/embed-the-core.md")]
pub struct EmbedTheCore;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/test-without-the-cloud.md")]
pub struct TestWithoutTheCloud;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/write-a-transport.md")]
pub struct WriteATransport;
