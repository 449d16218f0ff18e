//! The correlation id of a request, from the webhook to the row.

use weir_testkit::{Weir, database::stored_events, events::Sender};

on_files_and_on_servers!(
    a_correlation_id_is_echoed_and_reaches_the_row,
    an_unusable_correlation_id_is_replaced
);

async fn a_correlation_id_is_echoed_and_reaches_the_row(weir: Weir) {
    let mut sender = Sender::new("correlated", 8);
    for (header, id) in [("x-correlation-id", "order:17.a_B-c"), ("x-request-id", "request-18")] {
        let request = weir.request("/events").header(header, id).json(&sender.events(3));
        let answer = weir.send(request).await;
        answer.expect_accepted(3, 0);
        assert_eq!(answer.header("x-correlation-id"), id);
        assert_eq!(answer.body["correlationId"], id);
    }
    weir.drained(6).await;
    assert_eq!(rows(&weir, "order:17.a_B-c").await, 3);
    assert_eq!(rows(&weir, "request-18").await, 3);
}

async fn an_unusable_correlation_id_is_replaced(weir: Weir) {
    for unusable in ["with space", "ünïcode", &"x".repeat(129)] {
        let request = weir.request("/events").header("x-correlation-id", unusable.as_bytes()).body("[]");
        let answer = weir.send(request).await;
        let given = answer.header("x-correlation-id").to_owned();
        assert_eq!(answer.body["correlationId"], given);
        assert_eq!(uuid::Uuid::parse_str(&given).map(|id| id.get_version_num()), Ok(7), "{given}");
    }
    // A GET has a correlation id too.
    assert!(!weir.get("/health/live").await.header("x-correlation-id").is_empty());
}

/// The number of rows with this correlation id.
async fn rows(weir: &Weir, correlation_id: &str) -> usize {
    let rows = stored_events(&weir.store().await).await;
    rows.iter().filter(|row| row.correlation_id == correlation_id).count()
}
