//! Who else had the CPU during a measurement: the host (steal) and other processes (waiting).

use std::fs;

/// Readings at the begin of a measurement.
pub struct Noise {
    cpu: usize,
    ticks: (u64, u64),
    threads: Vec<(String, u64, u64)>,
}

/// Shares of the time, in percent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// The host ran somebody else.
    pub steal_pct: f64,
    /// An lcore could have run, and another thread of this machine did; of the lcore that waited most.
    pub wait_pct: f64,
}

impl Noise {
    /// Begins.
    pub fn begin(cpu: usize) -> Self {
        Self {
            cpu,
            ticks: ticks(cpu),
            threads: threads(),
        }
    }

    /// What was taken since.
    pub fn end(&self) -> Taken {
        let (all, stolen) = ticks(self.cpu);
        let all = all.saturating_sub(self.ticks.0).max(1) as f64;
        let stolen = stolen.saturating_sub(self.ticks.1) as f64;
        let moved = |(id, ran, waited): (String, u64, u64)| {
            let before = self.threads.iter().find(|thread| thread.0 == id)?;
            Some((ran - before.1, waited - before.2))
        };
        let lcores = threads().into_iter().filter_map(moved);
        let held_up = lcores.max_by(|a, b| {
            (u128::from(a.1) * u128::from(b.0.max(1)))
                .cmp(&(u128::from(b.1) * u128::from(a.0.max(1))))
        });
        let (ran, waited) = held_up.unwrap_or((1, 0));
        Taken {
            steal_pct: 100.0 * stolen / all,
            wait_pct: 100.0 * waited as f64 / (ran + waited).max(1) as f64,
        }
    }
}

/// Ticks of a CPU: all, and those that the host took.
fn ticks(cpu: usize) -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{cpu} ");
    let line = stat.lines().find(|line| line.starts_with(&name));
    let fields: Vec<u64> = line
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let all = fields.iter().take(8).sum();
    (all, fields.get(7).copied().unwrap_or(0))
}

/// Of each lcore of this process: nanoseconds it ran, and waited in a run queue.
fn threads() -> Vec<(String, u64, u64)> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    let read = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        if !name.starts_with("lcore") {
            return None;
        }
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        let mut words = text.split_whitespace();
        let ran = words.next()?.parse().ok()?;
        let waited = words.next()?.parse().ok()?;
        Some((
            entry.file_name().to_string_lossy().into_owned(),
            ran,
            waited,
        ))
    };
    tasks.flatten().filter_map(read).collect()
}
