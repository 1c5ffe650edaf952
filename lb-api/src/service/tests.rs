//! Unit and property tests of the annotations.
