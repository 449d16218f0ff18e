//! `weir up --demo`, the first command of a newcomer.

use weir_testkit::{eventually, process::Process, weir::command};

#[tokio::test]
async fn the_demonstration_shows_the_reports_stays_up_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let mut demo = command(&["up", "--demo"]);
    demo.env("TMPDIR", &temporary).current_dir(folder.path());
    let mut demo = Process::start("demo", folder.path(), demo);
    eventually(async || {
        demo.assert_alive();
        if demo.log().contains("Weir is up") { Ok(()) } else { Err("it is not up yet") }
    })
    .await;
    let shown = demo.log();
    for report in ["Events: ", "Revenue: ", "Demographics"] {
        assert!(shown.contains(report), "no {report} in {shown}");
    }
    let address =
        shown.split_whitespace().find_map(|word| word.strip_suffix("/metrics")).expect("an address");
    assert!(reqwest::get(format!("{address}/health/ready")).await.unwrap().status().is_success());

    demo.signal("INT").await;

    assert!(demo.ended().await.success(), "{}", demo.log());
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "files are left behind");
}
