//! Training the front on before a time budget ends.
//!
//! Children are trained for a few epochs each, so that many can be tried; what is shipped deserves
//! a whole schedule. So the last part of a time budget belongs to the front: its members are trained
//! on, as candidates of their own whose lineage has no morphism, as far as the time allows: in turn
//! the most accurate and the one that takes least, of which many fit. How long it will take is known
//! from their own trainings. What comes of a member stands in its place, better or not: the best of a
//! thousand brief trainings owes its validation error partly to luck, and one fresh training of each
//! member is a far smaller lottery.
use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::search::Generation;
use crate::search::Proposal;
use crate::store::Accepted;
use crate::store::CandidateId;
use crate::store::EndKind;
use crate::store::Trained;

use super::Engine;
use super::EngineError;
use super::Event;
use super::FINAL_ROUNDS;
use super::RunConfig;
use super::State;
use super::architecture;
use super::develop::IMITATED_IMAGES;
use super::develop::is_approximate;
use super::lanes;
use super::plan::Scale;
use super::plan::Start;
use super::plan::epochs_of_refinement;

/// The estimate of the time times this is kept free.
const CAUTION: f64 = 1.15;
/// Newest trainings, the largest quarter of which tells how fast this machine trains.
const TRAININGS: usize = 200;
/// What the first measurement of a candidate takes.
const SCREEN_S: f64 = 0.5;

impl Engine {
    /// Opens a generation of front members that are trained on; false while it is too early, or if
    /// there is none to train.
    pub(super) fn refine(
        &mut self,
        watch: &mut dyn FnMut(&Event, &State),
    ) -> Result<bool, EngineError> {
        let Some(budget) = self.config.budget.seconds else { return Ok(false) };
        let left = self.deadline().unwrap_or(budget) - self.seconds();
        let share = self.config.training.share_of_refinement * budget;
        // Each new candidate is measured once before, and as a member of the front after.
        let measuring = SCREEN_S + (FINAL_ROUNDS - 1) as f64 * self.seconds_a_round;
        let most = share.min(left) / CAUTION;
        let plan = Refinement::of(self.refinable(), lanes(&self.config), measuring, most);
        let too_early = left > CAUTION * plan.seconds + self.state.seconds_of_last_generation();
        if plan.members.is_empty() || too_early {
            return Ok(false);
        }
        let mut members = plan.members;
        members.truncate(self.candidates_left());
        let proposals = members.into_iter().map(|parent| {
            let accepted = &self.state.candidates()[&parent].accepted;
            Proposal { parent: Some(parent), architecture: architecture(accepted) }
        });
        let asked = Generation { proposals: proposals.collect(), looked_at: 0 };
        let generation = self.state.generation();
        let accepted = self.accept(asked, watch)?;
        watch(&Event::Refining { generation, accepted }, &self.state);
        Ok(true)
    }

    /// Front members that were not trained on yet, with the seconds it would take: in turn the most
    /// accurate of those left and the one that takes least.
    fn refinable(&self) -> Vec<(CandidateId, f64)> {
        let all = self.state.candidates();
        let refined = all.values().filter(|c| {
            let is_over = c.ended.as_ref().is_none_or(|e| e.kind != EndKind::Unfinished);
            Start::of(&c.accepted) == Start::Refinement && is_over
        });
        let done: BTreeSet<CandidateId> = refined
            .flat_map(|c| [Some(c.accepted.candidate), c.accepted.parent])
            .flatten()
            .collect();
        let epochs = epochs_of_refinement(&self.config, self.scale);
        let members = self.state.on_fronts().into_iter().filter(|id| !done.contains(id));
        let members = members.filter_map(|id| {
            let trained = all[&id].trained.as_ref()?;
            let spent = epochs_spent(&self.config, self.scale, &all[&id].accepted, trained);
            let an_epoch = trained.train_s / spent.max(1.0);
            let seconds = f64::from(epochs) * an_epoch;
            Some(Refinable { id, error: trained.error, seconds })
        });
        in_turn(members.collect()).into_iter().map(|member| (member.id, member.seconds)).collect()
    }
}

/// A front member that can be trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Refinable {
    id: CandidateId,
    error: f64,
    /// What it would take in one lane.
    seconds: f64,
}

/// In turn the most accurate of those left and the one that takes least.
fn in_turn(mut members: Vec<Refinable>) -> Vec<Refinable> {
    let mut order = Vec::with_capacity(members.len());
    while !members.is_empty() {
        let key: fn(&Refinable) -> f64 = match order.len() % 2 {
            0 => |member| member.error,
            _ => |member| member.seconds,
        };
        members.sort_by(|a, b| key(b).total_cmp(&key(a)).then(b.id.cmp(&a.id)));
        order.extend(members.pop());
    }
    order
}

impl State {
    /// Multiply-accumulates of the largest network whose refinement fits the time that is kept for
    /// it, by what trainings took so far; what is larger could be tried but never be finished. Twice the
    /// largest seed in any case.
    pub(super) fn most_macs(&self, config: &RunConfig, scale: Scale) -> f64 {
        let share = config.training.share_of_refinement;
        let Some(budget) = config.budget.seconds.filter(|_| share > 0.0) else {
            return f64::INFINITY;
        };
        let newest = self.candidates().values().rev();
        let trained = newest.filter_map(|c| {
            let (accepted, trained) = (&c.accepted, c.trained.as_ref()?);
            let epochs = epochs_spent(config, scale, accepted, trained);
            Some(Spent { macs: accepted.macs, epochs, seconds: trained.train_s })
        });
        let Some(speed) = speed(trained.take(TRAININGS).collect()) else { return f64::INFINITY };
        let epochs = f64::from(epochs_of_refinement(config, scale));
        let seeds = 2.0 * scale.largest_seed as f64;
        (share * budget / CAUTION / epochs * speed).max(seeds)
    }
}

/// What a training cost.
#[derive(Clone, Copy, Debug)]
struct Spent {
    macs: u64,
    epochs: f64,
    seconds: f64,
}

/// Multiply-accumulates times epochs that are trained in a second, by the largest quarter: small networks
/// cost more for what they compute, and say nothing of large ones. `None` if nothing took any time.
fn speed(mut trainings: Vec<Spent>) -> Option<f64> {
    trainings.sort_by_key(|spent| Reverse(spent.macs));
    trainings.truncate(trainings.len().div_ceil(4));
    let work: f64 = trainings.iter().map(|spent| spent.epochs * spent.macs as f64).sum();
    let seconds: f64 = trainings.iter().map(|spent| spent.seconds).sum();
    (seconds > 0.0).then(|| work / seconds)
}

/// Epochs that a candidate was trained for, those of imitating its parent with them: these see few
/// images, each of which costs a third more, for the parent's outputs.
fn epochs_spent(config: &RunConfig, scale: Scale, accepted: &Accepted, trained: &Trained) -> f64 {
    let imitated = match accepted.steps.iter().any(|step| is_approximate(&step.morphism)) {
        true => f64::from(config.training.epochs_of_distillation),
        false => 0.0,
    };
    trained.curve.len() as f64 + imitated * pass_of_imitation(scale.images)
}

/// What a pass over the images that a child imitates its parent on costs, in epochs over so many.
fn pass_of_imitation(images: usize) -> f64 {
    4.0 / 3.0 * (IMITATED_IMAGES as f64 / images.max(1) as f64).min(1.0)
}

/// Who is trained on, and how long that takes.
#[derive(Debug, PartialEq)]
struct Refinement {
    members: Vec<CandidateId>,
    seconds: f64,
}

impl Refinement {
    /// Takes members in this order, each with its seconds in one lane, as long as all together
    /// are trained, and each is measured for so many seconds, in `most` seconds.
    fn of(members: Vec<(CandidateId, f64)>, lanes: usize, measuring: f64, most: f64) -> Refinement {
        let mut plan = Refinement { members: Vec::new(), seconds: 0.0 };
        let mut trainings = Vec::new();
        for (id, seconds) in members {
            trainings.push(seconds);
            let end = makespan(trainings.clone(), lanes) + measuring * trainings.len() as f64;
            if end <= most {
                plan.members.push(id);
                plan.seconds = end;
            } else {
                trainings.pop();
            }
        }
        plan
    }
}

/// When the last of these trainings ends, if lanes take the longest first.
fn makespan(mut seconds: Vec<f64>, lanes: usize) -> f64 {
    seconds.sort_by(|a, b| b.total_cmp(a));
    let mut busy = vec![0.0_f64; lanes];
    for s in seconds {
        let next = busy.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("there is a lane");
        *next += s;
    }
    busy.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_what_fits_is_taken_in_order() {
        let members = vec![(7, 100.0), (3, 20.0), (5, 30.0), (9, 5.0)];
        let plan = Refinement::of(members.clone(), 2, 1.0, 60.0);
        assert_eq!(plan, Refinement { members: vec![3, 5, 9], seconds: 33.0 });
        assert_eq!(Refinement::of(members.clone(), 1, 0.0, 25.0).members, [3, 9]);
        let none = Refinement { members: Vec::new(), seconds: 0.0 };
        assert_eq!(Refinement::of(members, 2, 0.0, 4.0), none);
    }

    #[test]
    fn the_accurate_and_the_cheap_take_turns() {
        let member = |(id, error, seconds)| Refinable { id, error, seconds };
        let members =
            [(1, 0.1, 60.0), (2, 0.2, 30.0), (3, 0.3, 2.0), (4, 0.4, 1.0), (5, 0.2, 20.0)];
        let order = in_turn(members.map(member).to_vec());
        assert_eq!(order.iter().map(|m| m.id).collect::<Vec<_>>(), [1, 4, 2, 3, 5]);
    }

    #[test]
    fn how_fast_large_networks_are_trained_does_not_depend_on_small_ones() {
        let large = Spent { macs: 1000, epochs: 2.0, seconds: 4.0 };
        let small = Spent { macs: 1, epochs: 50.0, seconds: 9.0 };
        assert_eq!(speed(vec![large]), Some(500.0));
        assert_eq!(speed([vec![small; 6], vec![large; 2]].concat()), Some(500.0));
        assert_eq!(speed(Vec::new()), None);
        assert_eq!(speed(vec![Spent { seconds: 0.0, ..large }]), None);
    }

    #[test]
    fn imitation_costs_an_epoch_and_a_third_of_few_images_and_little_of_many() {
        let pass = [1000, 3000, 48_000].map(pass_of_imitation);
        assert_eq!(pass, [4.0 / 3.0, 4.0 / 3.0, 1.0 / 12.0]);
    }

    #[test]
    fn lanes_take_the_longest_first() {
        let seconds = vec![3.0, 5.0, 50.0, 20.0, 22.0];
        assert_eq!([1, 2, 9].map(|lanes| makespan(seconds.clone(), lanes)), [100.0, 50.0, 50.0]);
    }
}
