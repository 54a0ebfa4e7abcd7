//! Which threads of this process work.
use std::collections::BTreeMap;
use std::fs;

/// Share of the busiest thread's time from which on another one counts: less is what a thread takes
/// that only waits.
const LEAST_SHARE: u64 = 100;

/// Processor time of each thread so far, ns; empty where the kernel does not say (it is Linux that
/// does, `proc_pid_schedstat`).
#[derive(Debug, Default)]
pub struct Tasks(BTreeMap<u32, u64>);

impl Tasks {
    /// Reads them; costs some hundredths of a millisecond.
    pub fn read() -> Self {
        let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let task = |entry: fs::DirEntry| {
            let stat = fs::read_to_string(entry.path().join("schedstat")).ok()?;
            let ns = stat.split(' ').next()?.parse().ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, ns))
        };
        Tasks(entries.filter_map(task).collect())
    }

    /// How many threads worked since `before`: all that took a hundredth of the busiest one's time.
    /// One that `waits` while the others work, the calling one, counts only where no other does.
    /// `None` where the kernel does not say.
    pub fn busy_since(&self, before: &Tasks, waits: Option<u32>) -> Option<usize> {
        let spent = |(task, ns): (&u32, &u64)| {
            (*task, ns.saturating_sub(before.0.get(task).copied().unwrap_or(0)))
        };
        let spent: Vec<(u32, u64)> = self.0.iter().map(spent).collect();
        let most = spent.iter().map(|(_, ns)| *ns).max().filter(|ns| *ns > 0)?;
        let busy = spent.iter().filter(|(_, ns)| ns.saturating_mul(LEAST_SHARE) >= most);
        Some(busy.filter(|(task, _)| Some(*task) != waits).count().max(1))
    }
}

/// The calling thread; `None` where the kernel does not say.
pub fn own() -> Option<u32> {
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::black_box;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn work() {
        black_box((0..20_000_000_u64).fold(0, |sum: u64, i| black_box(sum ^ i)));
    }

    #[test]
    fn threads_that_work_are_counted() {
        let done = Barrier::new(4);
        let before = Tasks::read();
        // Other tests of this process may work at the same time, but not less than these.
        let busy = thread::scope(|scope| {
            for works in [true, true, false] {
                let done = &done;
                scope.spawn(move || {
                    if works {
                        work();
                    }
                    done.wait();
                    done.wait();
                });
            }
            done.wait();
            let tasks = Tasks::read();
            done.wait();
            tasks.busy_since(&before, own()).unwrap()
        });
        assert!(busy >= 2, "{busy}");
    }

    #[test]
    fn a_thread_counts_by_its_share_and_the_one_that_waits_only_if_no_other_works() {
        let at = |times: &[(u32, u64)]| Tasks(times.iter().copied().collect());
        let before = at(&[(1, 500), (2, 900)]);
        let busy = |times: &[(u32, u64)], waits| at(times).busy_since(&before, waits);
        assert_eq!(busy(&[(1, 1500), (2, 905)], None), Some(1));
        assert_eq!(busy(&[(1, 1500), (2, 910)], None), Some(2));
        assert_eq!(busy(&[(1, 1500), (2, 910)], Some(1)), Some(1));
        assert_eq!(busy(&[(1, 1500), (2, 900), (3, 800), (4, 700)], Some(1)), Some(2));
        assert_eq!(busy(&[(1, 1500), (2, 900)], Some(1)), Some(1));
        assert_eq!([busy(&[], None), busy(&[(1, 500), (2, 900)], None)], [None; 2]);
    }
}
