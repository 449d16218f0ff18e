//! The machine, the servers and the binary of a measurement.

use std::{fs, path::Path, process::Command, time::SystemTime};

use anyhow::{Context as _, ensure};
use procfs::{CpuInfo, Current as _, Meminfo};
use weir_testkit::{postgres, weir::binary};

use crate::report::print_line;

/// Prints the machine, the servers and the binary. Builds the binary unless WEIR_BIN names one.
///
/// # Errors
/// The binary does not exist or is a debug build.
pub(crate) fn print() -> anyhow::Result<()> {
    let processors = CpuInfo::current().context("/proc/cpuinfo can't be read")?;
    let memory = Meminfo::current().context("/proc/meminfo can't be read")?;
    let model = processors.model_name(0).unwrap_or("unknown");
    print_line(format!("- machine: {} × {model}, {} GiB", processors.num_cores(), memory.mem_total >> 30));
    print_line(format!("- {}", version("nats-server".as_ref())));
    print_line(format!("- {}", version(&postgres::program("postgres"))));
    print_line(format!("- {}", weir()?));
    Ok(())
}

/// The folder and the age of the binary. Figures of a debug build would be useless, so it is refused.
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
    let output = Command::new(program).arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.unwrap_or_else(|error| format!("{}: {error}", program.display()))
}
