//! The usage of processors and memory by this process and its descendants.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use procfs::{
    CurrentSI as _, KernelStats,
    process::{Process, Stat, all_processes},
};
use weir_testkit::weir::binary;

/// The processor time of every process so far.
#[derive(Clone, Debug)]
pub(crate) struct CpuTimes {
    at: Instant,
    /// The busy time of all processors, which includes other processes, and other machines on the same processors.
    busy: Duration,
    used: BTreeMap<String, Duration>,
}

/// The name for all other work of the machine. A figure beside much of it is worth little.
const OTHERS: &str = "others";

/// The average number of busy processors, by process.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpuShares(BTreeMap<String, f64>);

impl CpuTimes {
    pub(crate) fn now() -> Self {
        let mut used: BTreeMap<String, Duration> = BTreeMap::new();
        for (name, time) in descendants() {
            *used.entry(name).or_default() += time;
        }
        Self { at: Instant::now(), busy: busy(), used }
    }

    /// The processor time of one process since this sample.
    pub(crate) fn time_of(&self, name: &str) -> Duration {
        let used = Self::now().used.get(name).copied().unwrap_or_default();
        used.saturating_sub(self.used.get(name).copied().unwrap_or_default())
    }

    /// The shares since this sample. The time of a process that has ended counts for its parent.
    pub(crate) fn since(&self) -> CpuShares {
        let now = Self::now();
        let elapsed = (now.at - self.at).as_secs_f64();
        let share = |(name, used): (String, Duration)| {
            let before = self.used.get(&name).copied().unwrap_or_default();
            let share = used.saturating_sub(before).as_secs_f64() / elapsed;
            (name, share)
        };
        let mut shares: BTreeMap<String, f64> = now.used.into_iter().map(share).collect();
        let all = now.busy.saturating_sub(self.busy).as_secs_f64() / elapsed;
        let others = (all - shares.values().sum::<f64>()).max(0.0);
        shares.insert(OTHERS.to_owned(), others);
        CpuShares(shares)
    }
}

impl CpuShares {
    /// The share of one process; 0 if it has none.
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// The sum of the shares of this process and its descendants.
    pub(crate) fn ours(&self) -> f64 {
        self.0.iter().filter(|(name, _)| *name != OTHERS).map(|(_, share)| share).sum()
    }
}

impl fmt::Display for CpuShares {
    /// Writes the busiest process first, and leaves out those below 0.01.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEAST_SHOWN: f64 = 0.01;
        let mut shares: Vec<_> = self.0.iter().filter(|(_, share)| **share >= LEAST_SHOWN).collect();
        shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let shares: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {share:.2}")).collect();
        write!(formatter, "{}", shares.join(", "))
    }
}

/// The time in which processors were not idle, summed over all of them.
fn busy() -> Duration {
    let ticks = KernelStats::current().map_or(0, |stats| {
        let time = stats.total;
        let interrupts = time.irq.unwrap_or_default() + time.softirq.unwrap_or_default();
        time.user + time.nice + time.system + interrupts + time.steal.unwrap_or_default()
    });
    duration(ticks)
}

fn duration(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64)
}

/// The processor time of this process and of its descendants.
fn descendants() -> Vec<(String, Duration)> {
    let own = std::process::id().cast_signed();
    let living: Vec<(Process, Stat)> = all_processes()
        .into_iter()
        .flatten()
        .filter_map(|process| {
            process.ok().and_then(|process| process.stat().ok().map(|stat| (process, stat)))
        })
        .collect();
    let parents: BTreeMap<i32, i32> = living.iter().map(|(_, stat)| (stat.pid, stat.ppid)).collect();
    let is_ours = |pid: i32| {
        std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).any(|ancestor| ancestor == own)
    };
    let ours = living.into_iter().filter(|(_, stat)| is_ours(stat.pid));
    ours.map(|(process, stat)| {
        let ticks = if stat.pid == own {
            // Without the servers that this process has stopped.
            stat.utime + stat.stime
        } else {
            stat.utime + stat.stime + stat.cutime.unsigned_abs() + stat.cstime.unsigned_abs()
        };
        (name(&process, &stat, own), duration(ticks))
    })
    .collect()
}

/// The name of a process: a role by its command, and the server of a step as `step alone`.
fn name(process: &Process, stat: &Stat, own: i32) -> String {
    if stat.pid == own {
        return "client".to_owned();
    }
    let arguments = process.cmdline().unwrap_or_default();
    let is_weir = arguments.first().is_some_and(|program| binary().as_os_str() == program.as_str());
    match arguments.get(1) {
        Some(role) if is_weir => role.clone(),
        Some(serve) if serve == "--serve" => "step alone".to_owned(),
        _ => stat.comm.clone(),
    }
}

/// The bytes of all files below a folder.
///
/// # Errors
/// A folder can't be read.
pub(crate) fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) now: u64,
    /// The peak.
    pub(crate) peak: u64,
}

impl Memory {
    /// The memory of a process.
    ///
    /// # Errors
    /// The process is gone.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let status = Process::new(pid.cast_signed()).and_then(|process| process.status());
        let status = status.with_context(|| format!("process {pid} is gone"))?;
        // The kernel reports them in KiB.
        let bytes = |kibibytes: Option<u64>| kibibytes.unwrap_or_default() << 10;
        Ok(Self { now: bytes(status.vmrss), peak: bytes(status.vmhwm) })
    }
}
