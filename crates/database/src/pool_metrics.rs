//! Metrics of the pools: the process's connections to the database, read at each scrape.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use sea_orm::DatabaseConnection;

use crate::dialect::Pool;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    pool: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Debug)]
struct Pools(Vec<(&'static str, Pool)>);

/// The connections of one pool at one moment.
struct PoolUsage {
    idle: u32,
    used: u32,
    limit: u32,
}

/// Registers the gauges of every pool of the process under the pool's name. A process calls it once.
pub fn register_pools(registry: &mut Registry, pools: &[(&'static str, &DatabaseConnection)]) {
    let pools = pools.iter().map(|(name, database)| (*name, Pool::of(database))).collect();
    registry.register_collector(Box::new(Pools(pools)));
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let usages: Vec<(&'static str, PoolUsage)> =
            self.0.iter().map(|(name, pool)| (*name, PoolUsage::of(pool))).collect();
        let help = "Connections to the database that are open";
        let name = "weir_database_pool_connections";
        let mut connections = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (pool, usage) in &usages {
            for (state, count) in [("idle", usage.idle), ("used", usage.used)] {
                let labels = StateLabels { pool, state };
                ConstGauge::new(i64::from(count)).encode(connections.encode_family(&labels)?)?;
            }
        }
        let help = "Connections to the database that may be open";
        let mut limits =
            encoder.encode_descriptor("weir_database_pool_limit", help, None, MetricType::Gauge)?;
        for (pool, usage) in &usages {
            ConstGauge::new(i64::from(usage.limit)).encode(limits.encode_family(&PoolLabels { pool })?)?;
        }
        Ok(())
    }
}

impl PoolUsage {
    fn of(pool: &Pool) -> Self {
        let size = pool.size();
        let idle = pool.idle().min(size);
        Self { idle, used: size - idle, limit: pool.max_connections() }
    }
}
