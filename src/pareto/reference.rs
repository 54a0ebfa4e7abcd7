//! The box in which a run's hypervolume is counted.
use serde::Deserialize;
use serde::Serialize;

use super::Objective;
use super::hypervolume;

/// Ideal and reference point of a run; set once, never moved.
///
/// The error axis is linear, every other one logarithmic. Each is scaled to `[0, 1]` between ideal
/// and reference, so that the hypervolume is a share between 0 and 1. Runs that are compared are
/// given the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Reference {
    objectives: Vec<Objective>,
    ideal: Vec<f64>,
    reference: Vec<f64>,
}

/// What does not make a box.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Not one ideal and one reference value for each objective.
    #[error(
        "the reference point has {values} values for {objectives} objectives, give one for each"
    )]
    Length {
        /// How many there are.
        objectives: usize,
        /// How many were given.
        values: usize,
    },
    /// An axis without length or logarithm.
    #[error(
        "{objective} cannot be scaled between {ideal} and {reference}: give a finite reference \
         above an ideal, which must be above 0 for every objective but error"
    )]
    Axis {
        /// Whose.
        objective: Objective,
        /// Where the axis would begin.
        ideal: f64,
        /// Where it would end.
        reference: f64,
    },
}

/// As in JSON, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    objectives: Vec<Objective>,
    ideal: Vec<f64>,
    reference: Vec<f64>,
}

impl TryFrom<Written> for Reference {
    type Error = ReferenceError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { objectives, ideal, reference } = written;
        for values in [&ideal, &reference] {
            check_length(&objectives, values)?;
        }
        let made = Reference { objectives, ideal, reference };
        for (objective, ideal, reference) in made.axes() {
            let legal = ideal < reference && reference.is_finite();
            if !legal || ideal < 0.0 || (ideal == 0.0 && is_logarithmic(objective)) {
                return Err(ReferenceError::Axis { objective, ideal, reference });
            }
        }
        Ok(made)
    }
}

fn check_length(objectives: &[Objective], values: &[f64]) -> Result<(), ReferenceError> {
    match objectives.len() == values.len() {
        true => Ok(()),
        false => Err(ReferenceError::Length { objectives: objectives.len(), values: values.len() }),
    }
}

fn is_logarithmic(objective: Objective) -> bool {
    objective != Objective::Error
}

impl Reference {
    /// How far the ideal of a logarithmic axis lies below the reference: six halvings. Networks of
    /// a search seldom differ by more; fixed, because a changed ideal changes every hypervolume.
    pub const COST_SPAN: f64 = 64.0;

    /// The box below `reference`, one value for each objective: the error of always guessing the
    /// largest class; of a cost its hard limit, or else 4 times the largest of the first generation,
    /// which are the seed networks where the strategy begins with them.
    ///
    /// The ideal is no error and 1/64 of a cost.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] unless there is one finite value above 0 for each objective.
    pub fn new(
        objectives: Vec<Objective>,
        reference: Vec<f64>,
    ) -> Result<Reference, ReferenceError> {
        check_length(&objectives, &reference)?;
        let ideal = objectives.iter().zip(&reference).map(|(&o, r)| match is_logarithmic(o) {
            true => r / Reference::COST_SPAN,
            false => 0.0,
        });
        let ideal = ideal.collect();
        Reference::try_from(Written { objectives, ideal, reference })
    }

    /// The box between `ideal` and `reference`, one value of each for each objective.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] unless each axis has a length, and a logarithm where it needs one.
    pub fn between(
        objectives: Vec<Objective>,
        ideal: Vec<f64>,
        reference: Vec<f64>,
    ) -> Result<Reference, ReferenceError> {
        Reference::try_from(Written { objectives, ideal, reference })
    }

    /// The objectives, in the order of the values.
    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// Where each axis begins; better than this is counted as this.
    pub fn ideal(&self) -> &[f64] {
        &self.ideal
    }

    /// Where each axis ends; a point beyond counts nothing.
    pub fn reference(&self) -> &[f64] {
        &self.reference
    }

    /// Places `values`, one for each objective, on the axes: 0 at the ideal or below, 1 at the
    /// reference, more beyond.
    ///
    /// # Panics
    ///
    /// If there is not one value for each objective.
    pub fn normalise(&self, values: &[f64]) -> Vec<f64> {
        assert_eq!(values.len(), self.objectives.len(), "one value for each objective");
        let place = |((objective, ideal, reference), &v)| match v {
            v if v <= ideal => 0.0,
            v if is_logarithmic(objective) => f64::ln(v / ideal) / f64::ln(reference / ideal),
            v => (v - ideal) / (reference - ideal),
        };
        self.axes().zip(values).map(place).collect()
    }

    /// The share of the box that the points dominate, each in the units of the objectives;
    /// `0.0..=1.0`.
    ///
    /// # Panics
    ///
    /// If a point has not one value for each objective.
    pub fn hypervolume<P: AsRef<[f64]>>(&self, points: &[P]) -> f64 {
        hypervolume::hypervolume(&self.normalise_all(points), &self.corner())
    }

    /// What `point` would add to the hypervolume of `points`, all in the units of the objectives.
    ///
    /// # Panics
    ///
    /// If a point has not one value for each objective.
    pub fn gain<P: AsRef<[f64]>>(&self, points: &[P], point: &[f64]) -> f64 {
        hypervolume::gain(&self.normalise_all(points), &self.normalise(point), &self.corner())
    }

    fn normalise_all<P: AsRef<[f64]>>(&self, points: &[P]) -> Vec<Vec<f64>> {
        points.iter().map(|p| self.normalise(p.as_ref())).collect()
    }

    fn corner(&self) -> Vec<f64> {
        vec![1.0; self.objectives.len()]
    }

    /// Objective, ideal and reference of each axis.
    fn axes(&self) -> impl Iterator<Item = (Objective, f64, f64)> + '_ {
        let ends = self.ideal.iter().zip(&self.reference);
        self.objectives.iter().zip(ends).map(|(&o, (&i, &r))| (o, i, r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> Reference {
        let objectives = vec![Objective::Error, Objective::Latency, Objective::Memory];
        Reference::new(objectives, vec![0.9, 6400.0, 64e6]).unwrap()
    }

    #[test]
    fn error_is_linear_and_costs_are_logarithmic() {
        assert_eq!(reference().normalise(&[0.45, 800.0, 64e6]), [0.5, 0.5, 1.0]);
    }

    #[test]
    fn below_the_ideal_is_the_ideal_and_beyond_the_reference_is_beyond() {
        assert_eq!(reference().normalise(&[-0.1, 3.0, 0.0]), [0.0, 0.0, 0.0]);
        assert!(reference().normalise(&[0.95, 7000.0, 65e6]).iter().all(|&x| x > 1.0));
    }

    #[test]
    fn the_hypervolume_is_the_dominated_share_of_the_box() {
        let reference = reference();
        assert_eq!(reference.hypervolume(&[[0.0, 1.0, 1.0]]), 1.0);
        assert_eq!(reference.hypervolume(&[[0.0, 6400.0, 1.0]]), 0.0);
        assert!((reference.hypervolume(&[[0.45, 800.0, 8e6]]) - 0.125).abs() < 1e-12);
        let none: &[[f64; 3]] = &[];
        assert_eq!(reference.hypervolume(none), 0.0);
    }

    #[test]
    fn a_value_that_is_not_a_number_counts_nothing() {
        assert_eq!(reference().hypervolume(&[[f64::NAN, 800.0, 8e6]]), 0.0);
    }

    #[test]
    fn a_gain_is_what_the_hypervolume_grows_by() {
        let (reference, old) = (reference(), [[0.45, 800.0, 8e6]]);
        let new = [0.3, 1600.0, 4e6];
        let grown = reference.hypervolume(&[old[0], new]) - reference.hypervolume(&old);
        assert!((reference.gain(&old, &new) - grown).abs() < 1e-12);
    }

    #[test]
    fn reference_v1_still_parses() {
        let golden =
            r#"{"objectives":["error","latency"],"ideal":[0.0,100.0],"reference":[0.9,6400.0]}"#;
        let read: Reference = serde_json::from_str(golden).unwrap();
        let objectives = vec![Objective::Error, Objective::Latency];
        assert_eq!(read, Reference::new(objectives, vec![0.9, 6400.0]).unwrap());
        assert_eq!(serde_json::to_string(&read).unwrap(), golden);
    }

    #[test]
    fn what_is_no_box_is_refused_with_its_axis() {
        let latency = || vec![Objective::Latency];
        let axis = Reference::new(latency(), vec![0.0]).unwrap_err();
        assert!(axis.to_string().starts_with("latency cannot be scaled between 0 and 0"));
        assert!(Reference::new(latency(), vec![f64::INFINITY]).is_err());
        assert!(Reference::new(latency(), vec![f64::NAN]).is_err());
        assert_eq!(
            Reference::new(latency(), vec![]),
            Err(ReferenceError::Length { objectives: 1, values: 0 })
        );
        let negative = r#"{"objectives":["macs"],"ideal":[-1.0],"reference":[2.0]}"#;
        assert!(serde_json::from_str::<Reference>(negative).is_err());
    }
}
