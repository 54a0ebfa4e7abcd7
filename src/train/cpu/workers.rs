//! Threads that share out work; one thread means the caller's own.

use rayon::ThreadPool;
use rayon::ThreadPoolBuilder;
use rayon::iter::IndexedParallelIterator;
use rayon::iter::IntoParallelRefMutIterator;
use rayon::iter::ParallelIterator;

/// A pool of threads.
#[derive(Debug)]
pub struct Workers(Option<ThreadPool>);

impl Workers {
    /// A pool of `threads`; if the system refuses threads, the caller works alone.
    pub fn new(threads: usize) -> Workers {
        let pool = || ThreadPoolBuilder::new().num_threads(threads).build().ok();
        Workers(if threads > 1 { pool() } else { None })
    }

    /// How many work at once.
    pub fn threads(&self) -> usize {
        self.0.as_ref().map_or(1, ThreadPool::current_num_threads)
    }

    /// Calls `f(index, item)` once for each item, in any order.
    pub fn each<T: Send>(&self, items: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
        match &self.0 {
            Some(pool) => {
                pool.install(|| items.par_iter_mut().enumerate().for_each(|(i, t)| f(i, t)));
            }
            None => items.iter_mut().enumerate().for_each(|(i, t)| f(i, t)),
        }
    }
}
