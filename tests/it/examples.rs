//! The programs of examples/, each against a running Weir.

use weir_testkit::{Weir, weir::example};

on_files_and_on_servers!(the_examples_publish_an_event_and_read_it_from_the_reports);

async fn the_examples_publish_an_event_and_read_it_from_the_reports(weir: Weir) {
    let published = example("publisher", &[&format!("http://{}", weir.addresses.ingest), "tt-example"]).await;
    assert_eq!(published, "OUTCOME_ACCEPTED\n");
    weir.drained(1).await;

    let reported = example("report_reader", &[&format!("http://{}", weir.addresses.reporting)]).await;
    assert_eq!(
        reported,
        "events: 1\n  SOURCE_TIKTOK EVENT_TYPE_PURCHASE: 1\nrevenue: 318.49 USD\nFacebook users: 0\nTikTok users: 1\n"
    );
}
