//! A picture as a list of things, written as SVG.
//!
//! Own and small rather than a plotting library: the page re-colours the very same picture for
//! dark screens through its classes, and every text in it passes one place that escapes it.
use std::fmt::Write;

use super::text::clean;
use super::text::escape;

/// What is drawn, in this order, on a plane whose origin is the upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scene {
    pub width: f64,
    pub height: f64,
    /// For those who do not see it.
    pub description: String,
    pub items: Vec<Item>,
}

pub(super) type Point = [f64; 2];

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// Straight pieces from point to point.
    Line { points: Vec<Point>, role: Role, width: f64, opacity: f64, dashed: bool },
    /// A rectangle between two corners.
    Area { from: Point, to: Point, role: Role, opacity: f64 },
    /// What lies within a closed line.
    Band { points: Vec<Point>, role: Role, opacity: f64 },
    /// A point of data; `label` shows when pointed at.
    Mark { at: Point, shape: Shape, radius: f64, role: Role, label: String },
    /// A circle around something.
    Ring { at: Point, radius: f64, role: Role },
    /// One line of text.
    Text(Text),
}

/// One line of text; `at` is the end of its baseline that `anchor` says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub at: Point,
    pub words: String,
    pub size: f64,
    pub role: Role,
    pub anchor: Anchor,
    /// Upwards instead of to the right.
    pub turned: bool,
    /// Stands out from what lies below it.
    pub halo: bool,
}

/// What a thing is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Paper,
    Ink,
    Muted,
    /// What is there but not the matter.
    Faded,
    Grid,
    Limit,
    Accent,
    Family(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Star,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Colours of families.
pub(super) const FAMILIES: usize = 6;

/// Of families: the palette of Okabe and Ito, *Color Universal Design*, 2008, without black and
/// yellow; told apart in every common kind of colour blindness.
const COLOURS: [&str; FAMILIES] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl Role {
    /// On white paper.
    fn colour(self) -> &'static str {
        match self {
            Role::Paper => "#ffffff",
            Role::Ink => "#1f2328",
            Role::Muted => "#6e7781",
            Role::Faded => "#b4bbc3",
            Role::Grid => "#e3e6ea",
            Role::Limit => "#b42318",
            Role::Accent => "#0072b2",
            Role::Family(n) => COLOURS[colour_of(n)],
        }
    }

    /// Under which a page may give it another colour.
    fn class(self) -> String {
        match self {
            Role::Paper => "paper".to_owned(),
            Role::Ink => "ink".to_owned(),
            Role::Muted => "muted".to_owned(),
            Role::Faded => "faded".to_owned(),
            Role::Grid => "grid".to_owned(),
            Role::Limit => "limit".to_owned(),
            Role::Accent => "accent".to_owned(),
            Role::Family(n) => format!("family{}", colour_of(n)),
        }
    }
}

/// Past six families shapes come back with other colours.
pub(super) fn colour_of(family: usize) -> usize {
    (family + family / FAMILIES) % FAMILIES
}

impl Shape {
    pub fn of_family(family: usize) -> Shape {
        use Shape::*;
        [Circle, Square, Triangle, Diamond, TriangleDown, Star][family % 6]
    }

    /// Corners around the origin for radius 1; none for a circle. Areas are about equal.
    fn corners(self) -> Vec<Point> {
        match self {
            Shape::Circle => Vec::new(),
            Shape::Square => vec![[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
            Shape::Triangle => vec![[0.0, -1.25], [1.15, 0.75], [-1.15, 0.75]],
            Shape::Diamond => vec![[0.0, -1.3], [1.3, 0.0], [0.0, 1.3], [-1.3, 0.0]],
            Shape::TriangleDown => vec![[0.0, 1.25], [1.15, -0.75], [-1.15, -0.75]],
            Shape::Star => (0..10).map(star_corner).collect(),
        }
    }
}

fn star_corner(i: u8) -> Point {
    let radius = if i.is_multiple_of(2) { 1.45 } else { 0.62 };
    let (sin, cos) = (f64::from(i) * std::f64::consts::PI / 5.0).sin_cos();
    [radius * sin, -radius * cos]
}

impl Scene {
    /// A whole SVG document, which may also stand inside a page.
    pub fn svg(&self) -> String {
        let Scene { width, height, description, items } = self;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<title>{}</title>\n",
            text(description)
        );
        items.iter().for_each(|item| item.write(&mut out));
        out.push_str("</svg>\n");
        out
    }
}

impl Item {
    /// The same elsewhere.
    pub fn moved(mut self, [dx, dy]: Point) -> Item {
        let shift = |point: &mut Point| *point = [point[0] + dx, point[1] + dy];
        match &mut self {
            Item::Line { points, .. } | Item::Band { points, .. } => {
                points.iter_mut().for_each(shift)
            }
            Item::Area { from, to, .. } => [from, to].into_iter().for_each(shift),
            Item::Mark { at, .. } | Item::Ring { at, .. } | Item::Text(Text { at, .. }) => {
                shift(at)
            }
        }
        self
    }

    fn write(&self, out: &mut String) {
        let written = match self {
            Item::Line { points, role, width, opacity, dashed } => {
                let dash = if *dashed { " stroke-dasharray=\"5 4\"" } else { "" };
                let path = path(points);
                let stroke = stroke(*role);
                writeln!(
                    out,
                    "<path d=\"{path}\" fill=\"none\" {stroke} stroke-width=\"{width}\" \
                     stroke-opacity=\"{opacity}\"{dash}/>"
                )
            }
            Item::Area { from, to, role, opacity } => {
                let [x, y] = [from[0].min(to[0]), from[1].min(to[1])];
                let [w, h] = [(from[0] - to[0]).abs(), (from[1] - to[1]).abs()];
                let fill = fill(*role);
                writeln!(
                    out,
                    "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" {fill} \
                     fill-opacity=\"{opacity}\"/>"
                )
            }
            Item::Band { points, role, opacity } => {
                let (path, fill) = (path(points), fill(*role));
                writeln!(out, "<path d=\"{path}Z\" {fill} fill-opacity=\"{opacity}\"/>")
            }
            Item::Mark { at, shape, radius, role, label } => {
                mark(out, *at, *shape, *radius, *role, label)
            }
            Item::Ring { at: [x, y], radius, role } => {
                let stroke = stroke(*role);
                writeln!(
                    out,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"none\" {stroke} \
                     stroke-width=\"1.6\"/>"
                )
            }
            Item::Text(text) => text.write(out),
        };
        written.expect("writing to a string does not fail");
    }
}

impl Text {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Text { at: [x, y], words, size, role, anchor, turned, halo } = self;
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn = match turned {
            true => format!(" transform=\"rotate(-90 {x:.1} {y:.1})\""),
            false => String::new(),
        };
        let (fill, words) = (fill(*role), text(words));
        let mut draw = |paint: &str| {
            writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
                 {paint}{turn}>{words}</text>"
            )
        };
        if *halo {
            draw(&format!("fill=\"none\" {} stroke-width=\"3\"", stroke(Role::Paper)))?;
        }
        draw(&fill)
    }
}

fn mark(
    out: &mut String,
    [x, y]: Point,
    shape: Shape,
    radius: f64,
    role: Role,
    label: &str,
) -> std::fmt::Result {
    let (fill, label) = (fill(role), text(label));
    let corners: Vec<Point> =
        shape.corners().into_iter().map(|[dx, dy]| [x + radius * dx, y + radius * dy]).collect();
    let edge = "stroke=\"#ffffff\" class=\"edge\" stroke-width=\"0.8\"";
    match corners.as_slice() {
        [] => write!(out, "<g {edge}><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" {fill}>")?,
        _ => write!(out, "<g {edge}><path d=\"{}Z\" {fill}>", path(&corners))?,
    }
    let end = if corners.is_empty() { "circle" } else { "path" };
    writeln!(out, "<title>{label}</title></{end}></g>")
}

fn path(points: &[Point]) -> String {
    let pieces = points.iter().enumerate().map(|(i, [x, y])| {
        let command = if i == 0 { 'M' } else { 'L' };
        format!("{command}{x:.1} {y:.1}")
    });
    pieces.collect()
}

fn fill(role: Role) -> String {
    format!("fill=\"{}\" class=\"fill-{}\"", role.colour(), role.class())
}

fn stroke(role: Role) -> String {
    format!("stroke=\"{}\" class=\"stroke-{}\"", role.colour(), role.class())
}

fn text(words: &str) -> String {
    escape(&clean(words, 120))
}
