//! What may be done to a network: the catalogue of morphisms.
//!
//! A morphism has two steps. [`Morphism::apply`] changes the structure alone, so that 64 children
//! cost nothing; [`Morphism::initialise`] makes the weights, only for children that were
//! accepted. Neither reads a data set, a device or a clock; what is needed of the data is handed
//! in as [`Activations`].
//!
//! The free choices at a site (width, kernel, other end of a skip) are enumerated by
//! [`Morphism::choices`] and recorded in the [`Step`], so a step can be [replayed](replay).
//! Networks stay trainable: no morphism leaves a parameter that never gets a gradient.
mod activation;
mod channels;
mod choice;
mod deepen;
mod excite;
mod fresh;
mod kernel;
mod layout;
mod prune;
mod remap;
mod remove;
mod repair;
mod scale;
mod separable;
mod skip;
mod slice;
mod widen;

pub use choice::Choice;
pub use fresh::EPSILON;
pub use layout::Layout;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use serde::Serialize;

use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::check;

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
///
/// Implementations say which [`choices`](Self::choices) there are, how one is
/// [made](Self::edit), and where the weights come from; which sites there are follows.
pub trait Morphism: Sync {
    /// Name in lineage, logs and the store, e.g. `deepen`.
    fn name(&self) -> &'static str;

    /// How closely children follow their parents.
    fn exactness(&self) -> Exactness;

    /// One sentence for `citronade morphisms`.
    fn summary(&self) -> &'static str;

    /// Every free choice at `site`, at least one.
    ///
    /// # Errors
    ///
    /// Why the morphism does not apply there, in words.
    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str>;

    /// The child's structure after one of the [`choices`](Self::choices) at `site`.
    ///
    /// # Panics
    ///
    /// If `choice` is none of them.
    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph;

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

    /// Nodes where [`apply`](Self::apply) will succeed.
    fn sites(&self, graph: &Graph) -> Vec<NodeId> {
        sites_of(self, &Layout::new(graph))
    }

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
    ) -> Result<Applied, MorphismError> {
        apply_to(self, &Layout::new(graph), site, rng)
    }
}

/// Every morphism of the house; a new one is listed here and nowhere else.
pub fn catalogue() -> &'static [&'static dyn Morphism] {
    &[
        &deepen::Deepen,
        &deepen::DeepenSeparable,
        &widen::Widen,
        &widen::WidenCopy,
        &kernel::WiderKernel,
        &skip::AddSkip,
        &skip::ConcatSkip,
        &excite::Excite,
        &prune::Prune,
        &remove::DropNode,
        &remove::DropSkip,
        &separable::Separable,
        &kernel::ShrinkKernel,
        &activation::ChangeActivation,
    ]
}

/// The morphism of this [name](Morphism::name).
///
/// # Errors
///
/// [`MorphismError::Unknown`] if the catalogue has none.
pub fn by_name(name: &str) -> Result<&'static dyn Morphism, MorphismError> {
    let found = catalogue().iter().find(|m| m.name() == name);
    found.copied().ok_or_else(|| MorphismError::Unknown(name.to_owned()))
}

/// Nodes of a graph that is laid out already where `morphism` applies, in node order.
pub fn sites_of<M: Morphism + ?Sized>(morphism: &M, layout: &Layout) -> Vec<NodeId> {
    let ids = layout.graph().nodes().iter().map(|n| n.id);
    ids.filter(|&id| choices_at(morphism, layout, id).is_ok()).collect()
}

/// [`Morphism::apply`] to a graph that is laid out already.
///
/// # Errors
///
/// As for [`Morphism::apply`].
pub fn apply_to<M: Morphism + ?Sized>(
    morphism: &M,
    layout: &Layout,
    site: NodeId,
    rng: &mut ChaCha8Rng,
) -> Result<Applied, MorphismError> {
    let choices = choices_at(morphism, layout, site)?;
    let choice = choices[rng.random_range(0..choices.len())];
    Ok(make(morphism, layout, site, choice))
}

/// Makes a recorded step once more: the same structure, node names included.
///
/// # Errors
///
/// [`MorphismError::Unknown`] or [`MorphismError::NotApplicable`] if the step was not recorded on
/// `graph`.
pub fn replay(graph: &Graph, step: &Step) -> Result<Applied, MorphismError> {
    let morphism = by_name(&step.morphism)?;
    let layout = Layout::new(graph);
    let reason = "the recorded choice does not exist there";
    let other = MorphismError::NotApplicable { morphism: morphism.name(), site: step.site, reason };
    match choices_at(morphism, &layout, step.site)?.contains(&step.edit) {
        true => Ok(make(morphism, &layout, step.site, step.edit)),
        false => Err(other),
    }
}

fn choices_at<M: Morphism + ?Sized>(
    morphism: &M,
    layout: &Layout,
    site: NodeId,
) -> Result<Vec<Choice>, MorphismError> {
    let refused = |reason| MorphismError::NotApplicable { morphism: morphism.name(), site, reason };
    if layout.graph().node(site).is_none() {
        return Err(refused("there is no such node"));
    }
    match morphism.choices(layout, site) {
        Ok(choices) if choices.is_empty() => Err(refused("there is nothing to choose from")),
        Ok(choices) => Ok(choices),
        Err(reason) => Err(refused(reason)),
    }
}

fn make<M: Morphism + ?Sized>(
    morphism: &M,
    layout: &Layout,
    site: NodeId,
    choice: Choice,
) -> Applied {
    let graph = morphism.edit(layout, site, choice);
    debug_assert_eq!(check(&graph), Ok(()), "{} at {site}: {choice}", morphism.name());
    let name = morphism.name().to_owned();
    Applied { graph, step: Step { morphism: name, site, choice: choice.to_string(), edit: choice } }
}

/// A changed structure and how it came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The child's structure.
    pub graph: Graph,
    /// What was done.
    pub step: Step,
}

/// One link of a lineage: enough to [replay] it, and to tell a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// [`Morphism::name`].
    pub morphism: String,
    /// Where.
    pub site: NodeId,
    /// What was chosen there, in words, e.g. `16 → 24 channels`.
    pub choice: String,
    /// What was chosen there.
    pub edit: Choice,
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
    #[error("there is no morphism `{0}`; `citronade morphisms` lists them")]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<&str> = catalogue().iter().map(|m| m.name()).collect();
        assert_eq!(names.len(), catalogue().len());
        for name in names {
            assert_eq!(by_name(name).map(|m| m.name()), Ok(name));
        }
    }

    /// Steps are stored: this text must be read for ever.
    #[test]
    fn steps_of_version_1_still_parse() {
        let golden = [
            r#"{"morphism":"widen","site":3,"choice":"4 → 6 channels","edit":{"channels":{"from":4,"to":6}}}"#,
            r#"{"morphism":"wider-kernel","site":3,"choice":"1×3 → 3×5 kernel","edit":{"kernel":{"from":[1,3],"to":[3,5]}}}"#,
            r#"{"morphism":"deepen","site":3,"choice":"3×3 convolution","edit":{"insert":{"kernel":3}}}"#,
            r#"{"morphism":"add-skip","site":3,"choice":"to n7 by a 1×1 convolution","edit":{"branch":{"to":7,"kernel":1}}}"#,
            r#"{"morphism":"add-skip","site":3,"choice":"to n7","edit":{"branch":{"to":7,"kernel":null}}}"#,
            r#"{"morphism":"concat-skip","site":3,"choice":"to n7","edit":{"concat":{"to":7}}}"#,
            r#"{"morphism":"excite","site":3,"choice":"4 hidden channels","edit":{"excite":{"hidden":4}}}"#,
            r#"{"morphism":"drop-skip","site":3,"choice":"without input 2","edit":{"cut":{"input":1}}}"#,
            r#"{"morphism":"change-activation","site":3,"choice":"Relu → HardSwish","edit":{"activation":{"from":"relu","to":"hard_swish"}}}"#,
            r#"{"morphism":"separable","site":3,"choice":"the whole block","edit":"whole"}"#,
        ];
        for text in golden {
            let step: Step = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&step).unwrap(), text);
            assert_eq!(step.choice, step.edit.to_string());
        }
    }
}
