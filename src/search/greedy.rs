//! Choosing a batch one after the other.

/// An item with what it was worth when it was last looked at, or more.
pub(super) struct Offer<T> {
    pub worth: f64,
    pub item: T,
}

/// Takes at most `wanted` offers, the most valuable first, each before the next is chosen; those of no
/// worth stay. Worth must only shrink while others are taken, so what was worth less than another is
/// now need not be looked at again. `state` is what `worth` looks at and `take` changes.
pub(super) fn choose<T, S>(
    offers: &mut Vec<Offer<T>>,
    wanted: usize,
    state: &mut S,
    worth: impl Fn(&S, &T) -> f64,
    take: impl Fn(&mut S, &T),
) -> Vec<T> {
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        offers.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        let mut best: Option<(usize, f64)> = None;
        for (i, offer) in offers.iter_mut().enumerate() {
            if best.is_some_and(|(_, b)| b >= offer.worth) {
                break;
            }
            offer.worth = worth(state, &offer.item);
            if best.is_none_or(|(_, b)| offer.worth > b) {
                best = Some((i, offer.worth));
            }
        }
        let Some((i, _)) = best.filter(|(_, worth)| *worth > 0.0) else { break };
        let item = offers.remove(i).item;
        take(state, &item);
        chosen.push(item);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items cover numbers; worth is how many are new.
    #[test]
    fn what_others_cover_is_worth_nothing_more() {
        let sets: [&[u8]; 5] = [&[1, 2, 3, 4], &[1, 2, 3], &[4, 5], &[6], &[2, 4]];
        let new = |covered: &Vec<u8>, set: &&[u8]| {
            set.iter().filter(|n| !covered.contains(n)).count() as f64
        };
        let mut covered = Vec::new();
        let offer = |set: &'static [u8]| Offer { worth: new(&Vec::new(), &set), item: set };
        let mut offers: Vec<Offer<&[u8]>> = sets.into_iter().map(offer).collect();
        let chosen = choose(&mut offers, 5, &mut covered, new, |covered, set| covered.extend(*set));
        assert_eq!(chosen, [&[1, 2, 3, 4][..], &[4, 5], &[6]]);
        assert_eq!(offers.len(), 2);
    }
}
