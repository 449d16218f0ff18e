//! Access to dead letters and erasures. They carry personal data, so callers beyond loopback need the operator's token.

use tempfile::TempDir;
use weir_testkit::{eventually, ports, process::Process, weir::command};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_loopback_answers_nothing_without_a_token() {
    let open_to_all = OpenToAll::start(None);
    open_to_all.expect("WEIR_OPERATOR_TOKEN", Some("guessed")).await;
    open_to_all.expect("start this service with WEIR_OPERATOR_TOKEN", None).await;
    open_to_all.expect_of(&ERASE, "start this service with WEIR_OPERATOR_TOKEN", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_loopback_accepts_the_token_and_refuses_a_wrong_one() {
    let open_to_all = OpenToAll::start(Some("correct-horse"));
    open_to_all.expect("Dead letters: 0", Some("correct-horse")).await;
    open_to_all.expect_of(&ERASE, "It is durable and will be done", Some("correct-horse")).await;
    for wrong in [None, Some("correct-hors"), Some("correct-horse-")] {
        open_to_all.expect("authorization: Bearer", wrong).await;
        open_to_all.expect_of(&ERASE, "authorization: Bearer", wrong).await;
        open_to_all.expect("Set WEIR_OPERATOR_TOKEN here", wrong).await;
    }
}

/// Only requests the erasure: the command has no address of reporting, so it can't wait for the end.
const ERASE: [&str; 5] = ["erase", "facebook", "u-1", "--wait", "0s"];

/// A Weir on files whose ingest listens on every address.
struct OpenToAll {
    _process: Process,
    ingest_url: String,
    _folder: TempDir,
}

impl OpenToAll {
    fn start(token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = ports::free();
        let mut command = command(&["up"]);
        command
            .env("WEIR_DATA_DIR", folder.path().join("data"))
            .env("INGEST_LISTEN", format!("0.0.0.0:{port}"));
        for listen in ["EDGE_LISTEN", "REPORTING_LISTEN", "ADMIN_LISTEN"] {
            command.env(listen, "127.0.0.1:0");
        }
        command.envs(token.map(|token| ("WEIR_OPERATOR_TOKEN", token)));
        let process = Process::start("up", folder.path(), command);
        Self { _process: process, ingest_url: format!("http://127.0.0.1:{port}"), _folder: folder }
    }

    /// Runs `dead-letters list` with a token until its output contains `expected`.
    async fn expect(&self, expected: &str, token: Option<&str>) {
        self.expect_of(&["dead-letters", "list"], expected, token).await;
    }

    /// [`OpenToAll::expect`] for any command.
    async fn expect_of(&self, args: &[&str], expected: &str, token: Option<&str>) {
        eventually(async || {
            let mut command = command(args);
            command.env("INGEST_URL", &self.ingest_url);
            command.envs(token.map(|token| ("WEIR_OPERATOR_TOKEN", token)));
            let output = command.output().await.expect("the binary can be started");
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            if text.contains(expected) { Ok(()) } else { Err(text) }
        })
        .await;
    }
}
