//! What a node announces, to whom, and what it says of objects that it cannot use.

mod deckhouse;
mod eligibility;
mod incremental;
mod problems;
mod routes;
mod sessions;
mod world;
