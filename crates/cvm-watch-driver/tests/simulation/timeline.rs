//! The actual status of a CVM over time.

use crate::message::Status;
use crate::random::Random;
use crate::simulation::{MINUTE, Nanos, SECOND};

const STEPS: [&str; 8] = [
    "booting",
    "init-script",
    "requesting app keys",
    "mounting data disk",
    "setting up docker",
    "pre-launch",
    "starting containers",
    "done",
];

#[derive(Debug)]
pub(crate) struct Timeline(Vec<(Nanos, Status)>);

impl Timeline {
    /// A random timeline that reaches `target` for good at `healthy_from`.
    pub(crate) fn new(random: &mut Random, target: &str, healthy_from: Nanos) -> Self {
        let mut timeline = Self(Vec::new());
        let mut now = 0;
        // Some CVMs are stable, others flap.
        let pace = random.pick(&[2 * SECOND, 20 * SECOND, 2 * MINUTE, 20 * MINUTE]);
        while now < healthy_from && timeline.0.len() < 400 {
            timeline.chapter(random, &mut now, pace);
        }
        timeline.0.retain(|(from, _)| *from < healthy_from);
        timeline.0.push((healthy_from, Status { status: target.to_ascii_lowercase(), ..Status::default() }));
        timeline
    }

    pub(crate) fn at(&self, now: Nanos) -> &Status {
        let passed = self.0.partition_point(|(from, _)| *from <= now);
        &self.0[passed.max(1) - 1].1
    }

    fn chapter(&mut self, random: &mut Random, now: &mut Nanos, pace: Nanos) {
        match random.below(6) {
            0..3 => {
                let fails = random.chance(30);
                let steps = if fails { random.size(1, STEPS.len() - 1) } else { STEPS.len() };
                for step in &STEPS[..steps] {
                    self.is("starting", Some(step), None, now, random.between(pace / 20, pace / 4));
                }
                if fails {
                    self.is("error", STEPS.get(steps).copied(), Some("no space left on device"), now, pace);
                } else {
                    // An error may be left over after the recovery.
                    let left_over = random.chance(20).then_some("no space left on device");
                    self.is("running", Some("done"), left_over, now, random.between(pace / 4, 2 * pace));
                }
            }
            3 => self.is("restarting", None, None, now, random.between(pace / 8, pace)),
            4 => {
                self.is("stopping", None, None, now, random.between(pace / 8, pace / 2));
                self.is("stopped", None, None, now, random.between(pace / 4, pace));
            }
            _ => {
                let status = random.pick(&["provisioning", "updating", "exited", "in_progress", "shutting_down"]);
                self.is(status, None, None, now, random.between(pace / 8, pace));
            }
        }
    }

    fn is(&mut self, status: &str, progress: Option<&str>, error: Option<&str>, now: &mut Nanos, lasts: Nanos) {
        let (boot_progress, boot_error) = (progress.map(str::to_owned), error.map(str::to_owned));
        self.0.push((*now, Status { status: status.to_owned(), boot_progress, boot_error }));
        *now += lasts.max(1);
    }
}
