//! How much of a process's connections to the database is in use, read at each scrape.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use sea_orm::{DatabaseConnection, DbBackend};

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
struct Pools(Vec<(&'static str, DatabaseConnection)>);

/// Connections of one pool.
struct Use {
    idle: u32,
    used: u32,
    limit: u32,
}

/// Shows every pool of the process under its name; once in a process.
pub fn register_pools(registry: &mut Registry, pools: &[(&'static str, &DatabaseConnection)]) {
    let pools = pools.iter().map(|(name, database)| (*name, (*database).clone())).collect();
    registry.register_collector(Box::new(Pools(pools)));
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let uses: Vec<(&'static str, Use)> =
            self.0.iter().map(|(pool, database)| (*pool, Use::of(database))).collect();
        let help = "Connections to the database that are open";
        let name = "weir_database_pool_connections";
        let mut connections = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (pool, told) in &uses {
            for (state, count) in [("idle", told.idle), ("used", told.used)] {
                let labels = StateLabels { pool, state };
                ConstGauge::new(i64::from(count)).encode(connections.encode_family(&labels)?)?;
            }
        }
        let help = "Connections to the database that may be open";
        let mut limits =
            encoder.encode_descriptor("weir_database_pool_limit", help, None, MetricType::Gauge)?;
        for (pool, told) in &uses {
            ConstGauge::new(i64::from(told.limit)).encode(limits.encode_family(&PoolLabels { pool })?)?;
        }
        Ok(())
    }
}

impl Use {
    fn of(database: &DatabaseConnection) -> Self {
        let (size, idle, limit) = match database.get_database_backend() {
            DbBackend::Postgres => {
                let pool = database.get_postgres_connection_pool();
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
            _ => {
                let pool = database.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle(), pool.options().get_max_connections())
            }
        };
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(size);
        Self { idle, used: size - idle, limit }
    }
}
