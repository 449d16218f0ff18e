//! The edge as its callers see it, before an ingest and a reporting service that are made up.

mod api;
mod bodies;
mod coalescing;
mod connections;
mod event_lookup;
mod fake;
mod items;
mod refusals;
mod reports;
mod retries;
