//! Training on this machine's processor, with our own kernels.
//!
//! Inside, images are `[n, h, w, c]` and weights `[kh, kw, c_in, c_out]`; the border converts. A
//! graph is compiled to a [`program`], a batch is cut into [`chunk`]s of a fixed number of images,
//! and a step is a few *phases* in which chunks work alone, with sums over chunks in between.

mod backward;
mod batches;
mod channels;
mod chunk;
mod conv;
mod depthwise;
mod elementwise;
mod forward;
mod lanes;
mod loss;
mod memory;
mod norm;
mod optimizer;
mod parameters;
mod pool;
mod profile;
mod program;
mod resize;
mod scoring;
mod session;
mod shared;
mod simd;
mod sliding;
mod tile;
mod transform;
mod winograd;
mod workers;

pub use profile::Profile;
pub use simd::Level;
pub use simd::Simd;

use crate::data::DataSet;
use crate::data::Samples;
use crate::graph::Activations;
use crate::graph::Graph;
use crate::graph::Network;
use crate::graph::NodeId;
use crate::graph::Observed;
use crate::graph::Tensor;
use crate::units::Bytes;
use crate::units::Fraction;

use super::Distill;
use super::Epoch;
use super::Evaluation;
use super::TrainError;
use super::TrainPlan;
use super::TrainReport;
use super::Trainer;
use super::Watch;

use batches::Feed;
use chunk::IMAGES;
use memory::Buffers;
use norm::Moments;
use optimizer::Optimizer;
use optimizer::Rule;
use program::Program;
use scoring::Scorer;
use session::Objective;
use session::Session;
use shared::Shared;
use workers::Workers;

/// Images of a batch of [`Trainer::recalibrate`].
const RECALIBRATION_BATCH: usize = 128;

/// The default trainer.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Threads of evaluation, observation and recalibration; training uses those of its plan.
    pub threads: usize,
    /// Vector instructions to use.
    pub simd: Simd,
}

impl Cpu {
    /// A trainer that evaluates on so many threads, with the best instructions of this machine.
    pub fn new(threads: usize) -> Cpu {
        Cpu { threads, simd: Simd::detect() }
    }
}

impl Trainer for Cpu {
    fn name(&self) -> &str {
        "cpu"
    }

    fn peak_memory(&self, graph: &Graph, batch: usize) -> Bytes {
        let program = Program::compile(graph, self.simd, &[], &[]);
        let training = Buffers::for_training(&program);
        let chunks = |images: usize| (images / IMAGES, images % IMAGES);
        let (full, rest) = chunks(batch);
        let activations =
            full as u64 * training.bytes(IMAGES) + if rest > 0 { training.bytes(rest) } else { 0 };
        let scoring = self.threads as u64 * Scorer::new(&program, &[]).bytes();
        let packed: usize = program.packed_len();
        let per_parameter = Optimizer::VALUES_PER_PARAMETER + 2;
        let state = 4 * (per_parameter * program.parameters + 2 * packed) as u64;
        Bytes(activations + scoring + state)
    }

    fn train(
        &self,
        network: &Network,
        data: &DataSet,
        plan: &TrainPlan,
        watch: &mut dyn FnMut(&Epoch) -> Watch,
    ) -> Result<(Network, TrainReport), TrainError> {
        check_shape(&network.graph, &data.train)?;
        check_classes(&network.graph, data.classes.len())?;
        if let Some(distill) = &plan.distill {
            check_shape(&distill.teacher.graph, &data.train)?;
            check_classes(&distill.teacher.graph, data.classes.len())?;
        }
        plan.augment.check(data.shape)?;
        let program = Program::compile(&network.graph, self.simd, &[], &plan.frozen);
        let workers = Workers::new(plan.threads);
        let objective =
            Objective { teacher: plan.distill.as_ref().map(|d| (d.weight, d.temperature)) };
        let batch = plan.batch.clamp(1, data.train.len().max(1));
        let mut session = Session::new(&program, network, batch, objective);
        let teacher = plan.distill.as_ref().map(|d| Teacher::new(d, self.simd));
        let scorer = Scorer::new(&program, &[]);
        let mut feed = Feed::new(&data.train, data.classes.len(), plan);
        let mut report = TrainReport { curve: Vec::new(), stopped: false };
        for epoch in 1..=plan.epochs {
            let trained =
                run_epoch(&mut session, &mut feed, plan, epoch, teacher.as_ref(), &workers)?;
            let Some(train_loss) = trained else {
                report.stopped = true;
                break;
            };
            if !session.is_finite() {
                return Err(TrainError::Diverged { epoch });
            }
            let scored = score_now(&scorer, &session, network, &data.validation, &workers);
            let scored = scored.map_err(|_| TrainError::Diverged { epoch })?;
            let (validation_error, validation_loss) = (scored.error, scored.loss);
            let entry = Epoch { epoch, train_loss, validation_error, validation_loss };
            report.curve.push(entry);
            if watch(&entry) == Watch::Stop {
                report.stopped = true;
                break;
            }
        }
        Ok((session.network(network), report))
    }

    fn evaluate(&self, network: &Network, samples: &Samples) -> Result<Evaluation, TrainError> {
        check_shape(&network.graph, samples)?;
        let program = Program::compile(&network.graph, self.simd, &[], &[]);
        let workers = Workers::new(self.threads);
        let scorer = Scorer::new(&program, &[]);
        let shared = scorer.prepare(network, &workers);
        score(&program, &scorer, &shared, samples, &workers)
    }

    fn observe(
        &self,
        network: &Network,
        samples: &Samples,
        nodes: &[NodeId],
    ) -> Result<Activations, TrainError> {
        check_shape(&network.graph, samples)?;
        let program = Program::compile(&network.graph, self.simd, nodes, &[]);
        let workers = Workers::new(self.threads);
        let values: Vec<usize> = nodes.iter().map(|n| program.value_of[n]).collect();
        let scorer = Scorer::new(&program, &values);
        let shared = scorer.prepare(network, &workers);
        let seen = scorer.over(&shared, samples, &workers, |_, chunk| {
            let read = |&v: &usize| see(&program, v, scorer.value(chunk, v));
            values.iter().map(read).collect::<Vec<_>>()
        });
        let mut activations = Activations::default();
        for (n, &node) in nodes.iter().enumerate() {
            let chunks = seen.iter().map(|chunk| &chunk[n]);
            let observed = observed(&program, values[n], samples.len(), chunks)?;
            activations.nodes.insert(node, observed);
        }
        Ok(activations)
    }

    fn recalibrate(&self, network: &Network, samples: &Samples) -> Result<Network, TrainError> {
        check_shape(&network.graph, samples)?;
        let program = Program::compile(&network.graph, self.simd, &[], &[]);
        let workers = Workers::new(self.threads);
        let batch = RECALIBRATION_BATCH.min(samples.len().max(1));
        let mut session = Session::new(&program, network, batch, Objective::default());
        let steps = batches::steps(samples.len(), batch);
        let mut moments = vec![Moments::default(); program.norms.len()];
        for i in 0..steps {
            // Samples may lie class by class; every batch shall hold something of all.
            let which: Vec<usize> = (i..samples.len()).step_by(steps).collect();
            batches::fill_plainly(&mut session, samples, &which);
            session.statistics(&workers);
            for chunk in session.chunks.iter().filter(|c| c.images > 0) {
                moments.iter_mut().zip(&chunk.moments).for_each(|(all, m)| all.merge(m));
            }
        }
        with_statistics(network, &program, &moments)
    }
}

/// Mean loss of an epoch; `None` if the plan's flag ended it.
fn run_epoch(
    session: &mut Session,
    feed: &mut Feed,
    plan: &TrainPlan,
    epoch: u32,
    teacher: Option<&Teacher>,
    workers: &Workers,
) -> Result<Option<f64>, TrainError> {
    let order = feed.order(epoch);
    let mut total = 0.0;
    for i in 0..feed.steps {
        if plan.stop.is_set() {
            return Ok(None);
        }
        feed.fill(session, epoch, &order, i);
        if let Some(teacher) = teacher {
            teacher.answer(session, workers);
        }
        let step = (epoch as usize - 1) * feed.steps + i;
        let loss = session.step(&Rule::at(step, feed.steps, plan), workers);
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        total += loss;
    }
    Ok(Some(total / feed.steps.max(1) as f64))
}

/// The network that is imitated, ready to be evaluated.
struct Teacher {
    program: Program,
    shared: Shared,
}

impl Teacher {
    fn new(distill: &Distill, simd: Simd) -> Teacher {
        let program = Program::compile(&distill.teacher.graph, simd, &[], &[]);
        let shared = Scorer::new(&program, &[]).prepare(&distill.teacher, &Workers::new(1));
        Teacher { program, shared }
    }

    /// Puts the teacher's outputs for the batch into its chunks.
    fn answer(&self, session: &mut Session, workers: &Workers) {
        let scorer = Scorer::new(&self.program, &[]);
        let program = session.program;
        workers.each(&mut session.chunks, |_, chunk| {
            if chunk.images == 0 {
                return;
            }
            let mut own = scorer.chunk();
            own.images = chunk.images;
            let images = batches::input(chunk, program.len(0));
            scorer.input(&mut own).copy_from_slice(images);
            scorer.pass(&self.shared, &mut own);
            chunk.teacher.clear();
            chunk.teacher.extend(scorer.value(&own, self.program.output()));
        });
    }
}

/// Score of the network that is being trained, as it is now.
fn score_now(
    scorer: &Scorer,
    session: &Session,
    network: &Network,
    samples: &Samples,
    workers: &Workers,
) -> Result<Evaluation, TrainError> {
    let shared = scorer.prepare(&session.network(network), workers);
    score(session.program, scorer, &shared, samples, workers)
}

fn score(
    program: &Program,
    scorer: &Scorer,
    shared: &Shared,
    samples: &Samples,
    workers: &Workers,
) -> Result<Evaluation, TrainError> {
    let classes = program.classes();
    let scores = scorer.over(shared, samples, workers, |first, chunk| {
        let logits = scorer.value(chunk, program.output());
        let each = logits.chunks(classes).zip(&samples.labels[first..]);
        let scores = each.map(|(z, &class)| loss::score(z, class as usize));
        scores.fold((0.0, 0usize), |(loss, wrong), (l, w)| (loss + l, wrong + usize::from(w)))
    });
    let total: f64 = scores.iter().map(|(loss, _)| loss).sum();
    let wrong: usize = scores.iter().map(|(_, wrong)| wrong).sum();
    let count = samples.len().max(1) as f64;
    match total.is_finite() {
        true => Ok(Evaluation {
            error: Fraction(wrong as f64 / count),
            loss: total / count,
            samples: samples.len(),
        }),
        false => Err(TrainError::Diverged { epoch: 0 }),
    }
}

/// Values of one chunk in the graph's order, with their moments per channel.
fn see(program: &Program, value: usize, x: &[f32]) -> (Moments, Vec<f32>) {
    let [h, w, c] = program.shapes[value];
    let mut planes = vec![0.0; x.len()];
    channels::to_planes(x, h * w, c, &mut planes);
    (Moments::of(program.simd, x, c), planes)
}

fn observed<'a>(
    program: &Program,
    value: usize,
    images: usize,
    chunks: impl Iterator<Item = &'a (Moments, Vec<f32>)>,
) -> Result<Observed, TrainError> {
    let mut moments = Moments::default();
    let mut data: Vec<f32> = Vec::with_capacity(images * program.len(value));
    for (part, planes) in chunks {
        moments.merge(part);
        data.extend(planes);
    }
    if !data.iter().all(|x| x.is_finite()) {
        return Err(TrainError::Diverged { epoch: 0 });
    }
    let [h, w, c] = program.shapes[value];
    let shape = match program.is_image[value] {
        true => vec![images, c, h, w],
        false => vec![images, c],
    };
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
    Ok(Observed {
        mean: narrow(&moments.mean),
        variance: narrow(&moments.variance()),
        values: Tensor::new(&shape, data),
    })
}

fn with_statistics(
    network: &Network,
    program: &Program,
    moments: &[Moments],
) -> Result<Network, TrainError> {
    let mut network = network.clone();
    for (&node, moments) in program.norms.iter().zip(moments).filter(|(_, m)| m.count > 0.0) {
        let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let statistics = [narrow(&moments.mean), narrow(&moments.variance())];
        if !statistics.iter().flatten().all(|v| v.is_finite()) {
            return Err(TrainError::Diverged { epoch: 0 });
        }
        parameters::set_statistics(&mut network, node, &statistics);
    }
    Ok(network)
}

fn check_shape(graph: &Graph, samples: &Samples) -> Result<(), TrainError> {
    match graph.input_shape() == samples.shape {
        true => Ok(()),
        false => {
            Err(TrainError::WrongShape { network: graph.input_shape(), images: samples.shape })
        }
    }
}

fn check_classes(graph: &Graph, classes: usize) -> Result<(), TrainError> {
    let shapes = graph.shapes().expect("G3: shapes agree");
    match shapes[&graph.output()].len() {
        outputs if outputs == classes => Ok(()),
        outputs => Err(TrainError::WrongClasses { outputs, classes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Conv;
    use crate::graph::Linear;
    use crate::graph::Op;
    use crate::graph::Params;

    /// Two wide convolutions with a normalisation, all weights 0.
    fn network() -> Network {
        let mut graph = Graph::new([2, 12, 12]);
        let at = graph.push(Op::Conv(Conv::same(24, 3)), &[graph.input()]);
        let at = graph.push(Op::Conv(Conv::same(24, 3)), &[at]);
        let at = graph.push(Op::BatchNorm { epsilon: 1e-3 }, &[at]);
        let at = graph.push(Op::GlobalAveragePool, &[at]);
        let at = graph.push(Op::Flatten, &[at]);
        graph.push(Op::Linear(Linear { features: 3, bias: true }), &[at]);
        let shapes = graph.shapes().unwrap();
        let mut network = Network { graph: graph.clone(), weights: Default::default() };
        for node in graph.nodes().iter().skip(1) {
            let named = Graph::parameter_shapes(&node.op, shapes[&node.inputs[0]]);
            let named = named.into_iter().map(|(name, dims)| (name.into(), Tensor::zeros(&dims)));
            if let Some(params) = Params::from_tensors(&node.op, named.collect()) {
                network.weights.insert(node.id, params.into());
            }
        }
        network
    }

    #[test]
    fn peak_memory_is_what_a_session_holds_and_little_more() {
        let (network, trainer) = (network(), Cpu::new(1));
        for batch in [1, 20, 64] {
            let program = Program::compile(&network.graph, trainer.simd, &[], &[]);
            let mut session = Session::new(&program, &network, batch, Objective::default());
            session.shared.pack(&program, true, &Workers::new(1));
            let held = 4 * session.held_values() as u64;
            let planned = trainer.peak_memory(&network.graph, batch).0;
            let scoring = Scorer::new(&program, &[]).bytes();
            assert!(planned >= held + scoring, "{planned} {held}");
            assert!(planned < (held + scoring) * 5 / 4 + 100_000, "{planned} {held}");
        }
    }
}
