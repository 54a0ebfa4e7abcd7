//! A made-up run that looks like a real one: deterministic records for the store and the report.
use citronade::graph::*;
use citronade::morphism::Choice;
use citronade::morphism::Step;
use citronade::pareto::Objective;
use citronade::pareto::Reference;
use citronade::store::*;
use citronade::train::Epoch;
use citronade::units::Fraction;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Latency over which a made-up candidate does not train, µs.
pub const LIMIT_US: f64 = 60.0;

/// The run that [`records`] belong to.
pub fn run_record() -> RunRecord {
    RunRecord {
        id: "20261124-131502-7f3a".to_owned(),
        created: 1_795_526_102,
        config: r#"{"strategy":"lemonade","seed":7,"limits":["latency<=60us"]}"#.to_owned(),
        data: "digits".to_owned(),
        data_hash: "5e2f".repeat(16),
        devices: vec![RunDevice {
            name: "local".to_owned(),
            runtime: "tract 0.23.9".to_owned(),
            reference: Some(serde_json::to_string(&reference()).unwrap()),
        }],
        threads: 1,
        objectives: ["error", "latency", "parameters"].map(str::to_owned).to_vec(),
        limits: [("latency_us".to_owned(), LIMIT_US)].into(),
    }
}

/// Of three objectives: always guessing, the limit, and four times the largest seed.
fn reference() -> Reference {
    let objectives = vec![Objective::Error, Objective::Latency, Objective::Parameters];
    Reference::new(objectives, vec![0.9, LIMIT_US, 5000.0]).unwrap()
}

/// Three seeds and `generations` generations of eight children after them.
pub fn records(generations: u32, seed: u64) -> Vec<Record> {
    let mut run = MadeUp {
        rng: ChaCha8Rng::seed_from_u64(seed),
        records: Vec::new(),
        alive: Vec::new(),
        next: 1,
        proposed: 0,
        clock_s: 0.0,
    };
    run.seeds();
    for generation in 1..=generations {
        run.generation(generation);
    }
    run.records
}

struct MadeUp {
    rng: ChaCha8Rng,
    records: Vec<Record>,
    /// Trained ones.
    alive: Vec<Candidate>,
    next: CandidateId,
    proposed: u64,
    clock_s: f64,
}

#[derive(Clone)]
struct Candidate {
    id: CandidateId,
    /// Channels of each block, and whether it is separable.
    blocks: Vec<(usize, bool)>,
    latency_us: f64,
    error: f64,
    rounds: u32,
}

impl MadeUp {
    fn seeds(&mut self) {
        let seeds = [vec![(4, false)], vec![(8, true), (8, true)], vec![(8, false), (12, false)]];
        self.proposed = 3;
        let ids: Vec<_> =
            (0..).zip(seeds).map(|(i, b)| self.live(None, 0, i + 1, b, vec![])).collect();
        self.tell(0, ids);
    }

    fn generation(&mut self, generation: u32) {
        let mut ids = Vec::new();
        let mut looked_at = 0;
        for _ in 0..8 {
            looked_at += self.rng.random_range(2..=7);
            let front = self.front();
            let parent = front[self.rng.random_range(0..front.len())].clone();
            let mut blocks = parent.blocks.clone();
            let steps: Vec<Step> =
                (0..self.rng.random_range(1..=2)).map(|_| self.morph(&mut blocks)).collect();
            ids.push(self.live(Some(&parent), generation, looked_at, blocks, steps));
        }
        self.proposed += looked_at;
        self.tell(generation, ids);
    }

    fn morph(&mut self, blocks: &mut Vec<(usize, bool)>) -> Step {
        let at = self.rng.random_range(0..blocks.len());
        let (channels, separable) = blocks[at];
        let (morphism, choice) = match self.rng.random_range(0..5) {
            0 if blocks.len() < 6 => {
                blocks.insert(at, (channels, false));
                ("deepen", "3×3 convolution".to_owned())
            }
            1 if !separable => {
                blocks[at].1 = true;
                ("separable", "depthwise and pointwise".to_owned())
            }
            2 if channels > 4 => {
                blocks[at].0 = channels * 3 / 4;
                ("prune", format!("{channels} → {} channels", channels * 3 / 4))
            }
            _ => {
                blocks[at].0 = channels * 3 / 2;
                ("widen", format!("{channels} → {} channels", channels * 3 / 2))
            }
        };
        let edit = Choice::Insert { kernel: 3 };
        Step { morphism: morphism.to_owned(), site: NodeId(at as u32 + 1), choice, edit }
    }

    /// The life of one candidate, recorded as it goes.
    fn live(
        &mut self,
        parent: Option<&Candidate>,
        generation: u32,
        proposed: u64,
        blocks: Vec<(usize, bool)>,
        steps: Vec<Step>,
    ) -> CandidateId {
        let id = self.next;
        self.next += 1;
        let graph = build(&blocks);
        let cost = graph.cost();
        let latency_us = 3.0 + 1.2 * blocks.len() as f64 + cost.macs.0 as f64 / 6000.0;
        let predicted = latency_us * self.normal(0.09).exp();
        self.clock_s += 0.05;
        self.records.push(Record::Accepted(Accepted {
            candidate: id,
            parent: parent.map(|p| p.id),
            generation,
            proposed,
            arch: graph.arch_id(),
            graph,
            choices: id.is_multiple_of(4).then(|| vec![id as u8, 0, 3]),
            steps: steps.clone(),
            parameters: cost.parameters,
            macs: cost.macs.0,
            predicted_latency_us: (id > 5).then_some(predicted),
            at_s: self.clock_s,
        }));
        let mut candidate = Candidate { id, blocks, latency_us, error: 1.0, rounds: 0 };
        self.measure(&mut candidate, 0.03);
        match parent {
            Some(_) if latency_us > LIMIT_US => self.end(id, EndKind::KilledBeforeTraining, 0),
            Some(_) if self.rng.random_bool(0.3) => self.end(id, EndKind::KilledBeforeTraining, 0),
            Some(_) if self.rng.random_bool(0.06) => self.end(id, EndKind::StoppedInTraining, 4),
            Some(_) if self.rng.random_bool(0.02) => self.end(id, EndKind::Failed, 0),
            Some(_) | None => self.train(candidate, parent.map_or(0.9, |p| p.error), &steps),
        }
        id
    }

    fn measure(&mut self, candidate: &mut Candidate, spread: f64) {
        self.clock_s += 1.5;
        let latency_us = candidate.latency_us * self.normal(spread / 2.0).exp();
        let parameters = build(&candidate.blocks).cost().parameters;
        self.records.push(Record::Measured(Measured {
            candidate: candidate.id,
            device: 0,
            round: candidate.rounds,
            latency_us,
            latency_interval_us: [latency_us * (1.0 - spread), latency_us * (1.0 + spread)],
            memory_bytes: Some(180_000 + 9 * parameters),
            model_bytes: 1200 + 4 * parameters,
            verdict: if self.rng.random_bool(0.1) { "noisy" } else { "stable" }.to_owned(),
            json: format!(
                r#"{{"schema":"citronade.measurement.v1","samples_us":[[{latency_us}]]}}"#
            ),
            at_s: self.clock_s,
        }));
        candidate.rounds += 1;
    }

    fn end(&mut self, candidate: CandidateId, kind: EndKind, epochs: u32) {
        let reason = match kind {
            EndKind::KilledBeforeTraining => "latency over the limit of 60.0 µs",
            EndKind::StoppedInTraining => "its curve cannot enter the front",
            EndKind::Diverged => "the loss is not finite",
            EndKind::Failed => "the runner ended with status 101",
            EndKind::Unfinished => "the budget was spent first",
        };
        self.clock_s += 0.8 * f64::from(epochs);
        let reason = reason.to_owned();
        let (epochs_saved, at_s) = (12 - epochs, self.clock_s);
        self.records.push(Record::Ended(Ended {
            candidate,
            kind,
            reason,
            epochs,
            epochs_saved,
            at_s,
        }));
    }

    fn train(&mut self, mut candidate: Candidate, from: f64, steps: &[Step]) {
        let cost = build(&candidate.blocks).cost();
        let depth = candidate.blocks.len() as f64;
        let ideal = 0.006 + 2.4 * (cost.macs.0 as f64).powf(-0.38) / depth.powf(0.25);
        candidate.error = (ideal * self.normal(0.12).exp()).min(0.9);
        let mut before = from;
        let mut outcomes = Vec::new();
        for step in steps {
            let exact = matches!(step.morphism.as_str(), "deepen" | "widen");
            let loss = if exact { 0.0 } else { self.rng.random_range(0.0..0.08) };
            let (step, error_before, error_after) = (step.clone(), before, before + loss);
            outcomes.push(StepOutcome { step, error_before, error_after });
            before += loss;
        }
        self.clock_s += 9.6;
        let (error, n) = (candidate.error, 360.0);
        let half = 1.96 * (error * (1.0 - error) / n).sqrt();
        let curve = (1..=12).map(|epoch| {
            let still = f64::from(12 - epoch) / 12.0;
            let now = error + still * still * (before - error).max(0.02);
            Epoch {
                epoch,
                train_loss: 2.2 * now,
                validation_error: Fraction(now),
                validation_loss: 3.0 * now,
            }
        });
        self.records.push(Record::Trained(Trained {
            candidate: candidate.id,
            error,
            error_interval: [(error - half).max(0.0), error + half],
            outcomes,
            curve: curve.collect(),
            weights: Some(format!("{:064x}", 2 * candidate.id)),
            onnx: Some(format!("{:064x}", 2 * candidate.id + 1)),
            train_s: 9.6,
            at_s: self.clock_s,
        }));
        self.alive.push(candidate);
    }

    /// Measures the front again and tells the generation.
    fn tell(&mut self, generation: u32, candidates: Vec<CandidateId>) {
        let members = self.front();
        let front: Vec<CandidateId> = members.iter().map(|c| c.id).collect();
        for &id in &front {
            let at = self.alive.iter().position(|c| c.id == id).unwrap();
            let mut member = self.alive[at].clone();
            if member.rounds < 3 {
                self.measure(&mut member, 0.012);
                self.alive[at] = member;
            }
        }
        self.records.push(Record::Told(Told {
            generation,
            candidates,
            proposed: self.proposed,
            fronts: vec![ToldFront {
                hypervolume: self.hypervolume(),
                members: members.iter().map(front_member).collect(),
            }],
            at_s: self.clock_s,
        }));
    }

    /// Non-dominated in error and latency, fastest first.
    fn front(&self) -> Vec<Candidate> {
        let mut sorted = self.alive.clone();
        sorted.sort_by(|a, b| a.latency_us.total_cmp(&b.latency_us));
        let mut best = f64::INFINITY;
        sorted.retain(|c| {
            c.error < best && {
                best = c.error;
                true
            }
        });
        sorted
    }

    fn hypervolume(&self) -> f64 {
        let point = |c: &Candidate| {
            let parameters = build(&c.blocks).cost().parameters as f64;
            [c.error, c.latency_us, parameters]
        };
        reference().hypervolume(&self.alive.iter().map(point).collect::<Vec<_>>())
    }

    /// Normal of this deviation, by the central limit of twelve uniform numbers.
    fn normal(&mut self, deviation: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.rng.random::<f64>()).sum();
        deviation * (sum - 6.0)
    }
}

/// As the engine writes a member: error, latency, parameters.
fn front_member(c: &Candidate) -> FrontMember {
    let values = vec![c.error, c.latency_us, build(&c.blocks).cost().parameters as f64];
    let around = |half: f64| move |v: &f64| [v * (1.0 - half), v * (1.0 + half)];
    let intervals = values.iter().zip([0.0, 0.02, 0.0]).map(|(v, half)| around(half)(v)).collect();
    FrontMember { candidate: c.id, values, intervals }
}

/// Blocks of convolution, batch normalisation and ReLU on an 8×8 image of ten classes.
fn build(blocks: &[(usize, bool)]) -> Graph {
    let mut graph = Graph::new([1, 8, 8]);
    let (mut at, mut inputs) = (graph.input(), 1);
    for &(channels, separable) in blocks {
        if separable {
            let depthwise = Conv { groups: inputs, ..Conv::same(inputs, 3) };
            at = graph.push(Op::Conv(depthwise), &[at]);
        }
        at = graph.push(Op::Conv(Conv::same(channels, if separable { 1 } else { 3 })), &[at]);
        at = graph.push(Op::BatchNorm { epsilon: 1e-5 }, &[at]);
        at = graph.push(Op::Activation(Activation::Relu), &[at]);
        inputs = channels;
    }
    let at = graph.push(Op::GlobalAveragePool, &[at]);
    let at = graph.push(Op::Flatten, &[at]);
    graph.push(Op::Linear(Linear { features: 10, bias: true }), &[at]);
    graph
}
