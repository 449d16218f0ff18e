//! An operator deletes a consumer under a collector's hands, again and again.

use crate::harness::{Weir, eventually, load::Load, nats::Operator};

const ROUNDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_twelve_times_under_load_ends_no_process_and_loses_nothing() {
    let mut weir = Weir::fleet().await;
    let operator = weir.operator().await;
    let load = Load::start(&weir);
    load.answered(5).await;
    for _ in 0..ROUNDS {
        // The second one meets those that make it anew.
        delete_as_soon_as_it_is_there(&operator).await;
        delete_as_soon_as_it_is_there(&operator).await;
        load.answered(5).await;
        weir.ready().await;
    }
    weir.recovers().await;
    let proof = load.prove(&weir).await;
    assert_eq!((proof.parked, proof.unanswered_requests), (0, 0), "{proof}");
    super::lost_is(&weir, &["ingest", "collect-facebook", "collect-facebook-too"], 0).await;
}

/// At the moment at which collectors make it anew, a server may answer 500 (error 10012).
async fn delete_as_soon_as_it_is_there(operator: &Operator) {
    eventually(async || {
        let mut refused = String::new();
        for _ in 0..100 {
            match operator.context.delete_consumer_from_stream("collector-facebook", "EVENTS").await {
                Ok(_) => return Ok(()),
                Err(error) => refused = error.to_string(),
            }
        }
        Err(refused)
    })
    .await;
}
