//! The programs that stories run: the binary `weir` and the examples.

use std::{
    path::PathBuf,
    process::{Command as Blocking, Stdio},
    sync::OnceLock,
};

use tokio::process::Command;

use crate::repository::root;

/// The path of the binary: WEIR_BIN, or a build that is made once per test process, so that no story runs a stale one.
#[expect(clippy::disallowed_methods, reason = "a test has no arguments; tests/run sets the variable")]
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let built = || build(&["--bin", "weir"]).join("weir");
    BINARY.get_or_init(|| std::env::var_os("WEIR_BIN").map_or_else(built, PathBuf::from))
}

/// `weir` with arguments and an environment without the variables of the machine.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().args(args).env("LOG_FORMAT", "json").env("LOG_LEVEL", "info");
    command
}

/// Runs a program of `examples/`, which is built once per test process, and returns its standard output.
pub async fn example(name: &str, args: &[&str]) -> String {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| build(&["--examples"]).join("examples"));
    let output = Command::new(folder.join(name)).env_clear().args(args).output().await;
    let output = output.expect("an example starts");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("an example prints text")
}

/// Builds in the profile of this process, and returns the folder of that profile.
fn build(targets: &[&str]) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its file");
    // The test is target/<profile>/deps/it-…, and the binary is target/<profile>/weir.
    let folder = test.ancestors().nth(2).expect("cargo puts tests into target/<profile>/deps");
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let built = Blocking::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args(targets)
        .current_dir(root())
        // cargo sets it for a test. A dependency's build depends on it, so that crate and all above it would be built
        // again.
        .env_remove("CARGO_MANIFEST_DIR")
        .stdin(Stdio::null())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "{targets:?} can't be built");
    folder.to_owned()
}
