//! What the feature `metrics` counts.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic too")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cvm_watch_driver::metrics as watch_metrics;
use cvm_watch_sim::virtual_time::Tasks;
use cvm_watch_sim::{Attempt, Script, Sim};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

const SECOND: Duration = Duration::from_secs(1);

/// Keeps every metric, by name and labels, with each value that it had.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<String, Vec<f64>>>>);

struct Metric(Kept, String);

impl Kept {
    fn metric(&self, key: &Key) -> Arc<Metric> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Arc::new(Metric(self.clone(), format!("{}{{{}}}", key.name(), labels.join(","))))
    }

    fn values(&self, metric: &str) -> Vec<f64> {
        self.0.lock().unwrap().get(metric).cloned().unwrap_or_default()
    }

    fn last(&self, metric: &str) -> f64 {
        self.values(metric).last().copied().unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

impl Metric {
    fn change(&self, change: impl FnOnce(f64) -> f64) {
        let mut metrics = self.0.0.lock().unwrap();
        let values = metrics.entry(self.1.clone()).or_default();
        values.push(change(values.last().copied().unwrap_or_default()));
    }
}

impl CounterFn for Metric {
    fn increment(&self, by: u64) {
        self.change(|value| value + by as f64);
    }

    fn absolute(&self, value: u64) {
        self.change(|_| value as f64);
    }
}

impl GaugeFn for Metric {
    fn increment(&self, by: f64) {
        self.change(|value| value + by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| value - by);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

impl HistogramFn for Metric {
    fn record(&self, value: f64) {
        self.change(|_| value);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_gauge(key, unit, text);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        assert!(!text.is_empty());
        self.0.lock().unwrap().insert(format!("{}: {}", key.as_str(), unit.unwrap().as_str()), Vec::new());
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe_gauge(key, unit, text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.metric(key))
    }
}

/// What is recorded while `run` runs.
fn kept(run: impl FnOnce()) -> Kept {
    let kept = Kept::default();
    metrics::with_local_recorder(&kept, run);
    kept
}

#[test]
fn a_single_watch_counts_attempts_retries_events_and_its_time_to_target() {
    let kept = kept(|| {
        let sim = Sim::builder().start_virtual();
        let script = Script::new()
            .then(Attempt::json(503, "{}"))
            .then(Attempt::stream().state("starting").wait(SECOND).reset())
            .then(Attempt::stream().state("starting").wait(SECOND).state("running").complete("running"));
        sim.script("my-cvm", script);
        let watch = sim.client().watch("my-cvm", "running").retry_delay(4 * SECOND);
        sim.time().run(watch).unwrap();
    });
    assert_eq!(kept.last("cvm_watch_attempts_total{pool=}"), 3.0);
    assert_eq!(kept.last("cvm_watch_retries_total{pool=,cause=http_503}"), 1.0);
    assert_eq!(kept.last("cvm_watch_retries_total{pool=,cause=reset}"), 1.0);
    assert_eq!(kept.last("cvm_watch_events_total{pool=,event=state}"), 3.0);
    assert_eq!(kept.last("cvm_watch_events_total{pool=,event=complete}"), 1.0);
    assert_eq!(kept.last("cvm_watch_outcomes_total{pool=,outcome=target}"), 1.0);
    assert_eq!(kept.values("cvm_watch_time_to_target_seconds{pool=}"), [10.0]);
    assert_eq!(kept.values("cvm_watch_watches{pool=}"), [1.0, 0.0]);
    assert_eq!(kept.values("cvm_watch_open_streams{pool=}"), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn a_pool_never_shows_more_open_streams_than_its_slots() {
    let kept = kept(|| {
        let sim = Sim::builder().start_virtual();
        let boot = Attempt::stream().state("starting").wait(2 * SECOND).state("running").complete("running");
        sim.script_others(Script::new().then(boot));
        let (pool, driver) = sim.client().pool();
        let mut tasks = Tasks::default();
        tasks.spawn(driver.max_streams(2).metrics_label("team-a"));
        for number in 0..6 {
            let watch = pool.watch(format!("cvm-{number}"), "running");
            tasks.spawn(async move { drop(watch.await) });
        }
        drop(pool);
        assert!(sim.time().run_tasks(&mut tasks));
    });
    let streams = kept.values("cvm_watch_open_streams{pool=team-a}");
    assert_eq!(streams.iter().copied().fold(0.0, f64::max), 2.0, "{streams:?}");
    assert_eq!(streams.last(), Some(&0.0));
    assert_eq!(kept.values("cvm_watch_watches{pool=team-a}").iter().copied().fold(0.0, f64::max), 6.0);
    assert_eq!(kept.last("cvm_watch_watches{pool=team-a}"), 0.0);
    assert_eq!(kept.last("cvm_watch_outcomes_total{pool=team-a,outcome=target}"), 6.0);
    assert_eq!(kept.values("cvm_watch_time_to_target_seconds{pool=team-a}").len(), 6);
}

#[test]
fn a_dropped_watch_leaves_no_gauge_behind() {
    let kept = kept(|| {
        let sim = Sim::builder().start_virtual();
        sim.script("my-cvm", Attempt::stream().state("starting").stall());
        let mut watch = sim.client().watch("my-cvm", "running");
        // Connecting, then the state: the stream is open.
        sim.time().run(watch.next_update()).unwrap();
        sim.time().run(watch.next_update()).unwrap();
        drop(watch);
    });
    assert_eq!(kept.values("cvm_watch_open_streams{pool=}"), [1.0, 0.0]);
    assert_eq!(kept.values("cvm_watch_watches{pool=}"), [1.0, 0.0]);
    assert_eq!(kept.last("cvm_watch_outcomes_total{pool=,outcome=aborted}"), 1.0);
}

#[test]
fn every_metric_is_described_with_its_unit() {
    let described = kept(watch_metrics::describe).names();
    let names = [
        watch_metrics::WATCHES,
        watch_metrics::OPEN_STREAMS,
        watch_metrics::ATTEMPTS,
        watch_metrics::RETRIES,
        watch_metrics::EVENTS,
        watch_metrics::OUTCOMES,
        watch_metrics::TIME_TO_TARGET,
    ];
    assert_eq!(described.len(), names.len());
    for name in names {
        let unit = if name.ends_with("_seconds") { "seconds" } else { "count" };
        assert!(described.contains(&format!("{name}: {unit}")), "{described:?}");
    }
}
