//! Two speakers of this crate talk over wires and a clock that are values: sessions from the first packet to the last.

mod collision;
mod net;
mod pressure;
mod restart;
mod session;
