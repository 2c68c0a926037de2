//! Families of series: registering them with a description, and handles that resolve each series once.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::labels::{Label, LabelSet};

/// What `docs/metrics.md` says of one family.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) labels: Vec<LabelName>,
    pub(super) help: String,
}

/// A label of a family, and its values if they are a closed list.
#[derive(Clone, Debug)]
pub(super) struct LabelName {
    pub(super) name: &'static str,
    pub(super) values: Option<Vec<&'static str>>,
}

/// A label whose values are names of objects (or a version).
pub(super) fn object(name: &'static str) -> LabelName {
    LabelName { name, values: None }
}

/// A label whose values are those of `L`.
pub(super) fn closed<L: Label>(name: &'static str) -> LabelName {
    LabelName {
        name,
        values: Some(L::ALL.iter().map(|value| value.as_str()).collect()),
    }
}

fn names(labels: &[LabelName]) -> Vec<&'static str> {
    labels.iter().map(|label| label.name).collect()
}

/// Registers families and remembers their descriptions: the list of metrics is made from what is registered.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    registry: Registry,
    described: Mutex<Vec<Description>>,
}

const SOUND: &str = "the families are a fixed list that a test registers";

impl Registrar {
    pub(super) fn counters(&self, name: &str, labels: &[LabelName], help: &str) -> IntCounterVec {
        let vec = IntCounterVec::new(Opts::new(name, help), &names(labels)).expect(SOUND);
        self.register("counter", name, labels, help, vec)
    }

    pub(super) fn gauges(&self, name: &str, labels: &[LabelName], help: &str) -> IntGaugeVec {
        let vec = IntGaugeVec::new(Opts::new(name, help), &names(labels)).expect(SOUND);
        self.register("gauge", name, labels, help, vec)
    }

    pub(super) fn float_gauges(&self, name: &str, labels: &[LabelName], help: &str) -> GaugeVec {
        let vec = GaugeVec::new(Opts::new(name, help), &names(labels)).expect(SOUND);
        self.register("gauge", name, labels, help, vec)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        labels: &[LabelName],
        buckets: &[f64],
        help: &str,
    ) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let vec = HistogramVec::new(opts, &names(labels)).expect(SOUND);
        self.register("histogram", name, labels, help, vec)
    }

    /// Registers what Prometheus' own collector knows of this process: memory, processor time, open files.
    #[cfg(target_os = "linux")]
    pub(super) fn process(&self) {
        let process = prometheus::process_collector::ProcessCollector::for_self();
        for desc in process.desc() {
            let kind = if desc.fq_name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            self.describe(kind, &desc.fq_name, &[], &desc.help);
        }
        self.registry.register(Box::new(process)).expect(SOUND);
    }

    pub(super) fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.registry.gather()
    }

    pub(super) fn descriptions(&self) -> Vec<Description> {
        let mut all = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn register<T: Collector + Clone + 'static>(
        &self,
        kind: &'static str,
        name: &str,
        labels: &[LabelName],
        help: &str,
        family: T,
    ) -> T {
        self.registry
            .register(Box::new(family.clone()))
            .expect(SOUND);
        self.describe(kind, name, labels, help);
        family
    }

    fn describe(&self, kind: &'static str, name: &str, labels: &[LabelName], help: &str) {
        self.described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Description {
                name: name.to_owned(),
                kind,
                labels: labels.to_vec(),
                help: help.to_owned(),
            });
    }
}

/// A family whose series are found by their label values.
pub(super) trait Family: Clone {
    type Metric;
    fn resolve(&self, values: &[&str]) -> Self::Metric;
}

impl<B: MetricVecBuilder> Family for MetricVec<B> {
    type Metric = B::M;
    fn resolve(&self, values: &[&str]) -> B::M {
        self.with_label_values(values)
    }
}

/// The series of one family that share their leading labels (names of objects), indexed by the closed labels
/// that follow. A series is looked up by its strings once; after that it costs an index and an atomic.
pub(super) struct Series<F: Family, L: LabelSet> {
    family: F,
    leading: Arc<[String]>,
    cells: Box<[OnceLock<F::Metric>]>,
    closed: PhantomData<fn(L)>,
}

impl<F: Family, L: LabelSet> Series<F, L> {
    pub(super) fn new(family: &F, leading: &Arc<[String]>) -> Self {
        Self {
            family: family.clone(),
            leading: leading.clone(),
            cells: (0..L::COUNT).map(|_| OnceLock::new()).collect(),
            closed: PhantomData,
        }
    }

    pub(super) fn at(&self, labels: L) -> &F::Metric {
        self.cells[labels.cell()].get_or_init(|| {
            let mut values: Vec<&str> = self.leading.iter().map(String::as_str).collect();
            labels.values(&mut |value| values.push(value));
            self.family.resolve(&values)
        })
    }
}

impl<F: Family, L: LabelSet> fmt::Debug for Series<F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series")
            .field("leading", &self.leading)
            .finish_non_exhaustive()
    }
}
