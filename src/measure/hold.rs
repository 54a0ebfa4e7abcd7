//! The device for one measurement alone.
use std::time::Duration;

use crate::agent::Answer;
use crate::agent::HoldRequest;
use crate::agent::Refusal;
use crate::agent::Task;
use crate::device::DeviceError;
use crate::device::Runner;
use crate::device::Transport;

/// How long to wait for others who measure.
const WAIT: Duration = Duration::from_secs(60);

/// After how long beyond the longest launch a device is free again whose holder has gone to sleep.
const LEASE: Duration = Duration::from_secs(60);

/// How long the agent may take for an answer beyond the waiting.
const ANSWER: Duration = Duration::from_secs(20);

/// Holds the lock of a device: a runner there that does nothing else. Dropped, it lets go.
pub struct Hold {
    runner: Option<Runner>,
    folder: String,
    lease: Duration,
}

impl Hold {
    /// Waits for the device, for a minute at most; no launch takes longer than `longest`.
    ///
    /// An agent from before there were locks is measured with all the same.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Busy`] with who has it, and every error of a launch.
    pub fn take(transport: &dyn Transport, longest: Duration) -> Result<Self, DeviceError> {
        Hold::take_within(transport, longest, WAIT)
    }

    /// As [`take`](Self::take), without waiting.
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take).
    pub(super) fn take_at_once(
        transport: &dyn Transport,
        longest: Duration,
    ) -> Result<Self, DeviceError> {
        Hold::take_within(transport, longest, Duration::ZERO)
    }

    fn take_within(
        transport: &dyn Transport,
        longest: Duration,
        wait: Duration,
    ) -> Result<Self, DeviceError> {
        // A launch that crashes is made once more before the lock is renewed.
        let lease = 2 * longest + LEASE;
        let Some(folder) = transport.lock_folder() else {
            return Ok(Hold { runner: None, folder: String::new(), lease });
        };
        let mut hold = Hold { runner: Some(Runner::launch(transport)?), folder, lease };
        hold.ask(wait)?;
        Ok(hold)
    }

    /// Keeps it for longer; to be called between launches.
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take), if it was lost meanwhile.
    pub fn renew(&mut self) -> Result<(), DeviceError> {
        self.ask(WAIT)
    }

    /// Is there a lock? Not with an agent from before there were any.
    pub fn is_real(&self) -> bool {
        self.runner.is_some()
    }

    fn ask(&mut self, wait: Duration) -> Result<(), DeviceError> {
        let Some(runner) = &mut self.runner else { return Ok(()) };
        let request = HoldRequest {
            folder: self.folder.clone(),
            owner: owner(),
            wait_us: wait.as_secs_f64() * 1e6,
            lease_us: self.lease.as_secs_f64() * 1e6,
        };
        match runner.ask(Task::Hold(request), wait + ANSWER) {
            Ok(Answer::Held) => Ok(()),
            Ok(Answer::Busy { owner }) => {
                Err(DeviceError::Busy { address: runner.address().to_owned(), owner })
            }
            Ok(_) => {
                let reason = "it answers something else to `hold`".to_owned();
                Err(DeviceError::Garbage { address: runner.address().to_owned(), reason })
            }
            Err(DeviceError::Refused { kind: Refusal::Request, reason }) if is_older(&reason) => {
                self.runner = None;
                Ok(())
            }
            Err(other) => Err(other),
        }
    }
}

/// Does an agent speak that knows no version of the protocol with locks?
fn is_older(reason: &str) -> bool {
    reason.starts_with("protocol 2 is not") || reason.contains("unknown variant")
}

/// For those who find the device taken.
fn owner() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "another computer".to_owned());
    format!("{user} on {host}, process {}", std::process::id())
}
