//! Drawings of architectures, as text and as pictures.
//!
//! Rows stand below each other. What a row reads from the one above it comes straight down; everything
//! else comes along a lane at the side, one for each row that is read so.
use crate::space::Drawing;

use super::scene::Anchor;
use super::scene::Item;
use super::scene::Point;
use super::scene::Role;
use super::scene::Scene;
use super::scene::Text;
use super::text::clean;

/// Longest label, in characters.
const MOST_LABEL: usize = 60;

/// The way from a row to later ones.
struct Lane {
    from: usize,
    /// In order; not the row after `from`.
    to: Vec<usize>,
    /// 0 is next to the rows.
    column: usize,
}

impl Lane {
    fn last(&self) -> usize {
        *self.to.last().expect("a lane leads somewhere")
    }
}

/// A lane for each row that is read from afar, each in the first column that is free all the way.
fn lanes(drawing: &Drawing) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for from in 0..drawing.rows.len() {
        let later = from + 2..drawing.rows.len();
        let to: Vec<usize> = later.filter(|&row| drawing.rows[row].reads.contains(&from)).collect();
        let Some(&last) = to.last() else { continue };
        let apart =
            |lane: &Lane, column| lane.column != column || lane.last() < from || last < lane.from;
        let mut columns = 0..;
        let free = columns.find(|&column| lanes.iter().all(|lane| apart(lane, column)));
        lanes.push(Lane { from, to, column: free.expect("there is no last column") });
    }
    lanes
}

/// Is the row read by the one below it?
fn leads_down(drawing: &Drawing, row: usize) -> bool {
    drawing.rows.get(row + 1).is_some_and(|next| next.reads.contains(&row))
}

/// A drawing of lines and letters, for a terminal.
pub fn diagram_text(drawing: &Drawing) -> String {
    let lanes = lanes(drawing);
    let wide = |text: fn(&crate::space::Row) -> &str| {
        drawing.rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0)
    };
    let (labels, sizes) = (wide(|row| &row.label).min(MOST_LABEL), wide(|row| &row.size));
    let mut lines = vec![drawing.title.clone()];
    for (at, row) in drawing.rows.iter().enumerate() {
        let reads = lanes.iter().any(|lane| lane.to.contains(&at));
        let is_read = lanes.iter().any(|lane| lane.from == at);
        let above = row.reads.contains(&at.wrapping_sub(1));
        let below = leads_down(drawing, at);
        let spine = match (above, below || (reads && is_read)) {
            (false, true) => '┌',
            (true, true) => '├',
            (true, false) => '└',
            (false, false) => '╶',
        };
        let label = clean(&row.label, MOST_LABEL);
        let words = format!("{label:<labels$}  {:<sizes$}", row.size);
        let side = side(&lanes, at, Passing { reads, is_read: is_read && !reads });
        lines.push(format!("{spine}─ {words} {side}"));
        if reads && is_read {
            // What it reads ends on its line; what it gives begins on one of its own.
            let spine = if below { '├' } else { '└' };
            let way = "─".repeat(labels + sizes + 5);
            let side = self::side(&lanes, at, Passing { reads: false, is_read: true });
            lines.push(format!("{spine}{way}{side}"));
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// Which ends of lanes are on a line.
#[derive(Clone, Copy)]
struct Passing {
    reads: bool,
    is_read: bool,
}

/// The lanes beside a line of row `at`, two characters each.
fn side(lanes: &[Lane], at: usize, passing: Passing) -> String {
    let columns = lanes.iter().map(|lane| lane.column + 1).max().unwrap_or(0);
    let touches = |lane: &Lane| {
        (passing.reads && lane.to.contains(&at)) || (passing.is_read && lane.from == at)
    };
    let farthest = lanes.iter().filter(|lane| touches(lane)).map(|lane| lane.column).max();
    let mut text = String::new();
    for column in 0..columns {
        let before = match farthest {
            Some(farthest) if column <= farthest && column == 0 && passing.reads => '◄',
            Some(farthest) if column <= farthest => '─',
            _ => ' ',
        };
        // Where a lane ends another may begin.
        let here = lanes.iter().filter(|lane| lane.column == column);
        let lane = here.clone().find(|lane| touches(lane)).or_else(|| {
            here.clone().find(|lane| {
                let begun = if passing.reads { lane.from < at } else { lane.from <= at };
                let second = passing.is_read && lane.last() == at;
                begun && lane.last() >= at && !second
            })
        });
        let is_farthest = farthest == Some(column);
        let inside = farthest.is_some_and(|farthest| column < farthest);
        let symbol = match lane {
            Some(lane) if touches(lane) && lane.from == at => {
                if is_farthest {
                    '╮'
                } else {
                    '┬'
                }
            }
            Some(lane) if touches(lane) && lane.last() == at => {
                if is_farthest {
                    '╯'
                } else {
                    '┴'
                }
            }
            Some(lane) if touches(lane) => {
                if is_farthest {
                    '┤'
                } else {
                    '┼'
                }
            }
            Some(_) => '│',
            None if inside => '─',
            None => ' ',
        };
        text.extend([before, symbol]);
    }
    text
}

const ROW: f64 = 40.0;
const BOX: f64 = 28.0;
const LANE: f64 = 14.0;
const MARGIN: f64 = 24.0;
const LETTER: f64 = 7.2;
const SIZE: f64 = 12.0;
/// Distance of the ends of lanes from a box's middle.
const OFFSET: f64 = 6.0;

/// Drawings side by side, as SVG.
pub fn diagram_svg(drawings: &[Drawing]) -> String {
    let mut items = Vec::new();
    let mut left = MARGIN;
    for drawing in drawings {
        left += draw(drawing, left, &mut items) + MARGIN;
    }
    let rows = drawings.iter().map(|drawing| drawing.rows.len()).max().unwrap_or(0);
    let height = 2.0 * MARGIN + ROW * (rows as f64 + 0.5);
    let titles: Vec<&str> = drawings.iter().map(|drawing| drawing.title.as_str()).collect();
    let from = [0.0, 0.0];
    let paper = Item::Area { from, to: [left, height], role: Role::Paper, opacity: 1.0 };
    items.insert(0, paper);
    Scene { width: left, height, description: titles.join(", "), items }.svg()
}

/// Draws one from `left` on and answers how wide it is.
fn draw(drawing: &Drawing, left: f64, items: &mut Vec<Item>) -> f64 {
    let lanes = lanes(drawing);
    let letters = drawing
        .rows
        .iter()
        .map(|row| row.label.chars().count().min(MOST_LABEL) + row.size.chars().count());
    let width = LETTER * (letters.max().unwrap_or(0) + 5) as f64;
    let right = left + width;
    let middle = |row: usize| MARGIN + ROW * (row as f64 + 1.0);
    items.push(words(&drawing.title, [left, MARGIN], Role::Ink, Anchor::Start));
    for (at, row) in drawing.rows.iter().enumerate() {
        let y = middle(at);
        let role = match row.reads.len() {
            0 => Role::Muted,
            1 => Role::Accent,
            _ => Role::Family(1),
        };
        let [top, bottom] = [y - BOX / 2.0, y + BOX / 2.0];
        items.push(Item::Area { from: [left, top], to: [right, bottom], role, opacity: 0.10 });
        let corners = vec![[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
        items.push(line(corners, role));
        let label = clean(&row.label, MOST_LABEL);
        items.push(words(&label, [left + 10.0, y + 4.0], Role::Ink, Anchor::Start));
        items.push(words(&row.size, [right - 10.0, y + 4.0], Role::Muted, Anchor::End));
        if leads_down(drawing, at) {
            let x = left + 20.0;
            let tip = middle(at + 1) - BOX / 2.0;
            items.push(line(vec![[x, bottom], [x, tip]], Role::Ink));
            items.push(line(vec![[x - 3.0, tip - 4.0], [x, tip], [x + 3.0, tip - 4.0]], Role::Ink));
        }
    }
    for lane in &lanes {
        let x = right + LANE * (lane.column as f64 + 1.0);
        let start = middle(lane.from) + OFFSET;
        let end = middle(lane.last()) - OFFSET;
        items.push(line(vec![[right, start], [x, start], [x, end], [right, end]], Role::Ink));
        for &to in &lane.to {
            let y = middle(to) - OFFSET;
            items.push(line(vec![[x, y], [right, y]], Role::Ink));
            let tip = vec![[right + 4.0, y - 3.0], [right, y], [right + 4.0, y + 3.0]];
            items.push(line(tip, Role::Ink));
        }
    }
    let columns = lanes.iter().map(|lane| lane.column + 1).max().unwrap_or(0);
    width + LANE * columns as f64
}

fn line(points: Vec<Point>, role: Role) -> Item {
    Item::Line { points, role, width: 1.2, opacity: 0.8, dashed: false }
}

fn words(words: &str, at: Point, role: Role, anchor: Anchor) -> Item {
    let words = words.to_owned();
    Item::Text(Text { at, words, size: SIZE, role, anchor, turned: false, halo: false })
}
