//! Statistics, each with its source. Pure: no I/O, no clock, and chance only from a seed.
//!
//! An empty sample has no quantile: such answers are `None`, never 0. Values must not be NaN.
mod bootstrap;
mod density;
mod distribution;
mod quantile;
mod random;
mod rank;
mod special;
mod trend;

pub use bootstrap::Resampling;
pub use bootstrap::bootstrap_quantiles;
pub use density::Density;
pub use distribution::normal_quantile;
pub use distribution::student_quantile;
pub use distribution::wilson;
pub use quantile::harrell_davis;
pub use quantile::mad;
pub use quantile::median;
pub use quantile::quantile;
pub use rank::kendall;
pub use rank::ranks;
pub use rank::spearman;
pub use trend::mann_kendall;
pub use trend::theil_sen;
