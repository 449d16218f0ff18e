//! The edge as its callers see it, before an ingest and a reporting service that are made up.

mod api;
mod bodies;
mod connections;
mod fake;
mod gathering;
mod items;
mod refusals;
mod reports;
mod retries;
mod whereabouts;
