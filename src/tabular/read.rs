//! Reading tables: comma-separated, a header; cells may be quoted.
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::iter;
use std::path::Path;
use std::sync::Arc;

use crate::space::ChoiceSpace;
use crate::space::Choices;
use crate::space::Nb201;
use crate::units::names_for;

use super::Device;
use super::Table;
use super::TableError;
use super::TableSpace;
use super::categorical::Categorical;
use super::categorical::GraphCells;

/// What a table holds, and by which names.
#[derive(Clone, Debug)]
pub struct Format {
    /// Name on the command line.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    index: &'static [&'static str],
    choices: &'static [&'static str],
    error: &'static [&'static str],
    final_error: &'static [&'static str],
    space: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Nb201,
    GraphCells,
    Any,
}

/// All formats.
pub const FORMATS: &[Format] = &[
    Format {
        name: "nb201",
        about: "cells of NAS-Bench-201: idx, ops, acc12_c10_val, lat_DEVICE…",
        index: &["idx", "index"],
        choices: &["ops", "choices"],
        error: &["acc12_c10_val"],
        final_error: &["acc200_c10"],
        space: Kind::Nb201,
    },
    Format {
        name: "nas-bench-graph",
        about: "cells of graph networks of NAS-Bench-Graph: hash, valid_perf, test_perf, latency",
        index: &["hash"],
        choices: &["hash"],
        error: &["valid_perf"],
        final_error: &["test_perf"],
        space: Kind::GraphCells,
    },
    Format {
        name: "csv",
        about: "any other: index, choices (or ops), error or accuracy columns, lat_DEVICE…",
        index: &["index", "idx", "id", "hash", "arch"],
        choices: &["choices", "ops", "arch", "architecture", "genotype"],
        error: &[
            "error",
            "val_error",
            "valid_error",
            "val_acc",
            "valid_acc",
            "acc_val",
            "accuracy",
            "acc",
        ],
        final_error: &["final_error", "test_error", "test_acc", "acc_test"],
        space: Kind::Any,
    },
];

/// What is read besides what the format says.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The error or accuracy that a query returns.
    pub error: Option<String>,
    /// The one of the end.
    pub final_error: Option<String>,
    /// Columns of latencies with other names than usual.
    pub devices: Vec<String>,
}

/// The format of this name.
///
/// # Errors
///
/// [`TableError::NoFormat`] with those that there are.
pub fn format(name: &str) -> Result<&'static Format, TableError> {
    FORMATS.iter().find(|format| format.name == name).ok_or_else(|| TableError::NoFormat {
        found: name.to_owned(),
        known: names_for(name, &FORMATS.iter().map(|f| f.name).collect::<Vec<_>>()),
    })
}

/// Reads a table.
///
/// Columns of errors hold errors (names with `err`) or accuracies (names with `acc` or `perf`, in whatever
/// case), as shares, or in percent if any value of what a query returns and what there is in the end is
/// above 1; where none has a usual name, the only one whose name says error or accuracy. Columns of
/// latencies are `latency`, those that begin with `lat_`, and those that are asked for. Free for
/// every architecture are the columns `params` (also `parameters`, `params_m`) and `macs` (also
/// `flops`). `train_s` (also `train_time`) are seconds of training. Blank lines are passed over.
///
/// # Errors
///
/// [`TableError`] with line and column.
pub fn read(path: &Path, format: &Format, columns: &Columns) -> Result<Table, TableError> {
    let io = |source| TableError::Io { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(io)?;
    let sheet = Sheet::read(text(&bytes)?)?;
    let index_at = sheet.first_of(format.index)?;
    let index = sheet.parsed(index_at, "a whole number", |text| text.parse::<u64>().ok())?;
    sheet.differ("index", &index, |n| n.to_string())?;
    let (space, rows, is_shared) = sheet.space(format)?;
    sheet.differ("choices", &rows, |choices| space.text(choices))?;
    match format.space {
        Kind::Nb201 => all_there(space.as_ref(), &rows)?,
        Kind::GraphCells if rows.len() < GraphCells::RECORDED => {
            let (found, wanted) = (rows.len(), GraphCells::RECORDED);
            let space = "NAS-Bench-Graph";
            return Err(TableError::Missing { found, wanted, space, first: None });
        }
        Kind::GraphCells | Kind::Any => {}
    }
    let error_at = match &columns.error {
        Some(name) => sheet.column(name)?,
        None => sheet.error_column(format, &columns.devices)?,
    };
    let final_at = match &columns.final_error {
        Some(name) => Some(sheet.column(name)?),
        None => sheet.any_of(format.final_error),
    };
    let columns_of_errors: Vec<usize> = iter::once(error_at).chain(final_at).collect();
    let mut errors = sheet.errors(&columns_of_errors)?.into_iter();
    let devices = sheet.devices(&columns.devices)?;
    let seconds = sheet.any_of(&["train_s", "train_time", "train_seconds"]);
    let seconds = seconds.map(|at| sheet.numbers(at, "a number of at least 0", |x| x >= 0.0));
    let costs = sheet.costs()?;
    Ok(Table {
        space: Arc::new(TableSpace::new(space, rows, is_shared, costs)),
        index,
        error: errors.next().expect("one for each column"),
        final_error: errors.next(),
        devices,
        seconds: seconds.transpose()?,
    })
}

/// Every member of a space must have a row.
fn all_there(space: &dyn ChoiceSpace, rows: &[Choices]) -> Result<(), TableError> {
    let wanted: usize = space.options().iter().product();
    if rows.len() == wanted {
        return Ok(());
    }
    let there: BTreeSet<&Choices> = rows.iter().collect();
    let members = (0..wanted).map(|n| nth(space.options(), n));
    let first = members.into_iter().find(|choices| !there.contains(choices));
    let first = first.map(|choices| space.text(&choices));
    Err(TableError::Missing { found: rows.len(), wanted, space: "NAS-Bench-201", first })
}

/// The `n`-th of all choices, the last decision changing fastest.
fn nth(options: &[usize], mut n: usize) -> Choices {
    let mut choices: Choices = options
        .iter()
        .rev()
        .map(|&options| {
            let choice = n % options;
            n /= options;
            choice as u8
        })
        .collect();
    choices.reverse();
    choices
}

/// What is written in the bytes of a file.
fn text(bytes: &[u8]) -> Result<&str, TableError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        TableError::NotText { line: 1 + before.iter().filter(|byte| **byte == b'\n').count() }
    })?;
    // Spreadsheets begin with a mark of the byte order.
    Ok(text.trim_start_matches('\u{feff}'))
}

/// The cells of a line; a comma between double quotes belongs to its cell.
fn cells(line: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let ends = move |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    };
    line.split(ends).map(|cell| cell.trim().trim_matches('"').trim()).collect()
}

/// See [`Sheet::space`].
type Space = (Arc<dyn ChoiceSpace>, Vec<Choices>, bool);

/// Cells by line and column.
struct Sheet<'a> {
    header: Vec<&'a str>,
    /// Each with its number, counted from 1.
    lines: Vec<(usize, Vec<&'a str>)>,
}

impl<'a> Sheet<'a> {
    fn read(text: &'a str) -> Result<Sheet<'a>, TableError> {
        let written = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let mut lines = written.map(|(number, line)| (number, cells(line)));
        let (_, header) = lines.next().ok_or(TableError::Empty)?;
        all_differ("columns", &header)?;
        let lines: Vec<(usize, Vec<&str>)> = lines.collect();
        for (line, cells) in &lines {
            if cells.len() != header.len() {
                let (line, found, wanted) = (*line, cells.len(), header.len());
                return Err(TableError::Cells { line, found, wanted });
            }
        }
        if lines.is_empty() { Err(TableError::Empty) } else { Ok(Sheet { header, lines }) }
    }

    fn any_of(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.header.iter().position(|column| column == name))
    }

    fn first_of(&self, names: &[&str]) -> Result<usize, TableError> {
        self.any_of(names).ok_or_else(|| self.no_column(&names.join("` or `")))
    }

    fn column(&self, name: &str) -> Result<usize, TableError> {
        self.any_of(&[name]).ok_or_else(|| self.no_column(name))
    }

    /// The column that a query returns, where latencies may be in `others`.
    fn error_column(&self, format: &Format, others: &[String]) -> Result<usize, TableError> {
        let says_so = |name: &&str| !is_latency(name, others) && is_accuracy(name).is_some();
        let alike: Vec<&str> = self.header.iter().copied().filter(says_so).collect();
        match (self.any_of(format.error), &alike[..]) {
            (Some(at), _) => Ok(at),
            (None, [only]) => self.column(only),
            (None, _) => Err(self.no_column(&format.error.join("` or `"))),
        }
    }

    fn no_column(&self, column: &str) -> TableError {
        TableError::NoColumn { column: column.to_owned(), known: self.header.join(", ") }
    }

    /// The cells of a column, each with its line.
    fn cells(&self, column: usize) -> impl Iterator<Item = (usize, &'a str)> + Clone {
        self.lines.iter().map(move |(line, cells)| (*line, cells[column]))
    }

    fn parsed<T>(
        &self,
        column: usize,
        wanted: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, TableError> {
        let parsed = self.cells(column).map(|(line, text)| {
            parse(text).ok_or_else(|| TableError::Value {
                line,
                column: self.header[column].to_owned(),
                found: text.to_owned(),
                wanted,
            })
        });
        parsed.collect()
    }

    fn numbers(
        &self,
        column: usize,
        wanted: &'static str,
        is_legal: impl Fn(f64) -> bool,
    ) -> Result<Vec<f64>, TableError> {
        self.parsed(column, wanted, |text| {
            text.parse().ok().filter(|x: &f64| x.is_finite() && is_legal(*x))
        })
    }

    /// Errors as shares, whatever the columns hold: percent if any of them has a value above 1.
    fn errors(&self, columns: &[usize]) -> Result<Vec<Vec<f64>>, TableError> {
        let wanted = "a share from 0 to 1 or a percentage from 0 to 100";
        let read = |&at: &usize| self.numbers(at, wanted, |x| (0.0..=100.0).contains(&x));
        let read: Vec<Vec<f64>> = columns.iter().map(read).collect::<Result<_, _>>()?;
        let whole = if read.iter().flatten().any(|x| *x > 1.0) { 100.0 } else { 1.0 };
        let shares = columns.iter().zip(read).map(|(&at, values)| {
            let name = self.header[at];
            let is_accuracy = is_accuracy(name);
            let is_accuracy = is_accuracy.ok_or_else(|| TableError::Unclear(name.to_owned()))?;
            let share = |x: f64| if is_accuracy { 1.0 - x / whole } else { x / whole };
            Ok(values.into_iter().map(share).collect())
        });
        shares.collect()
    }

    fn devices(&self, others: &[String]) -> Result<Vec<Device>, TableError> {
        let columns = (0..self.header.len()).filter(|&at| is_latency(self.header[at], others));
        let devices = columns.map(|at| {
            // Beyond, sums and ratios would leave what a number holds.
            let wanted = "a latency above 0, from 1e-12 to 1e12";
            let latency = self.numbers(at, wanted, |x| (1e-12..=1e12).contains(&x))?;
            let name = self.header[at];
            Ok(Device { name: name.strip_prefix("lat_").unwrap_or(name).to_owned(), latency })
        });
        let devices: Vec<Device> = devices.collect::<Result<_, TableError>>()?;
        all_differ("devices", &devices.iter().map(|d| d.name.as_str()).collect::<Vec<_>>())?;
        if devices.is_empty() { Err(self.no_column("lat_DEVICE")) } else { Ok(devices) }
    }

    /// Logarithms of parameters and multiply-accumulates by line, where the table has them.
    fn costs(&self) -> Result<Vec<Vec<f64>>, TableError> {
        let names: [&[&str]; 2] = [&["params", "parameters", "params_m"], &["macs", "flops"]];
        let mut costs = vec![Vec::new(); self.lines.len()];
        for column in names.iter().filter_map(|names| self.any_of(names)) {
            let numbers = self.numbers(column, "a number of at least 0", |x| x >= 0.0)?;
            let least = numbers.iter().copied().filter(|x| *x > 0.0).fold(f64::INFINITY, f64::min);
            for (costs, number) in costs.iter_mut().zip(numbers) {
                costs.push(number.max(least.min(1.0)).ln());
            }
        }
        Ok(costs)
    }

    /// The space, the choices of each row, and whether an option's number means the same in each decision.
    fn space(&self, format: &Format) -> Result<Space, TableError> {
        let column = self.first_of(format.choices)?;
        let mut is_shared = true;
        let space: Arc<dyn ChoiceSpace> = match format.space {
            // As in the paper; only the cell matters here.
            Kind::Nb201 => {
                Arc::new(Nb201 { input: [3, 32, 32], classes: 10, width: 16, repeats: 5 })
            }
            Kind::GraphCells => Arc::new(GraphCells),
            Kind::Any => {
                let words = Categorical::of(self.cells(column))
                    .map_err(|(line, reason)| self.wrong_choices(line, column, reason))?;
                is_shared = words.is_shared();
                Arc::new(words)
            }
        };
        let rows = self.cells(column).map(|(line, text)| {
            let choices = space.parse(text);
            choices.map_err(|error| self.wrong_choices(line, column, error.to_string()))
        });
        let rows = rows.collect::<Result<_, _>>()?;
        Ok((space, rows, is_shared))
    }

    fn wrong_choices(&self, line: usize, column: usize, reason: String) -> TableError {
        TableError::Choices { line, column: self.header[column].to_owned(), reason }
    }

    fn differ<T: Ord>(
        &self,
        what: &'static str,
        values: &[T],
        text: impl Fn(&T) -> String,
    ) -> Result<(), TableError> {
        let mut seen = BTreeMap::new();
        for (value, &(line, _)) in values.iter().zip(&self.lines) {
            if let Some(first) = seen.insert(value, line) {
                return Err(TableError::Twice { line, first, what, found: text(value) });
            }
        }
        Ok(())
    }
}

/// Does a column hold latencies, by its name or because it is one of `others`?
fn is_latency(name: &str, others: &[String]) -> bool {
    name == "latency" || name.starts_with("lat_") || others.iter().any(|other| other == name)
}

/// Does a column hold accuracies, or errors? `None` if its name says neither or both.
fn is_accuracy(name: &str) -> Option<bool> {
    let name = name.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let (accuracy, error) = (says(&["acc", "perf"]), says(&["err"]));
    (accuracy != error).then_some(accuracy)
}

fn all_differ(what: &'static str, names: &[&str]) -> Result<(), TableError> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(**name)) {
        Some(name) => Err(TableError::SameName { what, name: (*name).to_owned() }),
        None => Ok(()),
    }
}
