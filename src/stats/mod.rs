//! Statistics, each with its source. Pure: no I/O, no clock, and chance only from a seed.
//!
//! An empty sample has no quantile: such answers are `None`, never 0. Values must not be NaN.
mod binomial;
mod bootstrap;
mod density;
mod quantile;
mod random;
mod rank;
mod special;

pub use binomial::normal_quantile;
pub use binomial::wilson;
pub use bootstrap::Resampling;
pub use bootstrap::bootstrap;
pub use bootstrap::bootstrap_launches;
pub use density::Density;
pub use quantile::harrell_davis;
pub use quantile::mad;
pub use quantile::median;
pub use quantile::quantile;
pub use rank::kendall;
pub use rank::ranks;
pub use rank::spearman;
