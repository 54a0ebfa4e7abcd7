//! The front as a plot of characters.
use crate::pareto::Objective;

use super::Candidate;
use super::Front;
use super::axis::Axis;
use super::table::ansi;
use super::text::GLYPHS;
use super::text::short;

/// Columns left of the plot: numbers of the error axis.
const MARGIN: usize = 8;

/// One place of the plot: a character and the family that colours it.
type Cell = (char, Option<usize>);

struct Grid {
    x: Axis,
    y: Axis,
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
}

/// Error against the cost axis in `columns` by `rows` characters (at least 40 by 12): members as
/// the sign of their family with the interval of their cost, the knee as `◎`, others as `·`, what breaks a
/// limit shaded.
pub fn terminal(front: &Front, columns: usize, rows: usize, colour: bool) -> String {
    let objective = front.cost_axis();
    let mut grid = Grid::new(front, objective, columns.max(40) - MARGIN - 2, rows.max(12) - 5);
    grid.shade(front, objective);
    for candidate in &front.others {
        grid.put(candidate, objective, '·', None);
    }
    for member in &front.members {
        grid.bars(member, objective);
    }
    for member in &front.members {
        let glyph = match front.knee == Some(member.row.id) {
            true => '◎',
            false => GLYPHS[member.family % GLYPHS.len()].chars().next().unwrap_or('●'),
        };
        grid.put(member, objective, glyph, Some(member.family));
    }
    grid.text(objective, colour) + &legend(front)
}

impl Grid {
    fn new(front: &Front, objective: Objective, columns: usize, rows: usize) -> Grid {
        let (x, y) = super::chart::front_axes(front, objective);
        Grid { x, y, columns, rows, cells: vec![(' ', None); columns * rows] }
    }

    /// Column and row of a place, which may lie outside.
    fn place(&self, x: f64, y: f64) -> (i64, i64) {
        let column = self.x.share(x) * (self.columns - 1) as f64;
        let row = (1.0 - self.y.share(y)) * (self.rows - 1) as f64;
        (column.round() as i64, row.round() as i64)
    }

    fn cell(&mut self, column: i64, row: i64) -> Option<&mut Cell> {
        let column = usize::try_from(column).ok().filter(|c| *c < self.columns)?;
        let row = usize::try_from(row).ok().filter(|r| *r < self.rows)?;
        self.cells.get_mut(row * self.columns + column)
    }

    fn shade(&mut self, front: &Front, objective: Objective) {
        let right = front.limit(objective).map(|most| self.place(most, 0.0).0);
        let above = front.limit(Objective::Error).map(|most| self.place(1.0, most).1);
        for row in 0..self.rows as i64 {
            for column in 0..self.columns as i64 {
                let broken = right.is_some_and(|r| column > r) || above.is_some_and(|a| row < a);
                let edge = right == Some(column) || above == Some(row);
                let shade = if broken {
                    '░'
                } else if edge {
                    '┊'
                } else {
                    continue;
                };
                if let Some(cell) = self.cell(column, row) {
                    cell.0 = shade;
                }
            }
        }
    }

    fn put(
        &mut self,
        candidate: &Candidate,
        objective: Objective,
        sign: char,
        family: Option<usize>,
    ) {
        let (cost, error) = (candidate.row.value(objective), candidate.row.value(Objective::Error));
        let Some((x, y)) = cost.zip(error) else { return };
        let (column, row) = self.place(x.value, y.value);
        if let Some(cell) = self.cell(column, row) {
            *cell = (sign, family);
        }
    }

    fn bars(&mut self, member: &Candidate, objective: Objective) {
        let (cost, error) = (member.row.value(objective), member.row.value(Objective::Error));
        let Some((x, y)) = cost.zip(error) else { return };
        let (_, row) = self.place(x.value, y.value);
        let [left, right] = x.interval.map(|end| self.place(end, y.value).0);
        for column in left..=right {
            if let Some(cell) = self.cell(column, row) {
                *cell = ('─', Some(member.family));
            }
        }
    }

    fn text(&self, objective: Objective, colour: bool) -> String {
        let mut text = String::from("validation error\n");
        for (row, cells) in self.cells.chunks(self.columns).enumerate() {
            let number = self.error_at(row).unwrap_or_default();
            text.push_str(&format!("{number:>MARGIN$} ┤"));
            let line: String = cells.iter().map(|cell| painted(*cell, colour)).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push_str(&format!("{:>MARGIN$} └{}\n", "", "─".repeat(self.columns)));
        text + &self.cost_numbers(objective)
    }

    /// The error that is written in front of `row`.
    fn error_at(&self, row: usize) -> Option<String> {
        let mut ticks = self.y.ticks(6).into_iter();
        let tick = ticks.find(|tick| self.place(self.x.low, *tick).1 == row as i64)?;
        Some(short(&Objective::Error.format(tick)))
    }

    fn cost_numbers(&self, objective: Objective) -> String {
        let mut line = vec![' '; MARGIN + 2 + self.columns];
        let mut free = 0;
        for tick in self.x.ticks(self.columns / 12) {
            let words: Vec<char> = short(&objective.format(tick)).chars().collect();
            let middle = MARGIN + 2 + self.place(tick, 0.0).0.max(0) as usize;
            let start = middle.saturating_sub(words.len() / 2);
            if start >= free && start + words.len() <= line.len() {
                line[start..start + words.len()].copy_from_slice(&words);
                free = start + words.len() + 1;
            }
        }
        let line: String = line.into_iter().collect();
        format!(
            "{}\n{:>width$}\n",
            line.trim_end(),
            objective.name(),
            width = MARGIN + 2 + self.columns
        )
    }
}

fn painted((sign, family): Cell, colour: bool) -> String {
    match family.filter(|_| colour) {
        Some(family) => format!("{}{sign}\u{1b}[39m", ansi(family)),
        None => sign.to_string(),
    }
}

fn legend(front: &Front) -> String {
    let mut families: Vec<(usize, u64)> =
        front.members.iter().map(|m| (m.family, m.seed)).collect();
    families.sort_unstable();
    families.dedup();
    let sign = |family: usize| GLYPHS[family % GLYPHS.len()];
    let mut words: Vec<String> =
        families.iter().map(|(family, seed)| format!("{} seed {seed}", sign(*family))).collect();
    words.extend(front.knee.map(|id| format!("◎ knee {id}")));
    if !front.others.is_empty() {
        words.push("· not on the front".to_owned());
    }
    if !front.limits.is_empty() {
        words.push("░ over a limit".to_owned());
    }
    words.join("   ") + "\n"
}
