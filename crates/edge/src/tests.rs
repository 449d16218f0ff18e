//! Tests of a whole edge, from outside, in front of a fake ingest and a fake reporting service.

mod api;
mod bodies;
mod coalescing;
mod connections;
mod event_lookup;
mod fake;
mod items;
mod rejections;
mod reports;
mod retries;
