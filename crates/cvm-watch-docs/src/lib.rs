//! The examples in the documents of this repository, as doctests.

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
