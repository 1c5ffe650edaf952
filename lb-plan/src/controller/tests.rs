//! Whole plans, applied to a small world that keeps objects as a store does.

mod addresses;
mod classes;
mod histories;
mod metallb;
mod pools;
mod quiet;
mod world;
