//! The speaker against FRR, BIRD and GoBGP: each line of what it promises, from the router's view, with its negative twin.

mod session;
