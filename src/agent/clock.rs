//! A clock that nobody sets, and that goes on while the machine sleeps.
use std::time::Duration;

/// Time since the machine was started, its sleep included; the same for all its processes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn since_boot() -> Duration {
    use nix::time::ClockId;
    let now = ClockId::CLOCK_BOOTTIME.now();
    Duration::from(now.expect("every Linux since 2.6.39 has this clock"))
}

/// Time since it was first asked for, where no clock of the system is like that.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn since_boot() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed()
}
