//! What Prometheus and Grafana are told: rules that fire when they shall and lead to the runbook, boards whose every
//! question is answered, and no more series than there are labels.

mod boards;
mod expression;
mod live;
mod rules;
mod series;
