//! Dead letters and erasures carry people's data: beyond this machine they are for whoever presents the operator's token.

use tempfile::TempDir;
use weir_testkit::{eventually, ports, process::Process, weir::command};

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_nothing_is_told_without_a_token() {
    let open_to_all = OpenToAll::start(None);
    open_to_all.expect("WEIR_OPERATOR_TOKEN", Some("guessed")).await;
    open_to_all.expect("start this service with WEIR_OPERATOR_TOKEN", None).await;
    open_to_all.expect_of(&ERASE, "start this service with WEIR_OPERATOR_TOKEN", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_the_token_opens_and_a_wrong_one_does_not() {
    let open_to_all = OpenToAll::start(Some("correct-horse"));
    open_to_all.expect("Dead letters: 0", Some("correct-horse")).await;
    open_to_all.expect_of(&ERASE, "It is durable and will be done", Some("correct-horse")).await;
    for wrong in [None, Some("correct-hors"), Some("correct-horse-")] {
        open_to_all.expect("authorization: Bearer", wrong).await;
        open_to_all.expect_of(&ERASE, "authorization: Bearer", wrong).await;
        open_to_all.expect("Set WEIR_OPERATOR_TOKEN here", wrong).await;
    }
}

/// Where reporting is, nobody tells it: the order alone is asked for.
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

    /// Asks with a token until the answer says `expected`.
    async fn expect(&self, expected: &str, token: Option<&str>) {
        self.expect_of(&["dead-letters", "list"], expected, token).await;
    }

    /// [`OpenToAll::expect`] of any command.
    async fn expect_of(&self, args: &[&str], expected: &str, token: Option<&str>) {
        eventually(async || {
            let mut command = command(args);
            command.env("INGEST_URL", &self.ingest_url);
            command.envs(token.map(|token| ("WEIR_OPERATOR_TOKEN", token)));
            let output = command.output().await.expect("the binary can be started");
            let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            if told.contains(expected) { Ok(()) } else { Err(told) }
        })
        .await;
    }
}
