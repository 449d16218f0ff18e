//! The tools as people and scripts use them: what they refuse, and in which words.

use reqwest::StatusCode;

use crate::harness::Weir;

/// Each reads like a time and is none.
const NO_TIMES: [&str; 9] = [
    "2025-9-1",
    "2025-03-30 00:00:00Z",
    "2025-03-30T00:00:00\u{2212}02:00",
    "2025-03-30\r",
    "2025-03-30T00:00:00Z\r",
    " 2025-03-30",
    "2025-06-30T23:59:60Z",
    "2025-03-30T00:00:00",
    "",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_refused_in_the_same_words_over_http_and_on_the_command_line() {
    let weir = Weir::on_files().await;
    for text in NO_TIMES {
        is_refused_alike(&weir, "events", &[("from", text)]).await;
    }
    is_refused_alike(&weir, "events", &[("from", "2025-09-15"), ("to", "2025-09-14T23:59:59Z")]).await;
    for limit in ["0", "1001", "+5", "ten", " 5"] {
        is_refused_alike(&weir, "revenue", &[("limit", limit)]).await;
        is_refused_alike(&weir, "demographics", &[("limit", limit)]).await;
    }
    for tool in [&["dead-letters", "list"][..], &["reconcile"]] {
        let (status, told) = weir.run(&[tool, &["--from=2025-9-1", "--to=2025-03-30\r"]].concat(), &[]).await;
        let both = ["--from: must be RFC 3339", "--to: must be RFC 3339"];
        assert!(status.code() == Some(64) && both.iter().all(|end| told.contains(end)), "{tool:?}: {told}");
        let (status, told) = weir.run(&[tool, &["--from=2025-09-15", "--to=2025-09-14"]].concat(), &[]).await;
        assert_eq!(status.code(), Some(64), "{tool:?}: {told}");
        assert!(told.contains("--from: must not be after to"), "{tool:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_only_the_server_can_refuse_ends_with_the_code_of_a_mistake() {
    let weir = Weir::on_files().await;
    for question in [
        &["report", "revenue", "--campaign-id", ""][..],
        &["report", "revenue", "--campaign-id", "a\u{7}"],
        &["dead-letters", "list", "--each", "--cursor", "nonsense"],
    ] {
        let (status, told) = weir.run(question, &[]).await;
        assert_eq!(status.code(), Some(64), "{question:?}: {told}");
    }
}

/// Asks for a report over HTTP and by the tool: the same parameter is at fault, in the same words.
async fn is_refused_alike(weir: &Weir, report: &str, parameters: &[(&str, &str)]) {
    let query: Vec<_> = parameters.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let answer = weir.report(report, &query).await;
    answer.expect_problem(StatusCode::BAD_REQUEST);
    let violation = &answer.body["violations"][0];
    let [parameter, message] = ["parameter", "message"].map(|member| violation[member].as_str().unwrap());
    let options: Vec<_> = parameters.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    let args = ["report", report].into_iter().chain(options.iter().map(String::as_str));
    let (status, told) = weir.run(&args.collect::<Vec<_>>(), &[]).await;
    assert_eq!(status.code(), Some(64), "{parameters:?}: {told}");
    assert!(told.contains(&format!("--{parameter}: {message}")), "{parameters:?}: {told} is not {message}");
}
