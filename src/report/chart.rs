//! The plots: what is drawn where.
use crate::pareto::Objective;
use crate::pareto::Value;
use crate::pareto::front as plain_front;
use crate::stats::median;
use crate::store::CandidateId;

use super::Candidate;
use super::Front;
use super::Prediction;
use super::axis::Axis;
use super::axis::Scale;
use super::scene::Anchor;
use super::scene::Item;
use super::scene::Point;
use super::scene::Role;
use super::scene::Scene;
use super::scene::Shape;
use super::scene::Text;
use super::table::conditions;
use super::text::clean;
use super::text::short;

/// Room for a plot: axes, and where they lie.
pub(super) struct Plane {
    x: Axis,
    y: Axis,
    pub left: f64,
    pub top: f64,
    pub width: f64,
    height: f64,
}

/// Names of the two axes and how their values are written.
pub(super) struct Labels<'a> {
    pub x: &'a str,
    pub y: &'a str,
    pub x_tick: &'a dyn Fn(f64) -> String,
    pub y_tick: &'a dyn Fn(f64) -> String,
}

impl Plane {
    pub fn new(x: Axis, y: Axis, [width, height]: Point, top: f64) -> Plane {
        let (left, right, bottom) = (72.0, 20.0, 52.0);
        Plane { x, y, left, top, width: width - left - right, height: height - top - bottom }
    }

    fn place(&self, x: f64, y: f64) -> Point {
        let (right, up) = (self.x.share(x), self.y.share(y));
        [self.left + self.width * right, self.top + self.height * (1.0 - up)]
    }

    /// As [`place`](Self::place), but not outside.
    pub fn clamped(&self, x: f64, y: f64) -> Point {
        self.place(x.clamp(self.x.low, self.x.high), y.clamp(self.y.low, self.y.high))
    }

    fn holds(&self, x: f64, y: f64) -> bool {
        self.x.holds(x) && self.y.holds(y)
    }

    /// Grid, numbers along the axes, and their names.
    pub fn frame(&self, labels: &Labels) -> Vec<Item> {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        let mut items = Vec::new();
        for tick in self.x.ticks(8) {
            let [x, _] = self.place(tick, self.y.low);
            items.push(line(vec![[x, self.top], [x, bottom]], Role::Grid, 1.0));
            let words = (labels.x_tick)(tick);
            items.push(text([x, bottom + 17.0], words, 11.0, Role::Muted, Anchor::Middle));
        }
        for tick in self.y.ticks(7) {
            let [_, y] = self.place(self.x.low, tick);
            items.push(line(vec![[self.left, y], [right, y]], Role::Grid, 1.0));
            let words = (labels.y_tick)(tick);
            items.push(text([self.left - 8.0, y + 4.0], words, 11.0, Role::Muted, Anchor::End));
        }
        items.push(line(vec![[self.left, bottom], [right, bottom]], Role::Muted, 1.0));
        items.push(line(vec![[self.left, self.top], [self.left, bottom]], Role::Muted, 1.0));
        let below = [self.left + self.width / 2.0, bottom + 40.0];
        items.push(text(below, labels.x.to_owned(), 12.0, Role::Ink, Anchor::Middle));
        items.push(Item::Text(Text {
            at: [18.0, self.top + self.height / 2.0],
            words: labels.y.to_owned(),
            size: 12.0,
            role: Role::Ink,
            anchor: Anchor::Middle,
            turned: true,
            halo: false,
        }));
        items
    }
}

pub(super) fn line(points: Vec<Point>, role: Role, width: f64) -> Item {
    Item::Line { points, role, width, opacity: 1.0, dashed: false }
}

pub(super) fn text(at: Point, words: String, size: f64, role: Role, anchor: Anchor) -> Item {
    Item::Text(Text { at, words, size, role, anchor, turned: false, halo: false })
}

pub(super) fn scene([width, height]: Point, description: String, items: Vec<Item>) -> Scene {
    let paper =
        Item::Area { from: [0.0, 0.0], to: [width, height], role: Role::Paper, opacity: 1.0 };
    let items = std::iter::once(paper).chain(items).collect();
    Scene { width, height, description, items }
}

const FRONT_SIZE: Point = [860.0, 520.0];

/// Error against the cost axis: members with intervals, colours and shapes by family, the rest
/// grey, limits with what breaks them shaded, the knee ringed.
pub(super) fn front(front: &Front) -> Scene {
    let objective = front.cost_axis();
    let (x, y) = front_axes(front, objective);
    let plane = Plane::new(x, y, FRONT_SIZE, 84.0);
    let labels = Labels {
        x: &axis_title(objective, front),
        y: "validation error",
        x_tick: &|v| short(&objective.format(v)),
        y_tick: &|v| short(&Objective::Error.format(v)),
    };
    let mut items = limit_areas(front, &plane, objective);
    items.extend(plane.frame(&labels));
    items.extend(limit_lines(front, &plane, objective));
    let outside = others(front, &plane, objective, &mut items);
    items.extend(staircase(front, &plane, objective));
    items.extend(members(front, &plane, objective));
    items.extend(member_labels(front, &plane, objective));
    items.extend(heading(front, outside));
    let description =
        format!("Error against {} of {} members", objective.name(), front.members.len());
    scene(FRONT_SIZE, description, items)
}

fn axis_title(objective: Objective, front: &Front) -> String {
    match objective {
        Objective::Latency => {
            let after = front.sustained_s.map_or(String::new(), |s| format!(" after {s} s"));
            format!("latency{after} on {}", clean(&front.device.name, 40))
        }
        Objective::Memory => format!("peak memory on {}", clean(&front.device.name, 40)),
        Objective::Error => "validation error".to_owned(),
        Objective::Parameters => "parameters".to_owned(),
        Objective::Macs => "multiply-accumulates".to_owned(),
        Objective::ModelBytes => "size of the ONNX file".to_owned(),
    }
}

/// Errors are drawn on a logarithmic axis if the largest is this many times the median member's, else
/// most would lie in a line along the bottom.
const WIDE: f64 = 4.0;

/// Members with their intervals fit; what is far worse than every member does not stretch it.
pub(super) fn front_axes(front: &Front, objective: Objective) -> (Axis, Axis) {
    let all = || front.members.iter().chain(&front.others);
    let ends = |c: &Candidate| c.row.value(objective).map(|v| v.interval);
    let costs = all().filter_map(ends).flatten();
    let limit = front.limit(objective);
    let x = Axis::around(costs.chain(limit));
    let error = |c: &Candidate| c.row.value(Objective::Error);
    let highest = front.members.iter().filter_map(error).map(|v| v.interval[1]);
    let member_most = highest.fold(0.0, f64::max);
    let errors: Vec<f64> = front.members.iter().filter_map(error).map(|v| v.value).collect();
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let is_wide = median(&errors).is_some_and(|middle| member_most > WIDE * middle);
    if least > 0.0 && is_wide {
        return (x, Axis::around([least, member_most].into_iter()));
    }
    let cap = if member_most > 0.0 { 1.35 * member_most } else { 1.0 };
    let other = all().filter_map(error).map(|v| v.value.min(cap));
    (x, Axis::from_zero(other.chain([member_most])))
}

fn limit_areas(front: &Front, plane: &Plane, objective: Objective) -> Vec<Item> {
    let mut items = Vec::new();
    let (x, y) = (&plane.x, &plane.y);
    let mut shade = |from: Point, to: Point| {
        items.push(Item::Area { from, to, role: Role::Limit, opacity: 0.09 });
    };
    if let Some(limit) = front.limit(objective) {
        shade(plane.clamped(limit, y.high), plane.place(x.high, y.low));
    }
    if let Some(limit) = front.limit(Objective::Error) {
        shade(plane.clamped(x.low, limit), plane.place(x.high, y.high));
    }
    items
}

fn limit_lines(front: &Front, plane: &Plane, objective: Objective) -> Vec<Item> {
    let mut items = Vec::new();
    let (x, y) = (&plane.x, &plane.y);
    let mut draw = |points: Vec<Point>, at: Point, words: String, anchor| {
        items.push(Item::Line {
            points,
            role: Role::Limit,
            width: 1.5,
            opacity: 1.0,
            dashed: true,
        });
        items.push(text(at, words, 11.0, Role::Limit, anchor));
    };
    if let Some(limit) = front.limit(objective).filter(|l| x.holds(*l)) {
        let top = plane.place(limit, y.high);
        let words = format!("limit {}", short(&objective.format(limit)));
        let points = vec![top, plane.place(limit, y.low)];
        draw(points, [top[0] - 6.0, top[1] + 14.0], words, Anchor::End);
    }
    if let Some(limit) = front.limit(Objective::Error).filter(|l| y.holds(*l)) {
        let right = plane.place(x.high, limit);
        let words = format!("limit {}", short(&Objective::Error.format(limit)));
        let points = vec![plane.place(x.low, limit), right];
        draw(points, [right[0] - 6.0, right[1] - 6.0], words, Anchor::End);
    }
    items
}

/// Draws the others in grey; returns how many lie outside.
fn others(front: &Front, plane: &Plane, objective: Objective, items: &mut Vec<Item>) -> usize {
    let mut outside = 0;
    for candidate in &front.others {
        let Some([x, y]) = values(candidate, objective) else { continue };
        if !plane.holds(x.value, y.value) {
            outside += 1;
            continue;
        }
        items.push(Item::Mark {
            at: plane.place(x.value, y.value),
            shape: Shape::of_family(candidate.family),
            radius: 3.2,
            role: Role::Faded,
            label: label(candidate, objective),
        });
    }
    outside
}

/// Members that are best in these two objectives; the others of the front are good for another.
fn corners(front: &Front, objective: Objective) -> Vec<(CandidateId, [f64; 2])> {
    let of = |m: &Candidate| values(m, objective).map(|[x, y]| (m.row.id, [x.value, y.value]));
    let all: Vec<(CandidateId, [f64; 2])> = front.members.iter().filter_map(of).collect();
    let points: Vec<[f64; 2]> = all.iter().map(|(_, point)| *point).collect();
    plain_front(&points).into_iter().map(|i| all[i]).collect()
}

/// What the members dominate in these two objectives.
fn staircase(front: &Front, plane: &Plane, objective: Objective) -> Option<Item> {
    let mut corners: Vec<[f64; 2]> =
        corners(front, objective).into_iter().map(|(_, point)| point).collect();
    corners.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let is_empty = corners.is_empty();
    let mut path = Vec::new();
    let mut height = plane.y.high;
    for [x, y] in corners {
        path.push(plane.clamped(x, height));
        path.push(plane.clamped(x, y));
        height = y;
    }
    path.push(plane.clamped(plane.x.high, height));
    let stairs =
        || Item::Line { points: path, role: Role::Muted, width: 1.2, opacity: 0.7, dashed: false };
    (!is_empty).then(stairs)
}

/// Radius of a member that is best in the two objectives of the plot, and of another.
const RADII: [f64; 2] = [5.5, 3.8];

fn members(front: &Front, plane: &Plane, objective: Objective) -> Vec<Item> {
    let best = corners(front, objective);
    let mut bars = Vec::new();
    let mut marks = Vec::new();
    for member in &front.members {
        let Some([x, y]) = values(member, objective) else { continue };
        let role = Role::Family(member.family);
        let at = plane.place(x.value, y.value);
        let [left, right] = x.interval.map(|end| plane.clamped(end, y.value));
        let [low, high] = y.interval.map(|end| plane.clamped(x.value, end));
        for points in [vec![left, right], vec![low, high]] {
            bars.push(Item::Line { points, role, width: 1.2, opacity: 0.4, dashed: false });
        }
        let shape = Shape::of_family(member.family);
        let label = label(member, objective);
        let is_best = best.iter().any(|(id, _)| *id == member.row.id);
        let radius = if is_best { RADII[0] } else { RADII[1] };
        marks.push(Item::Mark { at, shape, radius, role, label });
        if front.knee == Some(member.row.id) {
            marks.push(Item::Ring { at, radius: 11.0, role: Role::Ink });
        }
    }
    bars.into_iter().chain(marks).collect()
}

/// Numbers beside the members, the knee first and then the best, as far as they do not hide each other.
fn member_labels(front: &Front, plane: &Plane, objective: Objective) -> Vec<Item> {
    let mut order: Vec<&Candidate> = front.members.iter().collect();
    let best = corners(front, objective);
    let is_best = |m: &Candidate| best.iter().any(|(id, _)| *id == m.row.id);
    order.sort_by_key(|m| (front.knee != Some(m.row.id), !is_best(m)));
    let mut taken: Vec<[Point; 2]> = Vec::new();
    let mut items = Vec::new();
    for member in order {
        let Some([x, y]) = values(member, objective) else { continue };
        let knee = front.knee == Some(member.row.id);
        let words =
            if knee { format!("knee {}", member.row.id) } else { member.row.id.to_string() };
        let [x, y] = plane.place(x.value, y.value);
        let away = if knee { 13.0 } else { 8.0 };
        let at = [x + away, y - away + 1.0];
        let area = [[at[0], at[1] - 10.0], [at[0] + 7.0 * words.len() as f64, at[1] + 1.0]];
        if taken.iter().all(|other| !overlap(&area, other)) {
            taken.push(area);
            let role = if knee { Role::Ink } else { Role::Muted };
            let anchor = Anchor::Start;
            let text = Text { at, words, size: 10.5, role, anchor, turned: false, halo: true };
            items.push(Item::Text(text));
        }
    }
    items
}

fn overlap([a_from, a_to]: &[Point; 2], [b_from, b_to]: &[Point; 2]) -> bool {
    (0..2).all(|axis| a_from[axis] < b_to[axis] && b_from[axis] < a_to[axis])
}

/// Title, conditions, and what shapes and colours mean.
fn heading(front: &Front, outside: usize) -> Vec<Item> {
    let title = format!("Error against {}", front.cost_axis().name().replace('_', " "));
    let mut about = conditions(front).join(", ");
    if corners(front, front.cost_axis()).len() < front.members.len() {
        about += "; small marks are on the front for another objective";
    }
    let mut items = vec![
        text([24.0, 28.0], title, 16.0, Role::Ink, Anchor::Start),
        text([24.0, 48.0], about, 11.5, Role::Muted, Anchor::Start),
    ];
    let mut x = 30.0;
    let mut entry = |role, shape, words: String| {
        let next = x + 22.0 + 6.6 * words.chars().count() as f64;
        if next < FRONT_SIZE[0] {
            let label = String::new();
            items.push(Item::Mark { at: [x, 66.0], shape, radius: 4.5, role, label });
            items.push(text([x + 9.0, 70.0], words, 11.0, Role::Ink, Anchor::Start));
            x = next;
        }
    };
    let mut families: Vec<(usize, u64)> =
        front.members.iter().map(|m| (m.family, m.seed)).collect();
    families.sort_unstable();
    families.dedup();
    for (family, seed) in families {
        entry(Role::Family(family), Shape::of_family(family), format!("family of seed {seed}"));
    }
    if !front.others.is_empty() {
        let hidden = match outside {
            0 => String::new(),
            n => format!(" ({n} outside of the plot)"),
        };
        entry(Role::Faded, Shape::Circle, format!("trained, not on the front{hidden}"));
    }
    items
}

fn values(candidate: &Candidate, objective: Objective) -> Option<[Value; 2]> {
    Some([candidate.row.value(objective)?, candidate.row.value(Objective::Error)?])
}

fn label(candidate: &Candidate, objective: Objective) -> String {
    let quantity =
        |o: Objective| candidate.row.value(o).map(|v| o.format(v.value)).unwrap_or_default();
    format!(
        "candidate {}: {}, {}",
        candidate.row.id,
        quantity(Objective::Error),
        quantity(objective)
    )
}

const SMALL: Point = [560.0, 340.0];

/// Hypervolume after each generation, against seconds.
pub(super) fn hypervolume(trace: &[[f64; 2]]) -> Scene {
    let (unit, seconds) = time_unit(trace.last().map_or(0.0, |[at_s, _]| *at_s));
    let points: Vec<[f64; 2]> = trace.iter().map(|[at_s, hv]| [at_s / seconds, *hv]).collect();
    let x = Axis::from_zero(points.iter().map(|p| p[0]));
    let y = Axis::between(points.iter().map(|p| p[1]));
    let plane = Plane::new(x, y, SMALL, 20.0);
    let number = |v: f64| short(&format!("{v:.3}"));
    let time = |v: f64| format!("{} {unit}", short(&format!("{v:.1}")));
    let labels = Labels { x: "time", y: "hypervolume", x_tick: &time, y_tick: &number };
    let mut items = plane.frame(&labels);
    items.push(line(steps(&plane, &points), Role::Accent, 2.0));
    if let Some([x, y]) = points.last() {
        let (at, shape, role) = (plane.place(*x, *y), Shape::Circle, Role::Accent);
        let label = format!("{y:.4} after {}", time(*x));
        items.push(Item::Mark { at, shape, radius: 4.5, role, label });
        let below = [at[0] + 4.0, at[1] + 20.0];
        items.push(text(below, format!("{y:.3}"), 11.0, Role::Ink, Anchor::End));
    }
    scene(SMALL, format!("Hypervolume of {} generations", trace.len()), items)
}

/// A value holds until the next.
fn steps(plane: &Plane, points: &[[f64; 2]]) -> Vec<Point> {
    let start = points.iter().take(1).map(|[x, y]| plane.place(*x, *y));
    let rest = points.windows(2).flat_map(|pair| {
        let ([_, before], [x, y]) = (pair[0], pair[1]);
        [plane.place(x, before), plane.place(x, y)]
    });
    start.chain(rest).collect()
}

/// Name and seconds of the unit for times up to `most_s`.
fn time_unit(most_s: f64) -> (&'static str, f64) {
    match most_s {
        s if s < 120.0 => ("s", 1.0),
        s if s < 7200.0 => ("min", 60.0),
        s if s < 172_800.0 => ("h", 3600.0),
        _ => ("days", 86_400.0),
    }
}

/// Predicted against measured latency, with the line where they agree.
pub(super) fn predictions(predictions: &[Prediction]) -> Scene {
    let both = predictions.iter().flat_map(|p| [p.predicted_us, p.measured_us]);
    let axis = Axis::around(both);
    let [low, high] = [axis.low, axis.high];
    debug_assert!(axis.scale == Scale::Logarithmic);
    let plane = Plane::new(axis.clone(), axis, SMALL, 20.0);
    let micros = |v: f64| short(&Objective::Latency.format(v));
    let labels =
        Labels { x: "predicted latency", y: "measured latency", x_tick: &micros, y_tick: &micros };
    let mut items = plane.frame(&labels);
    let agree = vec![plane.place(low, low), plane.place(high, high)];
    items.push(line(agree, Role::Muted, 1.2));
    items.extend(predictions.iter().map(|p| Item::Mark {
        at: plane.place(p.predicted_us, p.measured_us),
        shape: Shape::Circle,
        radius: 3.4,
        role: if p.trained { Role::Accent } else { Role::Faded },
        label: format!(
            "candidate {}: predicted {}, measured {}",
            p.candidate,
            micros(p.predicted_us),
            micros(p.measured_us)
        ),
    }));
    scene(SMALL, format!("Latency of {} candidates", predictions.len()), items)
}
