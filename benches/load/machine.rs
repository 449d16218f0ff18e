//! The machine and the binary of a measurement.

use std::{fs, path::Path, process::Command, time::SystemTime};

use anyhow::{Context as _, ensure};
use procfs::{CpuInfo, Current as _, Meminfo};
use weir_testkit::{postgres, weir::binary};

use crate::report::say;

/// Says which machine, which servers and which binary. Builds the binary, where it was not given.
///
/// # Errors
/// The binary is not there, or no optimised one.
pub(crate) fn introduce() -> anyhow::Result<()> {
    let processors = CpuInfo::current().context("/proc/cpuinfo can't be read")?;
    let memory = Meminfo::current().context("/proc/meminfo can't be read")?;
    let model = processors.model_name(0).unwrap_or("unknown");
    say(format!("- machine: {} × {model}, {} GiB", processors.num_cores(), memory.mem_total >> 30));
    say(format!("- {}", version("nats-server".as_ref())));
    say(format!("- {}", version(&postgres::program("postgres"))));
    say(format!("- {}", weir()?));
    Ok(())
}

/// A debug build would be measured to no purpose.
fn weir() -> anyhow::Result<String> {
    let path = binary();
    let is_debug = path.components().any(|part| part.as_os_str() == "debug");
    ensure!(
        !is_debug,
        "{} is a debug build: run `cargo bench --profile dist`, or name another in WEIR_BIN",
        path.display()
    );
    let built = fs::metadata(path).with_context(|| format!("no binary {}", path.display()))?.modified()?;
    let age = SystemTime::now().duration_since(built).unwrap_or_default();
    let profile = path.parent().and_then(Path::file_name).unwrap_or_default();
    Ok(format!("weir of the folder {}, built {} min ago", profile.display(), age.as_secs() / 60))
}

fn version(program: &Path) -> String {
    let told = Command::new(program).arg("--version").output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    told.unwrap_or_else(|error| format!("{}: {error}", program.display()))
}
