//! **citronade** finds neural networks for *your* phone or board.
//!
//! It grows networks by morphisms (a child inherits its parent's weights), trains only those
//! worth training, exports each as ONNX, measures it on the device that will run it, and keeps
//! the Pareto front of error, latency, memory and size.
//!
//! The modules below are *rooms*, grouped by an empty line into *floors*. A room uses only rooms
//! on floors above it in this list, never one on its own floor; a test keeps it so.
//! `ARCHITECTURE.md` is the map.

// Quantiles, bootstrap intervals, densities and rank correlation; pure, each with its source.
pub mod stats;
// Quantities with their unit: microseconds, bytes, multiply-accumulates, fractions.
pub mod units;

// What a network is: graph, weights, shapes, cost, invariants, reference evaluation.
#[cfg(feature = "host")]
pub mod graph;
// Objectives, dominance (also under noise), archive, hypervolume, knee.
#[cfg(feature = "host")]
pub mod pareto;

// Data sets: bundled digits, IDX, image folder, npz; splits, batches, augmentation.
#[cfg(feature = "host")]
pub mod data;
// Latency of what is not measured yet, with its error bar.
#[cfg(feature = "host")]
pub mod latency;
// What may be done to a network: exact and approximate morphisms.
#[cfg(feature = "host")]
pub mod morphism;
// How a network leaves and enters: ONNX export and hardened reading.
#[cfg(feature = "host")]
pub mod onnx;

// The half on the device: wire protocol, serve loop, tract and ONNX Runtime.
pub mod agent;
// Where architectures come from: the open morphism space and its seeds.
#[cfg(feature = "host")]
pub mod space;
// How good a network is: training, evaluation, activations.
#[cfg(feature = "host")]
pub mod train;

// How to reach a device: profiles, transports, facts.
#[cfg(feature = "host")]
pub mod device;
// Which candidate next: ask/tell strategies.
#[cfg(feature = "host")]
pub mod search;

// What a model costs on a device: launches, samples, verdict.
#[cfg(feature = "host")]
pub mod measure;
// Recorded benchmarks: strategies are scored without training or measuring.
#[cfg(feature = "host")]
pub mod tabular;

// What is known of a run, durably: SQLite and blobs.
#[cfg(feature = "host")]
pub mod store;

// What happens when: the loop, lanes, budgets, events, resume, configuration.
#[cfg(feature = "host")]
pub mod engine;

// The front as table, CSV, JSON, SVG, PNG, terminal plot and one-file HTML.
#[cfg(feature = "host")]
pub mod report;

// The face for people; the only room that prints.
#[cfg(feature = "host")]
pub mod cli;
