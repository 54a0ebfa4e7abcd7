//! Many games: strategies against devices, over seeds.
use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use super::Course;
use super::Device;
use super::Latency;
use super::Mean;
use super::Table;
use super::TableError;
use super::Task;
use super::Trace;
use super::mean;
use super::play;
use super::player;

/// What everybody plays.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who knows the latency.
    pub latency: Latency,
    /// Distinct architectures in each game.
    pub queries: usize,
    /// Games of each strategy on each device, with the seeds from 0 on.
    pub seeds: usize,
    /// Error beyond which nothing counts, as a share.
    pub reference_error: f64,
}

/// The games of one strategy on one device.
#[derive(Clone, Debug)]
pub struct Games {
    /// By seed.
    pub traces: Vec<Trace>,
    /// Regret in % after each query; by seed.
    pub regrets: Vec<Vec<f64>>,
    /// The same of the final errors, where the table has them.
    pub final_regrets: Option<Vec<Vec<f64>>>,
    /// Seconds of all games, as if on one core.
    pub seconds: f64,
}

impl Rules {
    /// Are they possible with this table?
    ///
    /// # Errors
    ///
    /// [`TableError::TooManyQueries`], [`TableError::NothingBelowReference`].
    pub fn check(&self, table: &Table) -> Result<(), TableError> {
        let (queries, rows) = (self.queries, table.len());
        if queries > rows {
            return Err(TableError::TooManyQueries { queries, rows });
        }
        let reference = self.reference_error;
        let errors =
            [("an error", Some(&table.error)), ("a final error", table.final_error.as_ref())];
        let is_beyond = |errors: &Vec<f64>| errors.iter().all(|error| *error >= reference);
        match errors.into_iter().find(|(_, errors)| errors.is_some_and(is_beyond)) {
            Some((what, _)) => Err(TableError::NothingBelowReference { what, reference }),
            None => Ok(()),
        }
    }

    /// Plays all games of a strategy on a device, on all cores. The result does not depend on their
    /// number. `over` sees each game by its seed as soon as it and those of all lower seeds are over.
    ///
    /// # Errors
    ///
    /// [`TableError`] of the first game that cannot be played; [`TableError::Interrupted`];
    /// [`TableError::Trace`] with what `over` answers.
    pub fn games(
        &self,
        table: &Table,
        device: &Device,
        strategy: &str,
        over: &mut (dyn FnMut(u64, &Trace) -> io::Result<()> + Send),
        interrupted: &AtomicBool,
    ) -> Result<Games, TableError> {
        let (course, final_course) = table.courses(device, self.reference_error);
        let task = Task {
            table,
            device,
            course: &course,
            latency: self.latency,
            queries: self.queries,
            reference_error: self.reference_error,
        };
        let game = |seed| {
            if interrupted.load(Ordering::Relaxed) {
                return Err(TableError::Interrupted);
            }
            let mut strategy = player(strategy, table)?;
            let started = Instant::now();
            let trace = play(&task, strategy.as_mut(), seed)?;
            Ok((trace, started.elapsed().as_secs_f64()))
        };
        let over = |seed, (trace, _): &(Trace, f64)| over(seed, trace).map_err(TableError::Trace);
        let played = on_all_cores(self.seeds, game, over)?;
        let seconds = played.iter().map(|(_, seconds)| seconds).sum();
        let traces: Vec<Trace> = played.into_iter().map(|(trace, _)| trace).collect();
        let regrets = |course: &Course| traces.iter().map(|t| course.regrets(&t.rows)).collect();
        Ok(Games {
            regrets: regrets(&course),
            final_regrets: final_course.as_ref().map(regrets),
            traces,
            seconds,
        })
    }
}

/// `work` for each number below `n`; the first failure if there is one. `over` sees the results in order, each
/// as soon as it can.
fn on_all_cores<T: Send, E: Send>(
    n: usize,
    work: impl Fn(u64) -> Result<T, E> + Sync,
    over: impl FnMut(u64, &T) -> Result<(), E> + Send,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(InOrder::new(over));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(n) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= n {
                        break;
                    }
                    let result = work(at as u64);
                    if !done.lock().expect("no game panics").add(at, result) {
                        next.store(n, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    done.into_inner().expect("no game panics").done.into_iter().collect()
}

/// Results that are brought into the order of their numbers.
struct InOrder<T, E, F> {
    done: Vec<Result<T, E>>,
    /// Those of which a lower number is missing.
    waiting: BTreeMap<usize, Result<T, E>>,
    has_failed: bool,
    over: F,
}

impl<T, E, F: FnMut(u64, &T) -> Result<(), E>> InOrder<T, E, F> {
    fn new(over: F) -> Self {
        InOrder { done: Vec::new(), waiting: BTreeMap::new(), has_failed: false, over }
    }

    /// Takes a result in; false after a failure.
    fn add(&mut self, at: usize, result: Result<T, E>) -> bool {
        let has_failed = result.is_err();
        self.waiting.insert(at, result);
        while let Some(mut result) = self.waiting.remove(&self.done.len()) {
            if let (Ok(value), false) = (&result, self.has_failed)
                && let Err(error) = (self.over)(self.done.len() as u64, value)
            {
                result = Err(error);
            }
            self.has_failed |= result.is_err();
            self.done.push(result);
        }
        !(has_failed || self.has_failed)
    }
}

impl Games {
    /// Mean regret in % after `k` queries, at least 1.
    pub fn regret_after(&self, k: usize) -> Mean {
        mean(&at(&self.regrets, k))
    }

    /// The same of the final errors, where the table has them.
    pub fn final_regret_after(&self, k: usize) -> Option<Mean> {
        final_over_devices(&[self], k)
    }
}

/// Each seed's regret after `k` queries.
fn at(regrets: &[Vec<f64>], k: usize) -> Vec<f64> {
    regrets.iter().map(|regret| regret[k - 1]).collect()
}

/// How much lower the regret of `a` is than that of `b` after `k` queries, in points of %, paired by
/// seed over the devices that both played: negative if `a` is better.
///
/// # Panics
///
/// If they did not play the same number of games on each device, or none.
pub fn difference(a: &[&Games], b: &[&Games], k: usize) -> Mean {
    let by_seed = |games: &[&Games]| by_seed(games.iter().map(|g| &g.regrets), k);
    let pairs = by_seed(a).into_iter().zip(by_seed(b));
    mean(&pairs.map(|(a, b)| a - b).collect::<Vec<_>>())
}

/// The regret after `k` queries over several devices; the seeds are what is independent.
///
/// # Panics
///
/// As [`difference`].
pub fn over_devices(games: &[&Games], k: usize) -> Mean {
    mean(&by_seed(games.iter().map(|g| &g.regrets), k))
}

/// The same of the final errors, where the table has them.
///
/// # Panics
///
/// As [`difference`].
pub fn final_over_devices(games: &[&Games], k: usize) -> Option<Mean> {
    let regrets: Vec<&Vec<Vec<f64>>> =
        games.iter().map(|g| g.final_regrets.as_ref()).collect::<Option<_>>()?;
    Some(mean(&by_seed(regrets.into_iter(), k)))
}

/// Each seed's mean over the devices, from the regrets of each.
fn by_seed<'a>(regrets: impl Iterator<Item = &'a Vec<Vec<f64>>>, k: usize) -> Vec<f64> {
    let by_device: Vec<Vec<f64>> = regrets.map(|regrets| at(regrets, k)).collect();
    let n = by_device.len() as f64;
    let of_seed = |seed: usize| by_device.iter().map(|regrets| regrets[seed]).sum::<f64>() / n;
    (0..by_device[0].len()).map(of_seed).collect()
}
