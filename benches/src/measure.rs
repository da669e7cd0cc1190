//! Medians of thread CPU time, of several candidates in turns.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Rounds of which the median is taken.
const ROUNDS: usize = 7;
/// A candidate is repeated within a round until it has run about so long.
const SHORTEST: Duration = Duration::from_millis(8);

/// Something to measure: does its work once.
pub struct Candidate<'a> {
    pub name: String,
    pub work: Box<dyn FnMut() + 'a>,
}

/// The median time of one run of each candidate, in order. The candidates take turns, so that what
/// disturbs the machine disturbs them alike.
pub fn medians(candidates: &mut [Candidate<'_>]) -> Vec<Duration> {
    let repeats: Vec<u32> = candidates.iter_mut().map(|candidate| repeats(&mut candidate.work)).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); candidates.len()];
    for _ in 0..ROUNDS {
        for ((candidate, &repeats), times) in candidates.iter_mut().zip(&repeats).zip(&mut times) {
            let start = cpu_time();
            (0..repeats).for_each(|_| (candidate.work)());
            times.push((cpu_time() - start) / repeats);
        }
    }
    times.into_iter().map(median).collect()
}

/// The CPU time that this thread has used.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn repeats(work: &mut dyn FnMut()) -> u32 {
    let start = cpu_time();
    work();
    let once = (cpu_time() - start).max(Duration::from_nanos(1));
    (SHORTEST.as_nanos() / once.as_nanos()).clamp(1, 100_000) as u32
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
