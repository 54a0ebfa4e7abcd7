//! What is wrong with a table, or with what is asked of it.
use std::path::PathBuf;

use crate::units::plural;

/// Names the row and the column, and what would do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A file that cannot be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file in another encoding.
    #[error("line {line} is not UTF-8 text: save the table as UTF-8")]
    NotText {
        /// Counted from 1.
        line: usize,
    },
    /// A format that there is not.
    #[error("there is no benchmark `{found}`; there are {known}")]
    NoFormat {
        /// What was asked for.
        found: String,
        /// What there is.
        known: String,
    },
    /// A column that is needed.
    #[error("the table has no column `{column}`; it has {known}")]
    NoColumn {
        /// Which.
        column: String,
        /// What there is.
        known: String,
    },
    /// A column of which nobody knows whether more is better.
    #[error("the name of column `{0}` should say either error (`err`) or accuracy (`acc`, `perf`)")]
    Unclear(String),
    /// Two columns, or the latencies of two devices, of one name.
    #[error("the table has two {what} called `{name}`")]
    SameName {
        /// Columns or devices.
        what: &'static str,
        /// Their name.
        name: String,
    },
    /// A device without a column.
    #[error("the table has no latencies of `{found}`; it has those of {known}")]
    NoDevice {
        /// What was asked for.
        found: String,
        /// What there is.
        known: String,
    },
    /// A table without rows.
    #[error("the table has no rows")]
    Empty,
    /// A line with too few or too many cells.
    #[error("line {line} has {} where the header has {wanted}", plural(*found as u64, "cell"))]
    Cells {
        /// Counted from 1.
        line: usize,
        /// How many it has.
        found: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// A cell that is no number, or not a sensible one.
    #[error("line {line}, column `{column}`: `{found}` is not {wanted}")]
    Value {
        /// Counted from 1.
        line: usize,
        /// Name of the column.
        column: String,
        /// What is there.
        found: String,
        /// What should be.
        wanted: &'static str,
    },
    /// Choices that the space does not have.
    #[error("line {line}, column `{column}`: {reason}")]
    Choices {
        /// Counted from 1.
        line: usize,
        /// Name of the column.
        column: String,
        /// Why.
        reason: String,
    },
    /// The same index or the same choices twice.
    #[error("line {line} has the same {what} as line {first}: {found}")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// Where it was first.
        first: usize,
        /// Index or choices.
        what: &'static str,
        /// It.
        found: String,
    },
    /// A space whose table lacks members.
    #[error(
        "the table has {found} of the {wanted} architectures of {space}{}",
        first.as_ref().map_or(String::new(), |first| format!("; the first that is missing is {first}"))
    )]
    Missing {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
        /// Of which space.
        space: &'static str,
        /// The first that is missing, where that is known.
        first: Option<String>,
    },
    /// More queries than rows.
    #[error("{} are more than the {} of the table", plural(*queries as u64, "query"), plural(*rows as u64, "row"))]
    TooManyQueries {
        /// Asked for.
        queries: usize,
        /// There are.
        rows: usize,
    },
    /// No architecture that counts.
    #[error(
        "no row has {what} below the reference of {reference}: give another with --reference-error"
    )]
    NothingBelowReference {
        /// Which error.
        what: &'static str,
        /// As a share.
        reference: f64,
    },
    /// A strategy that there is not.
    #[error("there is no strategy `{found}`; there are {known}")]
    NoStrategy {
        /// What was asked for.
        found: String,
        /// What there is.
        known: String,
    },
    /// What was played cannot be written down.
    #[error("cannot write the trace: {0}")]
    Trace(std::io::Error),
    /// Somebody wanted it to end.
    #[error("interrupted")]
    Interrupted,
    /// A strategy that cannot play on this space.
    #[error("{strategy} cannot play here: {reason}")]
    CannotPlay {
        /// Which.
        strategy: &'static str,
        /// Why.
        reason: String,
    },
    /// A strategy that is out of proposals.
    #[error("{strategy} has no more proposals after {}", plural(*queries as u64, "query"))]
    Stuck {
        /// Which.
        strategy: &'static str,
        /// Queries so far.
        queries: usize,
    },
}
