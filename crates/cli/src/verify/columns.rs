//! The comparison of a row with the sent event. It reads the JSON itself and not through the code that stored
//! it, so that it finds an error in that code.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::{Value, json};
use weir_database::entity::events::Model;
use weir_event::{
    Browser, ClickPosition, EventType, FacebookDevice, FunnelStage, Gender, Referrer, Source, TiktokDevice,
};

/// The number of decimals of a stored amount.
const DECIMALS: usize = 4;

/// Returns true if the person was erased from the row. No event has an empty user id.
pub(super) fn is_anonymous(row: &Model) -> bool {
    row.user_id.is_empty()
}

/// Returns the first column that differs from the event; `None` if all are equal.
pub(super) fn first_difference(event: &Value, row: &Model) -> Option<&'static str> {
    let event = if is_anonymous(row) { Cow::Owned(without_person(event)) } else { Cow::Borrowed(event) };
    let (user, engagement) = (&event["data"]["user"], &event["data"]["engagement"]);
    let common = [
        ("source", number(&event["source"], Source::from_name, Source::number) == Some(row.source)),
        ("event_id", event["eventId"].as_str() == Some(&row.event_id)),
        ("occurred_at", micros(&event["timestamp"]) == Some(row.occurred_at)),
        (
            "funnel_stage",
            number(&event["funnelStage"], FunnelStage::from_name, FunnelStage::number)
                == Some(row.funnel_stage),
        ),
        (
            "event_type",
            number(&event["eventType"], EventType::from_name, EventType::number) == Some(row.event_type),
        ),
        ("user_id", user["userId"].as_str() == Some(&row.user_id)),
    ];
    let on_facebook = event["source"] == Source::Facebook.name();
    let of_user = if on_facebook { facebook_user(user, row) } else { tiktok_user(user, row) };
    let on_top = event["funnelStage"] == FunnelStage::Top.name();
    let of_engagement = match (on_facebook, on_top) {
        (true, true) => facebook_top(engagement, row),
        (true, false) => facebook_bottom(engagement, row),
        (false, true) => tiktok_top(engagement, row),
        (false, false) => tiktok_bottom(engagement, row),
    };
    let columns = common.into_iter().chain(of_user).chain(of_engagement);
    columns.into_iter().find(|(_, equal)| !equal).map(|(column, _)| column)
}

/// The event as it is stored of an erased person.
fn without_person(event: &Value) -> Value {
    let mut event = event.clone();
    event["data"]["user"] = json!({"userId": "", "name": "", "username": ""});
    for key in ["country", "profileId"] {
        event["data"]["engagement"][key] = Value::Null;
    }
    event
}

/// Columns of one part of a row, and true for each that equals the event.
type Columns = Vec<(&'static str, bool)>;

fn facebook_user(user: &Value, row: &Model) -> Columns {
    let location = &user["location"];
    vec![
        ("user_name", user["name"].as_str() == Some(&row.user_name)),
        ("age", user["age"].as_i64() == row.age.map(i64::from)),
        ("gender", number(&user["gender"], Gender::from_name, Gender::number) == row.gender),
        ("followers", row.followers.is_none()),
        ("country", location["country"].as_str() == row.country.as_deref()),
        ("city", location["city"].as_str() == row.city.as_deref()),
    ]
}

fn tiktok_user(user: &Value, row: &Model) -> Columns {
    vec![
        ("user_name", user["username"].as_str() == Some(&row.user_name)),
        ("age", row.age.is_none()),
        ("gender", row.gender.is_none()),
        ("followers", user["followers"].as_i64() == row.followers),
        ("city", row.city.is_none()),
    ]
}

fn facebook_top(engagement: &Value, row: &Model) -> Columns {
    let mut columns = vec![
        ("action_time", micros(&engagement["actionTime"]) == row.action_time),
        ("referrer", number(&engagement["referrer"], Referrer::from_name, Referrer::number) == row.referrer),
        ("video_id", engagement["videoId"].as_str() == row.video_id.as_deref()),
        ("device", row.device.is_none()),
    ];
    columns
        .extend(no_facebook_bottom(row).into_iter().chain(no_tiktok_top(row)).chain(no_tiktok_bottom(row)));
    columns.push(("purchase_amount", row.purchase_amount.is_none()));
    columns
}

fn facebook_bottom(engagement: &Value, row: &Model) -> Columns {
    let click_position =
        number(&engagement["clickPosition"], ClickPosition::from_name, ClickPosition::number);
    let device = number(&engagement["device"], FacebookDevice::from_name, FacebookDevice::number);
    let mut columns = vec![
        ("action_time", row.action_time.is_none()),
        ("referrer", row.referrer.is_none()),
        ("video_id", row.video_id.is_none()),
        ("ad_id", engagement["adId"].as_str() == row.ad_id.as_deref()),
        ("campaign_id", engagement["campaignId"].as_str() == row.campaign_id.as_deref()),
        ("click_position", click_position == row.click_position),
        ("device", device == row.device),
        ("browser", number(&engagement["browser"], Browser::from_name, Browser::number) == row.browser),
        ("purchase_amount", ten_thousandths(&engagement["purchaseAmount"]) == row.purchase_amount),
    ];
    columns.extend(no_tiktok_top(row).into_iter().chain(no_tiktok_bottom(row)));
    columns
}

fn tiktok_top(engagement: &Value, row: &Model) -> Columns {
    let device = number(&engagement["device"], TiktokDevice::from_name, TiktokDevice::number);
    let mut columns = vec![
        ("country", engagement["country"].as_str() == row.country.as_deref()),
        ("action_time", row.action_time.is_none()),
        ("referrer", row.referrer.is_none()),
        ("video_id", engagement["videoId"].as_str() == row.video_id.as_deref()),
        ("device", device == row.device),
        ("watch_time", engagement["watchTime"].as_f64() == row.watch_time),
        ("percentage_watched", engagement["percentageWatched"].as_f64() == row.percentage_watched),
        ("purchase_amount", row.purchase_amount.is_none()),
    ];
    columns.extend(no_facebook_bottom(row).into_iter().chain(no_tiktok_bottom(row)));
    columns
}

fn tiktok_bottom(engagement: &Value, row: &Model) -> Columns {
    let mut columns = vec![
        ("country", row.country.is_none()),
        ("action_time", micros(&engagement["actionTime"]) == row.action_time),
        ("referrer", row.referrer.is_none()),
        ("video_id", row.video_id.is_none()),
        ("device", row.device.is_none()),
        ("profile_id", engagement["profileId"].as_str() == row.profile_id.as_deref()),
        ("purchased_item", engagement["purchasedItem"].as_str() == row.purchased_item.as_deref()),
        ("purchase_amount", ten_thousandths(&engagement["purchaseAmount"]) == row.purchase_amount),
    ];
    columns.extend(no_facebook_bottom(row).into_iter().chain(no_tiktok_top(row)));
    columns
}

fn no_facebook_bottom(row: &Model) -> Columns {
    vec![
        ("ad_id", row.ad_id.is_none()),
        ("campaign_id", row.campaign_id.is_none()),
        ("click_position", row.click_position.is_none()),
        ("browser", row.browser.is_none()),
    ]
}

fn no_tiktok_top(row: &Model) -> Columns {
    vec![("watch_time", row.watch_time.is_none()), ("percentage_watched", row.percentage_watched.is_none())]
}

fn no_tiktok_bottom(row: &Model) -> Columns {
    vec![("profile_id", row.profile_id.is_none()), ("purchased_item", row.purchased_item.is_none())]
}

fn number<T>(name: &Value, member: fn(&str) -> Option<T>, number: fn(T) -> i32) -> Option<i16> {
    name.as_str().and_then(member).and_then(|member| number(member).try_into().ok())
}

fn micros(time: &Value) -> Option<i64> {
    time.as_str().and_then(|time| Some(DateTime::parse_from_rfc3339(time).ok()?.timestamp_micros()))
}

/// Reads digits, because a float is not exact.
fn ten_thousandths(amount: &Value) -> Option<i64> {
    let amount = amount.as_str()?;
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{fraction:0<DECIMALS$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ten_thousandths;

    #[test]
    fn money_is_compared_to_the_last_digit() {
        for (amount, expected) in [("1.00", 10_000), ("999.99", 9_999_900), ("0.0001", 1), ("57", 570_000)] {
            assert_eq!(ten_thousandths(&json!(amount)), Some(expected));
        }
        assert_eq!(ten_thousandths(&json!(null)), None);
    }
}
