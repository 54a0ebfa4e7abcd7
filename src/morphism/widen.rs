//! Wider: more channels, the same function.
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;

use super::Applied;
use super::Choice;
use super::Exactness;
use super::Layout;
use super::Morphism;
use super::MorphismError;
use super::channels::Group;
use super::fresh;
use super::layout::MAX_CHANNELS;
use super::remap::Source;

/// Adds channels in cancelling pairs.
///
/// Both channels of a pair are computed by the same random rows `V`, in every producer of the
/// group, so they stay equal through all channel-wise operations; every mixing consumer reads
/// them with columns `Z` and `-Z`, whose contributions cancel, in evaluation and (where there is
/// no dropout) in training.
/// Their gradients are opposite, so they part with the first step.
///
/// # Source
///
/// Yuan, Savarese, Maire, *Accelerated Training via Incrementally Growing Neural Networks using
/// Variance Transfer and Learning Rate Adaptation*, NeurIPS 2023.
pub struct Widen;

/// Adds copies of random channels.
///
/// Producers and channel-wise operations compute a copied channel as the original. Consumers
/// share its columns among the copies in random parts that sum to 1, so the sum is unchanged in
/// evaluation and in training, and the gradients of the copies differ without any noise.
///
/// # Source
///
/// "Net2WiderNet" in Chen, Goodfellow, Shlens, *Net2Net*, ICLR 2016, which shares equally.
pub struct WidenCopy;

impl Morphism for Widen {
    fn name(&self) -> &'static str {
        "widen"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "adds channels in pairs whose contributions cancel"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        let in_pairs = |channels: usize, quarters: usize| (channels * quarters).div_ceil(8) * 2;
        wider(layout, site, in_pairs)
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        resized(layout, site, choice)
    }

    fn observes(&self, _: &Graph, _: &Applied) -> Vec<NodeId> {
        Vec::new()
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        _: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let (group, extra) = group_of(parent, applied);
        let mut map: Vec<Source> = (0..group.width).map(Source::Kept).collect();
        map.extend((0..extra).map(|i| if i % 2 == 0 { Source::Fresh } else { Source::Twin }));
        let shares = vec![1.0; map.len()];
        let mut random = |len: usize, deviation: f32| fresh::random(&[len], deviation, rng).data;
        Ok(group.remap(parent, &applied.graph, &map, &shares, &mut random))
    }
}

impl Morphism for WidenCopy {
    fn name(&self) -> &'static str {
        "widen-copy"
    }

    fn exactness(&self) -> Exactness {
        Exactness::Exact
    }

    fn summary(&self) -> &'static str {
        "adds copies of channels and shares their weights among them (Net2Net)"
    }

    fn choices(&self, layout: &Layout, site: NodeId) -> Result<Vec<Choice>, &'static str> {
        wider(layout, site, |channels, quarters| (channels * quarters).div_ceil(4))
    }

    fn edit(&self, layout: &Layout, site: NodeId, choice: Choice) -> Graph {
        resized(layout, site, choice)
    }

    fn observes(&self, _: &Graph, _: &Applied) -> Vec<NodeId> {
        Vec::new()
    }

    fn initialise(
        &self,
        parent: &Network,
        applied: &Applied,
        _: &Activations,
        rng: &mut ChaCha8Rng,
    ) -> Result<Network, MorphismError> {
        let (group, extra) = group_of(parent, applied);
        let mut sources: Vec<usize> = (0..group.width).collect();
        sources.extend((0..extra).map(|_| rng.random_range(0..group.width)));
        let mut shares: Vec<f32> = sources.iter().map(|_| rng.random_range(0.25..1.0)).collect();
        let mut sums = vec![0.0; group.width];
        sources.iter().zip(&shares).for_each(|(&c, share)| sums[c] += share);
        sources.iter().zip(&mut shares).for_each(|(&c, share)| *share /= sums[c]);
        let map: Vec<Source> = sources.into_iter().map(Source::Kept).collect();
        let mut random = |len, _| vec![0.0; len];
        Ok(group.remap(parent, &applied.graph, &map, &shares, &mut random))
    }
}

/// Widths by a quarter, a half and the whole more, as `extra(channels, quarters)` rounds them.
fn wider(
    layout: &Layout,
    site: NodeId,
    extra: impl Fn(usize, usize) -> usize,
) -> Result<Vec<Choice>, &'static str> {
    layout.may_grow()?;
    let from = Group::of(layout, site)?.width;
    let mut widths: Vec<usize> = [1, 2, 4].map(|quarters| from + extra(from, quarters)).to_vec();
    widths.dedup();
    widths.retain(|&to| to <= MAX_CHANNELS);
    Ok(widths.into_iter().map(|to| Choice::Channels { from, to }).collect())
}

fn resized(layout: &Layout, site: NodeId, choice: Choice) -> Graph {
    let Choice::Channels { to, .. } = choice else { panic!("`{choice}` is no choice of widen") };
    let group = Group::of(layout, site).expect("a choice exists only at a site");
    group.resize(layout.graph(), to)
}

/// The group that was widened, and by how many channels.
fn group_of(parent: &Network, applied: &Applied) -> (Group, usize) {
    let Choice::Channels { from, to } = applied.step.edit else {
        panic!("`{}` is no choice of widen", applied.step.edit)
    };
    let layout = Layout::new(&parent.graph);
    let group = Group::of(&layout, applied.step.site).expect("a step is recorded at a site");
    (group, to - from)
}
