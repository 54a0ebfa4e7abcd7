//! Launches: what is asked of a fresh runner, and how far its answers are believed.
use std::time::Duration;

use crate::agent::Answer;
use crate::agent::HeatLimit;
use crate::agent::Hello;
use crate::agent::MemoryRequest;
use crate::agent::MemoryUse;
use crate::agent::RuntimeFacts;
use crate::agent::Task;
use crate::agent::TimeRequest;
use crate::agent::since_boot;
use crate::device::DeviceError;
use crate::device::Runner;
use crate::device::Transport;
use crate::measure::plausible;

use super::Bench;
use super::Launch;
use super::MeasureError;
use super::NO_MODEL;
use super::Plan;

/// How long the agent may take to say who it is, looking for runtimes included.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);

impl Bench {
    /// One launch that takes samples of `model`, which is `placed` on the device.
    pub(super) fn time(
        &self,
        model: &str,
        placed: &str,
        plan: &Plan,
        heat_limit: Option<HeatLimit>,
    ) -> Result<Launch, MeasureError> {
        let request = TimeRequest {
            model: placed.to_owned(),
            runtime: self.runtime.name.clone(),
            library: self.runtime.library.clone(),
            threads: self.threads,
            warmup: plan.warmup,
            sampling: plan.sampling,
            heat_limit,
        };
        // The device goes on while this computer sleeps.
        let start = since_boot();
        let answer = self.ask(Task::Time(request), plan.timeout, model)?;
        let wall_us = (since_boot() - start).as_secs_f64() * 1e6;
        match answer {
            Answer::Timed(timed) => {
                let wall = self.computes().then_some(wall_us);
                let possible = plausible::ensure_possible(&timed, wall);
                let as_asked = || plausible::ensure_as_asked(&timed, plan, self.promised_version());
                self.believe(model, possible.and_then(|()| as_asked()))?;
                Ok(Launch { wall_us, timed: *timed })
            }
            other => Err(unexpected(&*self.transport, model, &other)),
        }
    }

    /// One launch that looks at memory of a model, which has another name on the device; that of
    /// the runtime itself if there is none.
    pub(super) fn weigh(
        &self,
        model: Option<(&str, &str)>,
        plan: &Plan,
    ) -> Result<MemoryUse, MeasureError> {
        let request = MemoryRequest {
            model: model.map(|(_, placed)| placed.to_owned()),
            runtime: self.runtime.name.clone(),
            library: self.runtime.library.clone(),
            threads: self.threads,
            runs: plan.memory_runs,
        };
        let name = model.map_or(NO_MODEL, |(name, _)| name);
        match self.ask(Task::Memory(request), plan.timeout, name)? {
            Answer::Memory(memory) => {
                self.believe(name, plausible::ensure_possible_memory(&memory))?;
                Ok(memory)
            }
            other => Err(unexpected(&*self.transport, name, &other)),
        }
    }

    /// The version of the runtime that the agent lists; `None` for one that it does not.
    fn promised_version(&self) -> Option<&str> {
        let name = self.runtime.name.split(':').next();
        let listed = self.hello.runtimes.iter().find(|listed| Some(&*listed.name) == name)?;
        listed.version.as_deref()
    }

    pub(super) fn believe(
        &self,
        model: &str,
        possible: Result<(), String>,
    ) -> Result<(), MeasureError> {
        possible.map_err(|reason| {
            let address = self.transport.address();
            self.failed(model, DeviceError::Garbage { address, reason })
        })
    }

    pub(super) fn ask(
        &self,
        task: Task,
        timeout: Duration,
        model: &str,
    ) -> Result<Answer, MeasureError> {
        let answer = Runner::launch(&*self.transport).and_then(|mut r| r.ask(task, timeout));
        answer.map_err(|source| self.failed(model, source))
    }
}

pub(in crate::measure) fn greet(transport: &dyn Transport) -> Result<Hello, MeasureError> {
    let answer = Runner::launch(transport).and_then(|mut r| r.ask(Task::Hello, HELLO_TIMEOUT));
    let name = NO_MODEL;
    match answer.map_err(|source| MeasureError::Device { model: name.to_owned(), source })? {
        Answer::Hello(hello) => match plausible::ensure_possible_hello(&hello) {
            Ok(()) => Ok(*hello),
            Err(reason) => {
                let source = DeviceError::Garbage { address: transport.address(), reason };
                Err(MeasureError::Device { model: name.to_owned(), source })
            }
        },
        other => Err(unexpected(transport, name, &other)),
    }
}

/// The runtime of that name, `RUNTIME` or `RUNTIME:PROVIDER`, if it is ready. One that the agent does
/// not list, but knows, is taken at its word.
pub(super) fn choose(
    hello: &Hello,
    device: &str,
    name: &str,
) -> Result<RuntimeFacts, MeasureError> {
    let no_runtime = |reason| MeasureError::NoRuntime {
        runtime: name.to_owned(),
        device: device.to_owned(),
        reason,
    };
    let (base, provider) = name.split_once(':').unwrap_or((name, ""));
    let Some(listed) = hello.runtimes.iter().find(|r| r.name == base) else {
        return Ok(RuntimeFacts {
            name: name.to_owned(),
            version: Some(hello.version.clone()),
            library: None,
            providers: Vec::new(),
            missing: None,
        });
    };
    if let Some(reason) = &listed.missing {
        return Err(no_runtime(reason.clone()));
    }
    if !provider.is_empty() && !listed.providers.iter().any(|p| p == provider) {
        return Err(no_runtime(match listed.providers.as_slice() {
            [] => "it has no execution providers".to_owned(),
            known => {
                format!("it has no execution provider `{provider}`, only: {}", known.join(", "))
            }
        }));
    }
    Ok(RuntimeFacts { name: name.to_owned(), ..listed.clone() })
}

pub(super) fn unexpected(transport: &dyn Transport, model: &str, answer: &Answer) -> MeasureError {
    let kind = match answer {
        Answer::Hello(_) => "hello",
        Answer::Timed(_) => "samples",
        Answer::Memory(_) => "memory",
        Answer::Outputs(_) => "outputs",
        Answer::PerOp(_) => "times of operations",
        Answer::Held | Answer::Busy { .. } => "a lock",
        Answer::Refused { .. } => "a refusal",
    };
    let reason = format!("it answers with {kind}, which was not asked for");
    let source = DeviceError::Garbage { address: transport.address(), reason };
    MeasureError::Device { model: model.to_owned(), source }
}
