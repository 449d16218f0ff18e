//! HTTP alone: a server that reads a body, parses it into typed events, and answers.

use axum::{
    Json, Router, extract::DefaultBodyLimit, http::StatusCode, routing::post, serve::ListenerExt as _,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// An event with the fields of every source and stage.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the bench measures the cost of parsing it")]
struct Event {
    event_id: String,
    timestamp: DateTime<Utc>,
    source: Source,
    funnel_stage: Stage,
    event_type: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Facebook,
    Tiktok,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Stage {
    Top,
    Bottom,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "as above")]
struct Data {
    user: User,
    engagement: Engagement,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "as above")]
struct User {
    user_id: String,
    name: Option<String>,
    age: Option<u8>,
    gender: Option<String>,
    location: Option<Location>,
    username: Option<String>,
    followers: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "as above")]
struct Location {
    country: String,
    city: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "as above")]
struct Engagement {
    action_time: Option<DateTime<Utc>>,
    referrer: Option<String>,
    video_id: Option<String>,
    ad_id: Option<String>,
    campaign_id: Option<String>,
    click_position: Option<String>,
    device: Option<String>,
    browser: Option<String>,
    purchase_amount: Option<String>,
    watch_time: Option<f64>,
    percentage_watched: Option<f64>,
    country: Option<String>,
    profile_id: Option<String>,
    purchased_item: Option<String>,
}

pub(super) async fn serve_arrays(listener: TcpListener) -> anyhow::Result<()> {
    serve(listener, Router::new().route("/events", post(take_array))).await
}

pub(super) async fn serve_singles(listener: TcpListener) -> anyhow::Result<()> {
    serve(listener, Router::new().route("/events", post(take_one))).await
}

async fn serve(listener: TcpListener, router: Router) -> anyhow::Result<()> {
    // Without TCP_NODELAY the figure would include TCP's delay of small answers.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router.layer(DefaultBodyLimit::disable())).await?;
    Ok(())
}

async fn take_array(Json(events): Json<Vec<Event>>) -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, Json(json!({ "accepted": events.len() })))
}

async fn take_one(Json(event): Json<Event>) -> (StatusCode, Json<Value>) {
    (StatusCode::ACCEPTED, Json(json!({ "accepted": 1, "eventId": event.event_id })))
}
