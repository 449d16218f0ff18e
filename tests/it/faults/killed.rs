//! Processes that are killed with SIGKILL under load.

use weir_testkit::{Weir, load::Load, soak};

const ROLES: [&str; 6] =
    ["edge", "ingest", "collect-facebook", "collect-facebook-too", "collect-tiktok", "reporting"];

#[tokio::test(flavor = "multi_thread")]
async fn every_role_is_killed_in_turn_and_nothing_is_lost() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    for name in ROLES {
        load.wait_for_accepted(10).await;
        weir.kill(name).await;
        weir.start_process(name);
        weir.expect_recovery().await;
    }
    load.wait_for_accepted(10).await;
    let verification = load.verify(&weir).await;
    assert!(verification.accepted > 0, "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_roles_are_killed_at_once_again_and_again_and_nothing_is_lost() {
    let mut weir = Weir::fleet().await;
    let load = Load::start(&weir);
    for _ in 0..if soak() { 12 } else { 2 } {
        load.wait_for_accepted(10).await;
        for name in ROLES {
            weir.signal_to(name, "KILL").await;
        }
        // At least one request must fail; otherwise the story shows nothing.
        load.wait_for_refused(1).await;
        for name in ROLES {
            weir.exit_of(name).await;
            weir.start_process(name);
        }
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert!(verification.unanswered_requests > 0, "{verification}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_on_files_is_killed_again_and_again_and_nothing_is_lost() {
    let mut weir = Weir::on_files().await;
    let load = Load::start(&weir);
    for _ in 0..if soak() { 12 } else { 3 } {
        load.wait_for_accepted(10).await;
        weir.signal("KILL").await;
        load.wait_for_refused(1).await;
        weir.wait_for_exits().await;
        weir.start_again().await;
        weir.expect_recovery().await;
    }
    let verification = load.verify(&weir).await;
    assert!(verification.unanswered_requests > 0, "{verification}");
}
