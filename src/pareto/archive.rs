//! The candidates that nothing better is known of.
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::Serialize;

use super::Objective;
use super::dominance::Value;
use super::dominance::clearly_dominates;
use super::dominance::covers;
use super::dominance::may_dominate;
use super::dominance::surely_dominates;
use super::staircase::order;

/// A candidate as the archive sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The candidate's number.
    pub id: u64,
    /// One value for each objective of the archive, in its order.
    pub values: Vec<Value>,
}

impl Member {
    /// The values without their intervals.
    pub fn point(&self) -> Vec<f64> {
        self.values.iter().map(|v| v.value).collect()
    }
}

/// The Pareto front of all candidates told to it, where noise is no advantage.
///
/// # Rule
///
/// Of a measured objective (latency, memory) only a clear difference counts, one of disjoint
/// intervals; any other objective is compared by its value. The error is among those: all
/// candidates are judged on the same validation split, and a search whose single steps are
/// smaller than the split's resolution would come to a halt.
///
/// Members are a *stable set* of "as good up to noise" ([`covers`]):
///
/// - **A1** every candidate that is not a member is covered by a member, so nothing clearly better
///   is lost;
/// - **A2** no member covers another, so each has a clear advantage over every other: a difference
///   inside the noise never makes a member.
///
/// Covering is not transitive, so the order matters in which candidates are looked at. It is fixed:
/// the first in the order of their values (first objective first, then number) that nothing left
/// clearly dominates becomes a member, and all it covers are put aside. Should all candidates left
/// clearly dominate each other in circles (300,000 random archives had none), the first in order
/// is taken: A1 holds and A2 gives way.
///
/// Members are a function of what is known, not of the order in which it came. Without noise they
/// are the plain front, one candidate (the oldest) for each point.
///
/// # Source
///
/// Stable sets: von Neumann, Morgenstern, *Theory of Games and Economic Behavior*, 1944. For noise
/// in dominance: Teich, *Pareto-Front Exploration with Uncertain Objectives*, EMO 2001.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    objectives: Vec<Objective>,
    /// Everything told.
    known: BTreeMap<u64, Candidate>,
    /// Those of it that no other surely dominates; only they can be or prevent members.
    contenders: BTreeSet<u64>,
    members: BTreeSet<u64>,
}

/// A candidate, and how it is judged.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    member: Member,
    /// Its values, without the intervals that do not count.
    judged: Vec<Value>,
}

impl Archive {
    /// An archive that knows nobody.
    pub fn new(objectives: Vec<Objective>) -> Archive {
        Archive {
            objectives,
            known: BTreeMap::new(),
            contenders: BTreeSet::new(),
            members: BTreeSet::new(),
        }
    }

    /// The archive of `candidates`; of two with the same number the later holds.
    ///
    /// # Panics
    ///
    /// If a candidate has not one value for each objective.
    pub fn from_members(
        objectives: Vec<Objective>,
        candidates: impl IntoIterator<Item = Member>,
    ) -> Archive {
        let mut archive = Archive::new(objectives);
        for member in candidates {
            let candidate = archive.judge(member);
            archive.known.insert(candidate.member.id, candidate);
        }
        archive.contend();
        archive
    }

    /// The objectives, in the order of the values.
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// Members in the order of their numbers.
    pub fn members(&self) -> Vec<&Member> {
        self.members.iter().map(|id| &self.known[id].member).collect()
    }

    /// Numbers of all that no other surely dominates: who else is forgotten can never be, or prevent,
    /// a member while no value changes.
    pub fn contenders(&self) -> impl Iterator<Item = u64> {
        self.contenders.iter().copied()
    }

    /// Is candidate `id` a member?
    pub fn is_member(&self, id: u64) -> bool {
        self.members.contains(&id)
    }

    /// Learns of a candidate, or of new values of one it knows; is it a member now?
    ///
    /// # Panics
    ///
    /// If the candidate has not one value for each objective.
    pub fn insert(&mut self, member: Member) -> bool {
        let id = member.id;
        let candidate = self.judge(member);
        match self.known.insert(id, candidate) {
            Some(_) => self.contend(),
            None => self.add_contender(id),
        }
        self.is_member(id)
    }

    /// Can a new candidate with these values become a member?
    ///
    /// Not if at the low ends of all its intervals some member is still as good. Asked before
    /// training, with an optimistic error: then `false` means that training is a waste, for no
    /// higher error and no luck in measuring again would change it.
    ///
    /// # Panics
    ///
    /// If there is not one value for each objective.
    pub fn could_enter(&self, values: &[Value]) -> bool {
        let newcomer = self.judge(Member { id: u64::MAX, values: values.to_vec() });
        let as_good = |id: &u64| {
            let mut pairs = self.known[id].judged.iter().zip(&newcomer.judged);
            pairs.all(|(m, n)| m.interval[0] <= n.interval[0])
        };
        !self.members.iter().any(as_good)
    }

    /// Candidates whose place could be another if their values lay elsewhere in the intervals:
    /// members that another may dominate, and others that none surely dominates.
    ///
    /// When it is empty the front is certain at the level of the intervals. To make it so, measure
    /// these again.
    pub fn undecided(&self) -> Vec<u64> {
        let judged = |id: &u64| &self.known[id].judged[..];
        let threatened = |id: &&u64| {
            let mut others = self.contenders.iter().filter(|other| other != id);
            others.any(|other| may_dominate(judged(other), judged(id)))
        };
        let doubtful = |id: &&u64| !self.members.contains(*id) || threatened(id);
        self.contenders.iter().filter(doubtful).copied().collect()
    }

    fn judge(&self, member: Member) -> Candidate {
        assert_eq!(member.values.len(), self.objectives.len(), "one value for each objective");
        let values = member.values.iter().zip(&self.objectives);
        let judge = |(v, o): (&Value, &Objective)| match o.is_measured() {
            true => *v,
            false => Value::exact(v.value),
        };
        let judged = values.map(judge).collect();
        Candidate { member, judged }
    }

    fn add_contender(&mut self, id: u64) {
        let known = &self.known;
        let judged = |id: &u64| &known[id].judged;
        if self.contenders.iter().any(|c| surely_dominates(judged(c), judged(&id))) {
            return;
        }
        self.contenders.retain(|c| !surely_dominates(judged(&id), judged(c)));
        self.contenders.insert(id);
        self.choose();
    }

    /// Finds contenders and members anew.
    fn contend(&mut self) {
        let mut waiting: Vec<&Candidate> = self.known.values().collect();
        // Whoever surely dominates another comes before it, and if it is beaten itself, so does one who
        // beats both.
        waiting.sort_by(|a, b| by_high_ends(a, b));
        let mut unbeaten: Vec<&Candidate> = Vec::new();
        for candidate in waiting {
            let beats = |other: &&Candidate| surely_dominates(&other.judged, &candidate.judged);
            if !unbeaten.iter().any(beats) {
                unbeaten.push(candidate);
            }
        }
        self.contenders = unbeaten.iter().map(|c| c.member.id).collect();
        self.choose();
    }

    fn choose(&mut self) {
        self.members = select(self.contenders.iter().map(|id| &self.known[id]).collect());
    }
}

/// Numbers of the members among `waiting`, by the rule of [`Archive`].
///
/// Costs members times candidates, and more only where noise is large.
fn select(mut waiting: Vec<&Candidate>) -> BTreeSet<u64> {
    waiting.sort_by(|a, b| by_values(a, b));
    let mut members = BTreeSet::new();
    while !waiting.is_empty() {
        let free =
            |c: &&Candidate| !waiting.iter().any(|o| clearly_dominates(&o.judged, &c.judged));
        let next = waiting[waiting.iter().position(free).unwrap_or(0)];
        members.insert(next.member.id);
        waiting.retain(|c| !covers(&next.judged, &c.judged));
    }
    members
}

fn by_high_ends(a: &Candidate, b: &Candidate) -> Ordering {
    let pairs = a.judged.iter().zip(&b.judged);
    let mut orders = pairs.map(|(a, b)| order(a.interval[1], b.interval[1]));
    orders.find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

fn by_values(a: &Candidate, b: &Candidate) -> Ordering {
    let pairs = a.judged.iter().zip(&b.judged);
    let unequal = pairs.map(|(a, b)| order(a.value, b.value)).find(|o| o.is_ne());
    unequal.unwrap_or_else(|| a.member.id.cmp(&b.member.id))
}

#[cfg(test)]
mod tests {
    use super::super::front::dominates;
    use super::super::front::front;
    use super::*;
    use proptest::prelude::*;

    const OBJECTIVES: [Objective; 3] = [Objective::Error, Objective::Latency, Objective::Memory];

    fn noisy(value: f64, noise: f64) -> Value {
        Value { value, interval: [value - noise, value + noise] }
    }

    fn member(id: u64, error: f64, latency: f64, memory: f64) -> Member {
        let values = vec![noisy(error, 0.01), noisy(latency, 5.0), noisy(memory, 4096.0)];
        Member { id, values }
    }

    fn archive(members: &[Member]) -> Archive {
        Archive::from_members(OBJECTIVES.to_vec(), members.iter().cloned())
    }

    fn ids(archive: &Archive) -> Vec<u64> {
        archive.members().iter().map(|m| m.id).collect()
    }

    #[test]
    fn memory_differences_below_its_noise_never_make_a_member() {
        let best = member(1, 0.02, 100.0, 1e6);
        assert_eq!(ids(&archive(&[best.clone(), member(2, 0.03, 120.0, 1e6 - 8000.0)])), [1]);
        assert_eq!(ids(&archive(&[best, member(2, 0.03, 120.0, 1e6 - 9000.0)])), [1, 2]);
    }

    #[test]
    fn of_two_that_differ_by_noise_alone_one_remains() {
        assert_eq!(ids(&archive(&[member(1, 0.02, 101.0, 1e6), member(2, 0.02, 100.0, 1e6)])), [2]);
        assert_eq!(ids(&archive(&[member(2, 0.02, 100.0, 1e6), member(1, 0.02, 100.0, 1e6)])), [1]);
    }

    #[test]
    fn a_lower_error_counts_whatever_its_interval() {
        let pair = [member(1, 0.020, 100.0, 1e6), member(2, 0.019, 150.0, 1e6)];
        assert_eq!(ids(&archive(&pair)), [1, 2]);
    }

    #[test]
    fn a_clear_advantage_puts_aside_what_is_ahead_by_noise_alone() {
        let pair = [member(1, 0.02, 99.0, 2e6), member(2, 0.02, 101.0, 1e6)];
        assert_eq!(ids(&archive(&pair)), [2]);
    }

    #[test]
    fn a_member_that_turns_out_slow_gives_its_place_back() {
        let mut archive = archive(&[member(1, 0.02, 100.0, 1e6), member(2, 0.03, 120.0, 1e6)]);
        assert_eq!(ids(&archive), [1]);
        assert!(archive.insert(member(1, 0.02, 200.0, 1e6)));
        assert_eq!(ids(&archive), [1, 2]);
    }

    #[test]
    fn a_front_with_wide_gaps_is_decided_and_a_close_race_is_not() {
        let clear = [member(1, 0.02, 100.0, 1e6), member(2, 0.03, 50.0, 1e6)];
        assert_eq!(archive(&clear).undecided(), [0; 0]);
        let close = [member(1, 0.02, 100.0, 1e6), member(2, 0.03, 91.0, 1e6)];
        assert_eq!(ids(&archive(&close)), [1]);
        assert_eq!(archive(&close).undecided(), [2]);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let side = || prop_oneof![Just(0.0), (0..4u8).prop_map(f64::from)];
        ((0..12u8).prop_map(f64::from), side(), side())
            .prop_map(|(v, below, above)| Value { value: v, interval: [v - below, v + above] })
    }

    fn any_members() -> impl Strategy<Value = Vec<Member>> {
        let values = prop::collection::vec(any_value(), OBJECTIVES.len());
        prop::collection::vec(values, 0..25).prop_map(|all| {
            all.into_iter().zip(1..).map(|(values, id)| Member { id, values }).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_archive_is_a_stable_set(members in any_members()) {
            let archive = archive(&members);
            let judged: Vec<&Candidate> = archive.known.values().collect();
            let inside = |c: &Candidate| archive.is_member(c.member.id);
            for c in &judged {
                let others = judged.iter().filter(|o| o.member.id != c.member.id && inside(o));
                let covered = others.filter(|o| covers(&o.judged, &c.judged)).count();
                prop_assert_eq!(covered == 0, inside(c), "{:?}", c.member);
            }
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(members in any_members(), seed: u64) {
            let mut shuffled = members.clone();
            let key = |m: &Member| (m.id ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            shuffled.sort_by_key(key);
            let mut grown = Archive::new(OBJECTIVES.to_vec());
            for member in shuffled {
                grown.insert(member);
            }
            prop_assert_eq!(grown, archive(&members));
        }

        #[test]
        fn new_values_leave_no_trace_of_the_old(old in any_members(), new in any_members()) {
            let mut grown = archive(&old);
            let mut latest: BTreeMap<u64, Member> = old.into_iter().map(|m| (m.id, m)).collect();
            for member in new {
                latest.insert(member.id, member.clone());
                grown.insert(member);
            }
            let latest: Vec<Member> = latest.into_values().collect();
            prop_assert_eq!(grown, archive(&latest));
        }

        #[test]
        fn without_noise_it_is_the_front_with_one_candidate_a_point(members in any_members()) {
            let exact = |m: &Member| Member {
                values: m.values.iter().map(|v| Value::exact(v.value)).collect(),
                id: m.id,
            };
            let members: Vec<Member> = members.iter().map(exact).collect();
            let points: Vec<Vec<f64>> = members.iter().map(Member::point).collect();
            let first = |i: &usize| !points[..*i].contains(&points[*i]);
            let expected = front(&points).into_iter().filter(first).map(|i| members[i].id);
            prop_assert_eq!(ids(&archive(&members)), expected.collect::<Vec<u64>>());
        }

        #[test]
        fn what_could_not_enter_is_no_news(members in any_members(), values in any_value_set()) {
            let mut archive = archive(&members);
            let old: Vec<Candidate> = archive.members.iter().map(|id| archive.known[id].clone()).collect();
            if !archive.could_enter(&values) && archive.insert(Member { id: 1000, values }) {
                let judged = &archive.known[&1000].judged;
                let equal = |m: &Candidate| covers(&m.judged, judged) && covers(judged, &m.judged);
                prop_assert!(old.iter().any(equal), "more than one of two that differ by noise");
            }
        }

        #[test]
        fn without_noise_what_could_enter_does(members in any_members(), values in any_value_set()) {
            let exact = |v: &[Value]| v.iter().map(|v| Value::exact(v.value)).collect();
            let exact_member = |m: Member| Member { id: m.id, values: exact(&m.values) };
            let members = members.into_iter().map(exact_member);
            let mut archive = Archive::from_members(OBJECTIVES.to_vec(), members);
            let values: Vec<Value> = exact(&values);
            let could = archive.could_enter(&values);
            prop_assert_eq!(archive.insert(Member { id: 1000, values }), could);
        }

        #[test]
        fn what_is_surely_dominated_cannot_enter(members in any_members(), values in any_value_set()) {
            let archive = archive(&members);
            let judged = archive.judge(Member { id: 1000, values: values.clone() }).judged;
            let beaten = archive.known.values().any(|c| surely_dominates(&c.judged, &judged));
            prop_assert!(!beaten || !archive.could_enter(&values));
        }

        #[test]
        fn where_nothing_is_undecided_members_are_the_plain_front(members in any_members()) {
            let archive = archive(&members);
            if archive.undecided().is_empty() {
                let points: Vec<Vec<f64>> = members.iter().map(Member::point).collect();
                let free = |p: &Vec<f64>| !points.iter().any(|q| dominates(q, p));
                let expected = members.iter().filter(|m| free(&m.point())).map(|m| m.id);
                prop_assert_eq!(ids(&archive), expected.collect::<Vec<u64>>());
            }
        }
    }

    fn any_value_set() -> impl Strategy<Value = Vec<Value>> {
        prop::collection::vec(any_value(), OBJECTIVES.len())
    }
}
