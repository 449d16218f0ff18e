//! kill -9 under load.

use weir_testkit::{Weir, load::Load, soak};

const ROLES: [&str; 6] =
    ["edge", "ingest", "collect-facebook", "collect-facebook-too", "collect-tiktok", "reporting"];

#[tokio::test(flavor = "multi_thread")]
async fn every_role_is_killed_in_turn_and_nothing_is_lost() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    for name in ROLES {
        load.answered(10).await;
        weir.kill(name).await;
        weir.revive(name);
        weir.recovers().await;
    }
    load.answered(10).await;
    let proof = load.prove(&weir).await;
    assert!(proof.accepted > 0, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_roles_are_killed_at_once_again_and_again_and_nothing_is_lost() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    for _ in 0..if soak() { 12 } else { 2 } {
        load.answered(10).await;
        for name in ROLES {
            weir.signal_to(name, "KILL").await;
        }
        // A sender must have met the fault before it ends, or nothing was shown.
        load.refused(1).await;
        for name in ROLES {
            weir.died(name).await;
            weir.revive(name);
        }
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert!(proof.unanswered_requests > 0, "{proof}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_files_is_killed_again_and_again_and_nothing_is_lost() {
    let mut weir = Weir::on_files().await;
    let load = Load::start(&weir);
    for _ in 0..if soak() { 12 } else { 3 } {
        load.answered(10).await;
        weir.signal("KILL").await;
        load.refused(1).await;
        weir.killed().await;
        weir.start_again().await;
        weir.recovers().await;
    }
    let proof = load.prove(&weir).await;
    assert!(proof.unanswered_requests > 0, "{proof}");
}
