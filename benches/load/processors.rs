//! Who uses the processors: this process and everything that it started.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use procfs::process::{Process, Stat, all_processes};

use crate::harness::weir::binary;

/// What every process has used so far.
#[derive(Clone, Debug)]
pub(crate) struct Processors {
    at: Instant,
    used: BTreeMap<String, Duration>,
}

/// Processors that were busy on average, by who kept them so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share(BTreeMap<String, f64>);

impl Processors {
    pub(crate) fn now() -> Self {
        let mut used: BTreeMap<String, Duration> = BTreeMap::new();
        for (name, time) in family() {
            *used.entry(name).or_default() += time;
        }
        Self { at: Instant::now(), used }
    }

    /// Since then. What ended meanwhile counts for whoever waited for it.
    pub(crate) fn since(&self) -> Share {
        let now = Self::now();
        let elapsed = (now.at - self.at).as_secs_f64();
        let busy = |(name, used): (String, Duration)| {
            let before = self.used.get(&name).copied().unwrap_or_default();
            let share = used.saturating_sub(before).as_secs_f64() / elapsed;
            (name, share)
        };
        Share(now.used.into_iter().map(busy).collect())
    }
}

impl Share {
    pub(crate) fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Share {
    /// The busiest first; who did next to nothing is left out.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NEXT_TO_NOTHING: f64 = 0.01;
        let mut shares: Vec<_> = self.0.iter().filter(|(_, share)| **share >= NEXT_TO_NOTHING).collect();
        shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let shares: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {share:.2}")).collect();
        write!(formatter, "{}", shares.join(", "))
    }
}

/// The time of this process and of its descendants.
fn family() -> Vec<(String, Duration)> {
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
            // Not of servers that it has stopped since.
            stat.utime + stat.stime
        } else {
            stat.utime + stat.stime + stat.cutime.unsigned_abs() + stat.cstime.unsigned_abs()
        };
        let seconds = ticks as f64 / procfs::ticks_per_second() as f64;
        (name(&process, &stat, own), Duration::from_secs_f64(seconds))
    })
    .collect()
}

/// A role by its command, a step alone by what it serves.
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
