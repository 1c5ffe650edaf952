//! Whole plans, applied to a small world that keeps objects as a store does.

mod addresses;
mod adoption;
mod announced;
mod classes;
mod deckhouse_pools;
mod doubts;
mod histories;
mod messages;
mod metallb;
mod planner;
mod pool_histories;
mod pools;
mod quiet;
mod reach;
mod report;
mod sharing;
mod terms;
mod world;
