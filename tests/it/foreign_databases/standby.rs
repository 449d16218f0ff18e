//! A hot standby serves reports, and takes no events.

use weir_event::Source;
use weir_testkit::{events::with_id, eventually, postgres::Postgres};

use super::{fails_at_once, one_source, reports_cause};

#[tokio::test(flavor = "multi_thread")]
async fn reporting_answers_from_a_hot_standby_and_a_collector_requires_the_primary() {
    let primary = Postgres::start().await;
    let database_url = primary.fresh_database_url().await;
    let standby = primary.standby().await;
    let replica_url =
        database_url.replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()));
    let mut weir = one_source(&database_url).await;
    weir.ready().await;
    weir.join("reporting", &["reporting"], &[("DATABASE_URL", &replica_url)]).await;
    assert_eq!(weir.post(&with_id(Source::Facebook, "replicated")).await.status, 202);
    eventually(async || match weir.reported_events().await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    let (status, output) = weir.run(&["reconcile"], &[("DATABASE_URL", &replica_url)]).await;
    assert!(status.success(), "{output}");
    let (status, output) = weir.run(&["migrate", "status"], &[("DATABASE_URL", &replica_url)]).await;
    assert!(status.success(), "{output}");
    let (status, output) = weir.run(&["migrate", "up"], &[("DATABASE_URL", &replica_url)]).await;
    assert!(status.success(), "nothing is missing: {output}");
    fails_at_once(&weir, &["reconcile", "--repair"], &replica_url, &["standby", "primary"]).await;
    weir.stop().await;

    let collector = one_source(&replica_url).await;
    reports_cause(&collector, "collect-facebook", &["standby", "primary", "DATABASE_URL"]).await;
}
