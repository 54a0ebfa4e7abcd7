//! Writing and reading what must survive.
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::graph::Network;
use crate::store::CandidateId;
use crate::store::Record;
use crate::store::StoreError;

use super::Engine;
use super::EngineError;
use super::Event;
use super::RETRY;
use super::State;
use super::weights;

impl Engine {
    /// Makes records durable, then known. A store that cannot be written is tried again until it
    /// can, or until the run is interrupted.
    pub(super) fn commit(
        &mut self,
        records: &[Record],
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<(), EngineError> {
        if records.is_empty() {
            return Ok(());
        }
        self.patiently(watch, |engine| engine.store.commit(&engine.run.id, records))?;
        records.iter().for_each(|record| self.state.apply(record));
        Ok(())
    }

    pub(super) fn put_blob(
        &mut self,
        bytes: &[u8],
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<String, EngineError> {
        self.patiently(watch, |engine| engine.store.put_blob(bytes))
    }

    /// The trained network of a candidate, from memory or from its blob.
    pub(super) fn network(&mut self, id: CandidateId) -> Result<Arc<Network>, EngineError> {
        if let Some(network) = self.networks.get(&id) {
            return Ok(network.clone());
        }
        let candidate = &self.state.candidates()[&id];
        let graph = &candidate.accepted.graph;
        let hash = candidate.trained.as_ref().and_then(|t| t.weights.as_ref());
        let network = match hash {
            Some(hash) => {
                let bytes = self.store.blob(hash)?;
                weights::from_bytes(graph, &bytes)
                    .map_err(|source| EngineError::Weights { candidate: id, source })?
            }
            None => self.material.scratch(graph, &mut self.stream(id)),
        };
        let network = Arc::new(network);
        self.networks.insert(id, network.clone());
        Ok(network)
    }

    pub(super) fn patiently<T>(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
        mut write: impl FnMut(&mut Engine) -> Result<T, StoreError>,
    ) -> Result<T, EngineError> {
        loop {
            let error = match write(self) {
                Ok(value) => return Ok(value),
                Err(error) if error.is_full() && self.is_interrupted() => {
                    return Err(EngineError::InterruptedWhilePaused);
                }
                Err(error) if error.is_full() => error,
                Err(error) => return Err(error.into()),
            };
            watch(&Event::Paused(error.to_string()), &self.state);
            let until = Instant::now() + RETRY;
            while Instant::now() < until && !self.is_interrupted() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}
