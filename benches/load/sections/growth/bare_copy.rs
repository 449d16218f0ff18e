//! PostgreSQL's processor time for a bare COPY of rows and keys, into a table as large as the store's.

use std::time::Instant;

use sqlx::PgPool;

use super::at;
use crate::{
    alone::postgres::Rows,
    fleet::Fleet,
    report::{Report, Row, grouped, progress},
    usage::CpuTimes,
};

/// The bar, as a multiple of the processor time of a bare COPY.
const MOST_OF_COPY: f64 = 1.5;
/// Rows of a statement, as many as a worker stores in a transaction.
const BATCH: u64 = 8_192;
/// The frames that are copied, as a part of all: about as many rows as come between two checkpoints at the settings of
/// deploy/, where 100 million are stored.
const COPIED_PART: i64 = 20;
/// The newest rows, in batches of a source as a worker stores them.
const NEWEST: &str = "CREATE UNLOGGED TABLE newest AS \
    SELECT row_number() OVER (ORDER BY source, frame_number) / $batch AS batch, * FROM events \
    WHERE frame_number > $cut";
/// The table of all other rows.
const OTHERS: &str = "CREATE TABLE bare AS SELECT * FROM events WHERE frame_number <= $cut";
const COLUMNS: &str = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute \
    WHERE attrelid = 'bare'::regclass AND attnum > 0";

/// Copies the newest rows into a table of all others, and compares with `stored`, the processor time of an event that
/// was stored, in µs.
pub(super) async fn add(
    fleet: &mut Fleet,
    report: &mut Report,
    size: u64,
    stored: f64,
) -> anyhow::Result<()> {
    for collector in ["collect-facebook", "collect-tiktok"] {
        fleet.weir.stop_process(collector).await;
    }
    let frames: i64 = fleet.query("SELECT max(number) FROM frame_origins").parse()?;
    let cut = frames - frames / COPIED_PART;
    let filled =
        |statement: &str| statement.replace("$cut", &cut.to_string()).replace("$batch", &BATCH.to_string());
    progress("filling a table of the same size");
    fleet.query(&filled(NEWEST));
    fleet.query("CREATE INDEX ON newest (batch)");
    fleet.query(&filled(OTHERS));
    fleet.query("CREATE UNIQUE INDEX ON bare (source, event_code)");
    let rows: u64 = fleet.query("SELECT count(*) FROM newest").parse()?;
    let columns = fleet.query(COLUMNS);
    let pool = PgPool::connect(fleet.database_url()).await?;
    let mut batches = Vec::new();
    for batch in 0..=rows / BATCH {
        let select =
            format!("SELECT {columns} FROM newest WHERE batch = {batch} ORDER BY source, event_code");
        batches.push(Rows::of(&pool, &select).await?);
    }
    fleet.query("CHECKPOINT");
    let before = CpuTimes::now();
    let started = Instant::now();
    for batch in &batches {
        batch.copy(&pool, "bare").await?;
    }
    fleet.query("CHECKPOINT");
    let took = started.elapsed().as_secs_f64();
    let copied = before.since().of("postgres") * took / rows as f64 * 1e6;
    report.add(
        Row::new(at(size, "PostgreSQL's processor time of a bare COPY"), format!("{copied:.1} µs a row"))
            .beside(format!("{} rows, and {stored:.1} µs an event stored", grouped(rows as f64)))
            .bar(format!("stored ≤ × {MOST_OF_COPY}"), stored <= MOST_OF_COPY * copied),
    );
    Ok(())
}
