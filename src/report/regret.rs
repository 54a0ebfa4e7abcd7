//! Regret of strategies against queries.
use super::axis::Axis;
use super::axis::Scale;
use super::chart::Labels;
use super::chart::Plane;
use super::chart::scene;
use super::chart::text;
use super::scene::Anchor;
use super::scene::FAMILIES;
use super::scene::Item;
use super::scene::Point;
use super::scene::Role;
use super::text::short;

/// One strategy on one device.
#[derive(Clone, Debug)]
pub struct RegretCurve {
    /// Its name.
    pub name: String,
    /// After each query: mean over the seeds and half its 95 % interval, in %.
    pub means: Vec<[f64; 2]>,
}

/// Size of a panel.
const PANEL: Point = [560.0, 380.0];
/// Above the panels.
const HEAD: f64 = 34.0;
/// Regrets below are not told apart.
const LEAST: f64 = 0.1;

/// A panel for each device: regret on a logarithmic axis against queries, bands are 95 % intervals of the
/// mean.
pub fn regret_svg(title: &str, panels: &[(String, Vec<RegretCurve>)]) -> String {
    let columns = panels.len().min(2);
    let rows = panels.len().div_ceil(2);
    let size = [columns as f64 * PANEL[0], HEAD + rows as f64 * PANEL[1]];
    let middle = [size[0] / 2.0, 24.0];
    let mut items = vec![text(middle, title.to_owned(), 14.0, Role::Ink, Anchor::Middle)];
    for (at, (device, curves)) in panels.iter().enumerate() {
        let corner = [(at % 2) as f64 * PANEL[0], HEAD + (at / 2) as f64 * PANEL[1]];
        items.extend(panel(device, curves).into_iter().map(|item| item.moved(corner)));
    }
    scene(size, format!("Regret of strategies: {title}"), items).svg()
}

fn panel(device: &str, curves: &[RegretCurve]) -> Vec<Item> {
    let queries = curves.iter().map(|c| c.means.len()).max().unwrap_or(1);
    let values = curves.iter().flat_map(|c| &c.means).map(|[mean, _]| mean.max(LEAST));
    let x = Axis { low: 1.0, high: (queries as f64).max(2.0), scale: Scale::Whole };
    let plane = Plane::new(x, Axis::around(values), PANEL, 28.0);
    let labels = Labels {
        x: "queries",
        y: "hypervolume regret, %",
        x_tick: &|v| short(&format!("{v:.0}")),
        y_tick: &|v| short(&format!("{v:.2}")),
    };
    let mut items = plane.frame(&labels);
    for (at, curve) in curves.iter().enumerate() {
        let (low, high) = (edge(&plane, curve, -1.0), edge(&plane, curve, 1.0));
        let points = low.into_iter().chain(high.into_iter().rev()).collect();
        items.push(Item::Band { points, role: Role::Family(at), opacity: 0.13 });
    }
    for (at, curve) in curves.iter().enumerate() {
        let role = Role::Family(at);
        // Colours come back.
        let dashed = at >= FAMILIES;
        let draw = |points| Item::Line { points, role, width: 1.8, opacity: 1.0, dashed };
        let [x, y] = [plane.left + plane.width - 8.0, plane.top + 16.0 + 15.0 * at as f64];
        items.push(draw(edge(&plane, curve, 0.0)));
        items.push(draw(vec![[x - 24.0, y - 4.0], [x, y - 4.0]]));
        items.push(text([x - 29.0, y], curve.name.clone(), 11.0, role, Anchor::End));
    }
    let above = [plane.left, 18.0];
    items.push(text(above, device.to_owned(), 13.0, Role::Ink, Anchor::Start));
    items
}

/// The curve, or an edge of its band: the mean and so many halves of the interval.
fn edge(plane: &Plane, curve: &RegretCurve, halves: f64) -> Vec<Point> {
    let point = |(query, [mean, half]): (usize, &[f64; 2])| {
        plane.clamped(query as f64, (mean + halves * half).max(LEAST))
    };
    (1..).zip(&curve.means).map(point).collect()
}
