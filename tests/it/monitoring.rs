//! Monitoring: rules fire as intended and lead to the runbook, every query of a board finds data, and labels come from
//! closed sets.

mod boards;
mod expression;
mod live;
mod rules;
mod series;
