//! What is better: objectives, dominance (also under noise), archive, hypervolume, knee.
//!
//! Every objective is minimised. This room knows values and intervals, not networks or devices.
//! Values must not be NaN.
mod archive;
mod dominance;
mod front;
mod hypervolume;
mod knee;
mod objective;
mod rank;
mod reference;
mod staircase;

pub use archive::Archive;
pub use archive::Member;
pub use dominance::Value;
pub use dominance::clearly_dominates;
pub use dominance::covers;
pub use dominance::may_dominate;
pub use dominance::surely_dominates;
pub use front::dominates;
pub use front::front;
pub use hypervolume::gain;
pub use hypervolume::hypervolume;
pub use knee::knee;
pub use objective::Objective;
pub use objective::UnknownObjective;
pub use rank::crowding;
pub use rank::ranks;
pub use reference::Reference;
pub use reference::ReferenceError;
