//! In which state a device is, found by looking, without measuring anything.
use std::time::Duration;

use crate::agent::Conditions;
use crate::agent::Facts;
use crate::device::DeviceError;
use crate::device::Health;
use crate::device::Look;
use crate::device::State;
use crate::device::Transport;
use crate::units::Bytes;

use super::bench::greet;
use super::care::ensure_usable;
use super::error::MeasureError;
use super::error::NO_MODEL;
use super::gates::Gated;
use super::gates::Gates;
use super::hold::Hold;

/// Least room for a model and what comes with it: less, and a transfer is sure to fail sooner or
/// later.
const LEAST_ROOM: Bytes = Bytes(20_000_000);

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// What it says without a runner; `None` if it is away.
    pub look: Option<Look>,
    /// What the runner says of it; `None` if it is away or has no runner yet.
    pub said: Option<(Facts, Conditions)>,
    /// What is known of its health, as far as it is kept.
    pub health: Health,
    /// What keeps it from being measured; `None` if nothing does.
    pub problem: Option<MeasureError>,
}

impl Survey {
    /// In which state it is.
    pub fn state(&self) -> State {
        self.problem.as_ref().map_or(State::Ready, MeasureError::state)
    }
}

/// Looks at a device. Brings nothing there, so of one without a runner less is known.
pub fn survey(transport: &dyn Transport, gates: &Gates) -> Survey {
    let health = transport.ledger().map(|ledger| ledger.health()).unwrap_or_default();
    let mut survey = Survey { look: None, said: None, health, problem: None };
    let found = look(transport, gates, &mut survey);
    // What is more lasting comes first.
    survey.problem = ensure_usable(transport).and(found).err();
    survey
}

fn look(transport: &dyn Transport, gates: &Gates, survey: &mut Survey) -> Result<(), MeasureError> {
    let look = transport.look().map_err(on_device)?;
    let Look { free, has_runner, .. } = survey.look.insert(look).clone();
    if has_runner {
        let hello = greet(transport)?;
        survey.said = Some((hello.facts, hello.conditions));
    }
    if let Some(free) = free.filter(|free| *free < LEAST_ROOM) {
        let device = transport.address();
        return Err(MeasureError::NoSpace { device, free, least: LEAST_ROOM });
    }
    if let Some((_, conditions)) = &survey.said {
        Hold::take_at_once(transport, Duration::ZERO).map_err(on_device)?;
        gates.pass(&transport.address(), conditions, &mut Gated::default())?;
    }
    Ok(())
}

fn on_device(source: DeviceError) -> MeasureError {
    MeasureError::Device { model: NO_MODEL.to_owned(), source }
}
