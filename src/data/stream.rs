//! Random streams, one for each thing that is drawn, so that no draw disturbs another.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Which group goes to which part.
    Split = 0,
    /// Which images a smaller set keeps.
    Subset = 1,
    /// The order of an epoch.
    Order = 2,
    /// Shift, flip and cutout of one image.
    Image = 3,
    /// The weight of one batch's mixup.
    Mixup = 4,
}

/// The stream of `purpose` for item `number` of `epoch` in a run with `seed`.
pub(super) fn stream(seed: u64, epoch: u32, number: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&number.to_le_bytes());
    key[16..20].copy_from_slice(&epoch.to_le_bytes());
    key[20] = purpose as u8;
    ChaCha8Rng::from_seed(key)
}
