//! Storing as the collectors do, against a bare copy of the same rows.

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use sea_orm::ConnectionTrait as _;
use tokio::task::JoinSet;
use weir::journal::{Frame, Position};
use weir_collectors::store::{Store, Submission};
use weir_migration::DatabaseUrl;

use crate::{
    alone::copy::Rows,
    arguments::Effort,
    events::{Crowd, Writer},
    fleet,
    frames::{self, BATCH_FRAMES},
    harness::postgres::Postgres,
    loading,
    report::{Report, Row, percent, rate},
    samples::median,
};

/// Of the bare copy.
const LEAST_RATIO: f64 = 0.75;
/// One transaction each.
type Batches<T> = Vec<Vec<T>>;

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("store: from frames to rows");
    let postgres = fleet::database().await;
    let batches = batches(effort.stored_events())?;
    let events = count(&batches);
    let rows = rows(&postgres, &batches).await?;
    for writers in [1, 2] {
        let [mut stored, mut bare] = [Vec::new(), Vec::new()];
        for _ in 0..effort.runs() {
            bare.push(copy_all(&empty(&postgres).await?, &rows, events, writers).await?);
            stored.push(store_all(&empty(&postgres).await?, &batches, writers).await?);
        }
        let (stored, bare) = (median(stored), median(bare));
        let name = if writers == 1 { "one writer" } else { "two writers" };
        report.add(Row::new(format!("alone: a bare COPY, {name}"), rate(bare)));
        let ratio = stored / bare;
        report.add(
            Row::new(format!("PostgreSQL, {name}"), rate(stored))
                .beside(format!("{} of the bare COPY", percent(ratio)))
                .bar(format!("≥ {}", percent(LEAST_RATIO)), ratio >= LEAST_RATIO),
        );
    }
    let mut stored = Vec::new();
    for _ in 0..effort.runs() {
        let folder = tempfile::tempdir()?;
        let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
        stored.push(store_all(&url, &batches, 1).await?);
    }
    report.add(Row::new("SQLite, one writer", rate(median(stored))));
    report.note(
        "Transactions of 8,192 events of one source into an empty database, rows in the order of their key.",
    );
    Ok(report)
}

/// A database without events; what was stored before is written, so that nobody pays for somebody else.
async fn empty(postgres: &Postgres) -> anyhow::Result<DatabaseUrl> {
    let url = postgres.fresh_database().await;
    loading::migrated(&url).await?.execute_unprepared("CHECKPOINT").await?;
    Ok(url)
}

/// As workers take them when much is waiting: of one source, and of the sources in turn.
fn batches(events: u64) -> anyhow::Result<Batches<Frame>> {
    let (writer, now) = (Writer { run: 0, crowd: Crowd::EachNew }, Utc::now());
    // Between two events of the reference publisher.
    let spacing = TimeDelta::microseconds(20);
    let at = |number| now - spacing * i32::try_from(events - number).unwrap_or(i32::MAX);
    let frames = frames::make(writer, 0..events, at)?;
    let (facebook, tiktok) = frames.split_at(frames.len() / 2);
    let of_one = |frames: &[Frame]| frames.chunks(BATCH_FRAMES).map(<[Frame]>::to_vec).collect::<Vec<_>>();
    let in_turn = of_one(facebook).into_iter().zip(of_one(tiktok));
    Ok(in_turn.flat_map(|(facebook, tiktok)| [facebook, tiktok]).collect())
}

fn count(batches: &Batches<Frame>) -> usize {
    batches.iter().flatten().map(|frame| frame.events.len()).sum()
}

/// The rows that these batches become, batch by batch.
async fn rows(postgres: &Postgres, batches: &Batches<Frame>) -> anyhow::Result<Vec<Rows>> {
    let url = empty(postgres).await?;
    store_all(&url, batches, 1).await?;
    let database = loading::migrated(&url).await?;
    let mut rows = Vec::with_capacity(batches.len());
    for batch in batches {
        let frame_ids: Vec<&str> = batch.iter().map(|frame| frame.id.as_str()).collect();
        rows.push(Rows::of_frames(database.get_postgres_connection_pool(), &frame_ids).await?);
    }
    Ok(rows)
}

/// Rows a second of the collectors' store.
async fn store_all(url: &DatabaseUrl, batches: &Batches<Frame>, writers: usize) -> anyhow::Result<f64> {
    let database = loading::migrated(url).await?;
    let store = Store::new(&database);
    let mut shares = JoinSet::new();
    let events = count(batches);
    let mine: Vec<Batches<Frame>> = dealt(batches, writers);
    let started = Instant::now();
    for (writer, batches) in mine.into_iter().enumerate() {
        shares.spawn(store_share(store.clone(), writer as u64, batches));
    }
    while let Some(share) = shares.join_next().await {
        share??;
    }
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

async fn store_share(store: Store, writer: u64, batches: Batches<Frame>) -> anyhow::Result<()> {
    let mut sequence = writer << 32;
    for batch in &batches {
        let submission = |frame| {
            sequence += 1;
            // Of a journal that is not there: what is settled is recorded all the same.
            Submission::whole(frame).at(Position { journal: 1, sequence })
        };
        let submissions: Vec<Submission<'_>> = batch.iter().map(submission).collect();
        store.store(&submissions).await?;
    }
    Ok(())
}

/// Rows a second of the bare copy.
async fn copy_all(url: &DatabaseUrl, rows: &[Rows], events: usize, writers: usize) -> anyhow::Result<f64> {
    let database = loading::migrated(url).await?;
    let mut shares = JoinSet::new();
    let mine = dealt(rows, writers);
    let started = Instant::now();
    for share in mine {
        let pool = database.get_postgres_connection_pool().clone();
        shares.spawn(async move {
            for rows in &share {
                rows.copy(&pool).await?;
            }
            Ok::<(), sqlx::Error>(())
        });
    }
    while let Some(share) = shares.join_next().await {
        share??;
    }
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

/// Dealt out in turn.
fn dealt<T: Clone>(batches: &[T], writers: usize) -> Vec<Vec<T>> {
    (0..writers).map(|writer| batches.iter().skip(writer).step_by(writers).cloned().collect()).collect()
}
