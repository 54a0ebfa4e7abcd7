//! What a run found, for people and programs.
//!
//! [`Front`] and [`RunReport`] are plain values, read from a store; everything else is a pure
//! function of them: [`table`], [`json`], [`csv`], [`terminal`], [`svg`], [`png`] and
//! [`html`]. The room prints nothing, reads no clock and decides nothing but which trained
//! candidates the front shows, by the rule of [`crate::pareto::Archive`].
//!
//! Texts that come from a configuration, a device or a data set are never trusted: they are
//! shortened, freed of control characters, and escaped where they enter a page.
mod axis;
mod chart;
mod csv;
mod diagram;
mod error;
mod html;
mod json;
mod png;
mod regret;
mod scene;
mod table;
mod terminal;
mod text;
mod view;
mod yields;

pub use csv::csv;
pub use diagram::diagram_svg;
pub use diagram::diagram_text;
pub use error::ReportError;
pub use html::html;
pub use json::json;
pub use png::png;
pub use regret::RegretCurve;
pub use regret::regret_svg;
pub use table::table;
pub use terminal::terminal;
pub use view::Candidate;
pub use view::Front;
pub use view::Limit;
pub use view::RunReport;
pub use yields::MorphismYield;
pub use yields::Prediction;
pub use yields::Savings;

/// The front as a picture: error against the first cost, with intervals, limits and families.
pub fn svg(front: &Front) -> String {
    chart::front(front).svg()
}
