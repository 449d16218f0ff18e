//! The binary that the stories drive.

use std::{
    path::PathBuf,
    process::{Command as Blocking, Stdio},
    sync::OnceLock,
};

use tokio::process::Command;

use crate::repository::root;

/// The binary: WEIR_BIN, or built here once, so that a story never drives a stale one.
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no arguments; tests/run tells it through the environment"
)]
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("WEIR_BIN").map_or_else(build, PathBuf::from))
}

/// `weir` with arguments and an empty environment, whatever the machine's says.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().args(args).env("LOG_FORMAT", "json").env("LOG_LEVEL", "info");
    command
}

/// In the profile of this process.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its file");
    // target/debug/deps/it-… stands beside target/debug/weir.
    let folder = test.ancestors().nth(2).expect("cargo puts tests into target/<profile>/deps");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let built = Blocking::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--bin", "weir", "--profile", profile])
        .current_dir(root())
        // cargo sets it for a test. The build of a dependency depends on it, and so would everything above that one.
        .env_remove("CARGO_MANIFEST_DIR")
        .stdin(Stdio::null())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the binary can't be built");
    folder.join("weir")
}
