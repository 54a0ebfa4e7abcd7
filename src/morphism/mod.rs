//! What may be done to a network: the catalogue of morphisms.
//!
//! A morphism has two steps. [`Morphism::apply`] changes the structure alone, so that 64 children
//! cost nothing; [`Morphism::initialise`] makes the weights, only for children that were
//! accepted. Neither reads a data set, a device or a clock; what is needed of the data is handed
//! in as [`Activations`].

use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::Serialize;

use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;

/// How closely a child computes what its parent computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exactness {
    /// Equal in evaluation mode, up to 1e-4 of the largest output.
    Exact,
    /// Near; to be recalibrated and distilled from the parent.
    Approximate,
}

/// A function-preserving, or nearly preserving, edit of a network.
pub trait Morphism: Sync {
    /// Name in lineage, logs and the store, e.g. `deepen`.
    fn name(&self) -> &'static str;

    /// How closely children follow their parents.
    fn exactness(&self) -> Exactness;

    /// One sentence for `citronade morphisms`.
    fn summary(&self) -> &'static str;

    /// Nodes where [`apply`](Self::apply) will succeed.
    fn sites(&self, graph: &Graph) -> Vec<NodeId>;

    /// The child's structure. Free choices (width, kernel, other end of a skip) are drawn from
    /// `rng` and recorded in the step.
    ///
    /// # Errors
    ///
    /// [`MorphismError::NotApplicable`] for every node that is not in [`sites`](Self::sites).
    fn apply(
        &self,
        graph: &Graph,
        site: NodeId,
        rng: &mut ChaCha8Rng,
    ) -> Result<Applied, MorphismError>;

    /// Nodes of the parent whose activations [`initialise`](Self::initialise) wants.
    fn observes(&self, parent: &Graph, applied: &Applied) -> Vec<NodeId>;

    /// The child's weights, from the parent's.
    ///
    /// # Errors
    ///
    /// [`MorphismError::MissingActivations`] if a node of [`observes`](Self::observes) is missing.
    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        activations: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError>;
}

/// A changed structure and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The child's structure.
    pub graph: Graph,
    /// What was done.
    pub step: Step,
}

/// One link of a lineage: enough to make the weights, and to tell a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// [`Morphism::name`].
    pub morphism: String,
    /// Where.
    pub site: NodeId,
    /// What was chosen there, in words, e.g. `16 → 24 channels`.
    pub choice: String,
}

/// Why a morphism did not happen.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MorphismError {
    /// The site does not fit.
    #[error("`{morphism}` does not apply to {site}: {reason}")]
    NotApplicable {
        /// Which morphism.
        morphism: &'static str,
        /// Where.
        site: NodeId,
        /// In words.
        reason: &'static str,
    },
    /// [`Morphism::initialise`] was not given what it asked for.
    #[error("`{morphism}` needs the activations of {node}")]
    MissingActivations {
        /// Which morphism.
        morphism: &'static str,
        /// Whose activations.
        node: NodeId,
    },
    /// No morphism of that name.
    #[error("there is no morphism `{0}`")]
    Unknown(String),
}
