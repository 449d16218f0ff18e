//! The store of the collectors, compared with a bare copy and a bare insert of the same rows.

use std::time::Instant;

use chrono::{TimeDelta, Utc};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _};
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;
use weir_collectors::store::{Store, Submission};
use weir_database::{
    DatabaseUrl,
    entity::{events, frame_origins},
};
use weir_journal::{Frame, Position};
use weir_testkit::{events::Generator, postgres::Postgres};

use crate::{
    alone::postgres::{Rows, insert},
    dataset::{self, BATCH_EVENTS, BATCH_FRAMES},
    effort::Effort,
    fleet,
    report::{Report, Row, grouped, percent, rate},
    statistics::median,
};

/// The bar, as a share of a bare copy or a bare insert.
const LEAST_RATIO: f64 = 0.75;
/// Batches, each of which is stored in one transaction.
type Batches<T> = Vec<Vec<T>>;

pub(super) async fn measure(effort: Effort) -> anyhow::Result<Report> {
    let mut report = Report::begin("store: from frames to rows");
    let postgres = fleet::database().await;
    let batches = batches(effort.stored_events());
    let bare = bare_batches(&postgres, &batches).await?;
    let mut one_writer = 0.0;
    for (writers, name) in [(1, "one writer"), (2, "two writers")] {
        let [mut stored, mut copied, mut inserted] = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..effort.runs() {
            let copying = async |pool: PgPool, batch: Bare| batch.copied.copy(&pool, "events").await;
            let inserting = async |pool: PgPool, batch: Bare| insert(&pool, &batch.inserted).await;
            copied.push(bare_all(&empty(&postgres).await?, &bare, writers, copying).await?);
            inserted.push(bare_all(&empty(&postgres).await?, &bare, writers, inserting).await?);
            stored.push(store_all(&empty(&postgres).await?, &batches, writers).await?);
        }
        let [stored, copied, inserted] = [stored, copied, inserted].map(median);
        if writers == 1 {
            one_writer = stored;
        }
        report.add(Row::new(format!("alone: a bare COPY, {name}"), rate(copied)));
        report.add(Row::new(format!("alone: a bare UNNEST insert, {name}"), rate(inserted)));
        let ratios = [stored / copied, stored / inserted];
        let [of_copy, of_insert] = ratios.map(percent);
        report.add(
            Row::new(format!("PostgreSQL, {name}"), rate(stored))
                .beside(format!("{of_copy} of the bare COPY, {of_insert} of the bare insert"))
                .bar(
                    format!("≥ {} of either", percent(LEAST_RATIO)),
                    ratios.iter().any(|ratio| *ratio >= LEAST_RATIO),
                ),
        );
    }
    let repeating = repeating(&batches);
    let mut stored = Vec::new();
    for _ in 0..effort.runs() {
        let database = dataset::migrated(&empty(&postgres).await?).await?;
        let store = Store::new(&database);
        warm_up(&store).await?;
        stored.push(store_in(&store, &repeating, 1).await?);
    }
    let stored = median(stored);
    report.add(
        Row::new("PostgreSQL, one writer, one event in a hundred comes again", rate(stored))
            .beside(format!("{} of the same where none does", percent(stored / one_writer))),
    );
    let mut stored = Vec::new();
    for _ in 0..effort.runs() {
        let folder = tempfile::tempdir()?;
        let url = DatabaseUrl::file(&folder.path().join("store.sqlite"));
        stored.push(store_all(&url, &batches, 1).await?);
    }
    report.add(Row::new("SQLite, one writer", rate(median(stored))));
    report.note(format!(
        "Transactions of {} events of one source into an empty database, rows in the order of their key.",
        grouped(BATCH_EVENTS as f64)
    ));
    Ok(report)
}

/// An empty database. A checkpoint writes the pages of earlier runs first, so that this run does not pay for them.
async fn empty(postgres: &Postgres) -> anyhow::Result<DatabaseUrl> {
    let url = postgres.fresh_database().await;
    dataset::migrated(&url).await?.execute_unprepared("CHECKPOINT").await?;
    Ok(url)
}

/// Batches as workers take them from a full queue: each of one source, and of both sources in turn.
fn batches(events: u64) -> Batches<Frame> {
    let now = Utc::now();
    // The time between two events of the reference publisher.
    let spacing = TimeDelta::microseconds(20);
    let at = |number| now - spacing * i32::try_from(events - number).unwrap_or(i32::MAX);
    let frames = Generator::all_new(0).frames(0..events, at);
    let (facebook, tiktok) = frames.split_at(frames.len() / 2);
    let of_one = |frames: &[Frame]| frames.chunks(BATCH_FRAMES).map(<[Frame]>::to_vec).collect::<Vec<_>>();
    let in_turn = of_one(facebook).into_iter().zip(of_one(tiktok));
    in_turn.flat_map(|(facebook, tiktok)| [facebook, tiktok]).collect()
}

/// The same batches, in which one event in a hundred repeats an event of the source's previous batch.
fn repeating(batches: &Batches<Frame>) -> Batches<Frame> {
    let mut repeating = batches.clone();
    for (batch, before) in repeating.iter_mut().skip(2).zip(batches) {
        for (frame, before) in batch.iter_mut().zip(before) {
            for (event, before) in frame.events.iter_mut().zip(&before.events).step_by(100) {
                event.event = before.event.clone();
            }
        }
    }
    repeating
}

fn count(batches: &Batches<Frame>) -> usize {
    batches.iter().flatten().map(|frame| frame.events.len()).sum()
}

/// The rows of a batch.
#[derive(Clone, Debug)]
struct Bare {
    copied: Rows,
    inserted: Vec<events::Model>,
}

/// The stored rows of these batches, batch by batch, in the order of their key.
async fn bare_batches(postgres: &Postgres, batches: &Batches<Frame>) -> anyhow::Result<Vec<Bare>> {
    let url = empty(postgres).await?;
    store_all(&url, batches, 1).await?;
    let database = dataset::migrated(&url).await?;
    let mut bare = Vec::with_capacity(batches.len());
    for batch in batches {
        let frame_ids: Vec<&str> = batch.iter().map(|frame| frame.id.as_str()).collect();
        let frames = frame_origins::Entity::find().filter(frame_origins::Column::FrameId.is_in(frame_ids));
        let numbers: Vec<i64> = frames.all(&database).await?.iter().map(|frame| frame.number).collect();
        let copied = Rows::of_frames(database.get_postgres_connection_pool(), &numbers).await?;
        let of_batch = events::Entity::find().filter(events::Column::FrameNumber.is_in(numbers));
        let inserted = of_batch.order_by_asc(events::Column::EventId).all(&database).await?;
        bare.push(Bare { copied, inserted });
    }
    Ok(bare)
}

/// The throughput of the collectors' store, in rows a second.
async fn store_all(url: &DatabaseUrl, batches: &Batches<Frame>, writers: usize) -> anyhow::Result<f64> {
    let database = dataset::migrated(url).await?;
    store_in(&Store::new(&database), batches, writers).await
}

/// Stores one event again and again, until the store expects duplicates. At first every duplicate costs it a failed
/// insert.
async fn warm_up(store: &Store) -> anyhow::Result<()> {
    let now = Utc::now();
    let frames = Generator::all_new(2).frames(0..1, |_| now);
    for _ in 0..20 {
        for frame in &frames {
            let again = Frame { id: Uuid::now_v7().to_string(), ..frame.clone() };
            store.store(&[Submission::whole(&again)]).await?;
        }
    }
    Ok(())
}

async fn store_in(store: &Store, batches: &Batches<Frame>, writers: usize) -> anyhow::Result<f64> {
    let mut shares = JoinSet::new();
    let events = count(batches);
    let mine: Vec<Batches<Frame>> = deal(batches, writers);
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
            // The position makes the store record the frame as settled, although there is no journal.
            Submission::whole(frame).at(Position { journal: 1, sequence })
        };
        let submissions: Vec<Submission<'_>> = batch.iter().map(submission).collect();
        store.store(&submissions).await?;
    }
    Ok(())
}

/// The throughput of a function that stores a batch in one statement, in rows a second.
async fn bare_all<F>(
    url: &DatabaseUrl,
    batches: &[Bare],
    writers: usize,
    store: impl Fn(PgPool, Bare) -> F + Copy + Send + 'static,
) -> anyhow::Result<f64>
where
    F: Future<Output = Result<(), sqlx::Error>> + Send,
{
    let database = dataset::migrated(url).await?;
    let mut shares = JoinSet::new();
    let rows: usize = batches.iter().map(|batch| batch.inserted.len()).sum();
    let mine = deal(batches, writers);
    let started = Instant::now();
    for share in mine {
        let pool = database.get_postgres_connection_pool().clone();
        shares.spawn(async move {
            for batch in share {
                store(pool.clone(), batch).await?;
            }
            Ok::<(), sqlx::Error>(())
        });
    }
    while let Some(share) = shares.join_next().await {
        share??;
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

/// Deals the batches to the writers in turn.
fn deal<T: Clone>(batches: &[T], writers: usize) -> Vec<Vec<T>> {
    (0..writers).map(|writer| batches.iter().skip(writer).step_by(writers).cloned().collect()).collect()
}
