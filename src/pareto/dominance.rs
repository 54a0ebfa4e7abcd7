//! Dominance of values that carry an interval.
use serde::Deserialize;
use serde::Serialize;

/// One objective of one candidate, in the unit of its [`Objective`](super::Objective).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// Best guess.
    pub value: f64,
    /// Where it may lie, `[low, high]`, around `value`.
    pub interval: [f64; 2],
}

impl Value {
    /// A value that is known, such as a count.
    pub fn exact(value: f64) -> Value {
        Value { value, interval: [value, value] }
    }

    /// Is this smaller than `other` wherever in their intervals both lie?
    fn is_clearly_below(&self, other: &Value) -> bool {
        self.interval[1] < other.interval[0]
    }
}

/// Does `a` dominate `b` wherever in their intervals both lie?
///
/// Transitive. Equal to [`dominates`](super::dominates) for exact values.
pub fn surely_dominates(a: &[Value], b: &[Value]) -> bool {
    let nowhere_above = pairs(a, b).all(|(a, b)| a.interval[1] <= b.interval[0]);
    nowhere_above && pairs(a, b).any(|(a, b)| a.is_clearly_below(b))
}

/// Can `a` dominate `b`, if both lie where it suits?
pub fn may_dominate(a: &[Value], b: &[Value]) -> bool {
    covers(a, b) && pairs(a, b).any(|(a, b)| a.interval[0] < b.interval[1])
}

/// Is `a` as good as `b` up to noise: is `b` nowhere clearly (with disjoint intervals) better?
///
/// Not transitive: of three values that overlap like scales, the outer two may be apart.
pub fn covers(a: &[Value], b: &[Value]) -> bool {
    !pairs(a, b).any(|(a, b)| b.is_clearly_below(a))
}

/// Does `a` cover `b` and is it somewhere clearly better?
///
/// Equal to [`dominates`](super::dominates) for exact values; not transitive otherwise.
pub fn clearly_dominates(a: &[Value], b: &[Value]) -> bool {
    covers(a, b) && pairs(a, b).any(|(a, b)| a.is_clearly_below(b))
}

fn pairs<'a>(
    a: &'a [Value],
    b: &'a [Value],
) -> impl Iterator<Item = (&'a Value, &'a Value)> + Clone {
    a.iter().zip(b)
}

#[cfg(test)]
mod tests {
    use super::super::front::dominates;
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        (0..6u8, 0..3u8, 0..3u8).prop_map(|(v, below, above)| {
            let v = f64::from(v);
            Value { value: v, interval: [v - f64::from(below), v + f64::from(above)] }
        })
    }

    fn values() -> impl Strategy<Value = Vec<Value>> {
        prop::collection::vec(value(), 3)
    }

    fn exact(values: &[Value]) -> Vec<Value> {
        values.iter().map(|v| Value::exact(v.value)).collect()
    }

    fn plain(values: &[Value]) -> Vec<f64> {
        values.iter().map(|v| v.value).collect()
    }

    proptest! {
        #[test]
        fn without_noise_every_dominance_is_the_plain_one(a in values(), b in values()) {
            let expected = dominates(&plain(&a), &plain(&b));
            let (a, b) = (exact(&a), exact(&b));
            prop_assert_eq!(surely_dominates(&a, &b), expected);
            prop_assert_eq!(may_dominate(&a, &b), expected);
            prop_assert_eq!(clearly_dominates(&a, &b), expected);
        }

        #[test]
        fn what_is_sure_is_clear_and_what_is_clear_is_possible(a in values(), b in values()) {
            prop_assert!(!surely_dominates(&a, &b) || clearly_dominates(&a, &b));
            prop_assert!(!clearly_dominates(&a, &b) || may_dominate(&a, &b));
            prop_assert!(!surely_dominates(&a, &b) || !may_dominate(&b, &a));
        }

        /// The corners of the intervals decide, so trying them all is a second way to the answer.
        #[test]
        fn sure_is_at_all_corners_and_possible_at_one(a in values(), b in values()) {
            let corner = |v: &[Value], bits: usize| -> Vec<f64> {
                v.iter().enumerate().map(|(i, v)| v.interval[bits >> i & 1]).collect()
            };
            let corners = || (0..64).map(|bits| (corner(&a, bits & 7), corner(&b, bits >> 3)));
            let possible = corners().any(|(a, b)| dominates(&a, &b));
            prop_assert_eq!(may_dominate(&a, &b), possible);
            if surely_dominates(&a, &b) {
                prop_assert!(corners().all(|(a, b)| dominates(&a, &b)));
            }
        }

        #[test]
        fn sure_dominance_is_transitive(a in values(), b in values(), c in values()) {
            let chain = surely_dominates(&a, &b) && surely_dominates(&b, &c);
            prop_assert!(!chain || surely_dominates(&a, &c));
        }
    }
}
