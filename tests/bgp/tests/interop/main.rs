//! The speaker against FRR, BIRD and GoBGP: each line of what it promises, from the router's view, with its negative twin.

mod bad_peers;
mod bfd;
mod bird;
mod device;
mod gobgp;
mod hops;
mod listening;
mod loss;
mod password;
mod restart;
mod scale;
mod session;
mod unnumbered;
