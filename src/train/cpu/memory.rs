//! Buffers planned once per graph: which value lies where, and how much that is.

use super::program::Kernel;
use super::program::Program;

/// Which buffer holds which value or gradient; lengths are for one image.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    /// Buffer of each value.
    pub value: Vec<usize>,
    /// Length of each buffer of values.
    pub value_len: Vec<usize>,
    /// Buffer of each value's gradient.
    pub gradient: Vec<usize>,
    /// Length of each buffer of gradients.
    pub gradient_len: Vec<usize>,
    /// Length of the places of each step's largest values; 0 for most.
    pub places_len: Vec<usize>,
    /// Parameters whose gradient is kept.
    pub parameters: usize,
    /// Most scratch values for one image.
    pub scratch: usize,
}

impl Buffers {
    /// For forward passes alone: a buffer is used again once its value is dead. Values in `keep`
    /// stay to the end.
    pub fn for_evaluation(program: &Program, keep: &[usize]) -> Buffers {
        let mut last = program.last_uses();
        keep.iter().for_each(|&v| last[v] = program.steps.len());
        let lives = (0..program.shapes.len()).map(|v| (v, last[v] + 2, program.len(v)));
        let (value, value_len) = share(lives.collect());
        Buffers {
            value,
            value_len,
            places_len: places(program),
            scratch: program.scratch,
            ..Buffers::default()
        }
    }

    /// For training: every value stays for the backward pass; gradients share buffers.
    pub fn for_training(program: &Program) -> Buffers {
        let count = program.shapes.len();
        let last = program.last_uses();
        let end = program.steps.len();
        let lives = (0..count).map(|v| (end - last[v], end + 2 - v, program.len(v)));
        let (gradient, gradient_len) = share(lives.collect());
        Buffers {
            value: (0..count).collect(),
            value_len: (0..count).map(|v| program.len(v)).collect(),
            gradient,
            gradient_len,
            places_len: places(program),
            parameters: program.parameters,
            scratch: program.scratch,
        }
    }

    /// Bytes of so many images in one chunk.
    pub fn bytes(&self, images: usize) -> u64 {
        let each = [&self.value_len, &self.gradient_len, &self.places_len];
        let per_image: usize = each.into_iter().flatten().sum();
        4 * (per_image * images + self.parameters + self.scratch) as u64
    }
}

fn places(program: &Program) -> Vec<usize> {
    let len = |(i, kernel): (usize, &Kernel)| match kernel {
        Kernel::MaxPool(_) => program.len(i + 1),
        Kernel::Normalize
        | Kernel::Conv { .. }
        | Kernel::Depthwise { .. }
        | Kernel::Norm { .. }
        | Kernel::Activation(_)
        | Kernel::Add
        | Kernel::Mul
        | Kernel::Gate
        | Kernel::Concat
        | Kernel::AvgPool(_)
        | Kernel::GlobalAveragePool
        | Kernel::Flatten
        | Kernel::Dropout { .. }
        | Kernel::Resize(_) => 0,
    };
    program.steps.iter().map(|s| &s.kernel).enumerate().map(len).collect()
}

/// Gives every `(first moment, moment after the last, length)` the free buffer that fits best.
fn share(lives: Vec<(usize, usize, usize)>) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&v| lives[v].0);
    let mut chosen = vec![0; lives.len()];
    let mut busy_until: Vec<usize> = Vec::new();
    let mut lens: Vec<usize> = Vec::new();
    for v in order {
        let (first, end, len) = lives[v];
        let free = (0..lens.len()).filter(|&b| busy_until[b] <= first);
        let at = free.min_by_key(|&b| lens[b].abs_diff(len)).unwrap_or(lens.len());
        if at == lens.len() {
            lens.push(0);
            busy_until.push(0);
        }
        lens[at] = lens[at].max(len);
        busy_until[at] = end;
        chosen[v] = at;
    }
    (chosen, lens)
}
