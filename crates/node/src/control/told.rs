//! Says in the log and in `/readyz` how it goes with the control plane; each trouble is logged once until it changes.

use sekisho_runtime::health::Component;

use super::trouble::{Kind, Trouble};

/// What was said last.
pub(crate) struct Told {
    /// What is asked of the control plane, for messages.
    what: &'static str,
    component: Component,
    last: Option<Kind>,
}

impl Told {
    pub(crate) fn new(what: &'static str, component: Component) -> Self {
        Self {
            what,
            component,
            last: None,
        }
    }

    pub(crate) fn well(&mut self) {
        if self.last.take().is_some() {
            tracing::info!(what = self.what, "the control plane answers again");
        }
        self.component.ok();
    }

    /// It answers, and something is not as it should be.
    pub(crate) fn degraded(&mut self, why: String) {
        if self.last.take().is_some() {
            tracing::info!(what = self.what, "the control plane answers again");
        }
        self.component.degraded(why);
    }

    pub(crate) fn trouble(&mut self, trouble: &Trouble) {
        let kind = trouble.kind();
        if self.last.replace(kind) != Some(kind) {
            tracing::warn!(
                what = self.what,
                %trouble,
                "the control plane does not answer; it is asked again and again"
            );
        }
        self.component.degraded(trouble.to_string());
    }
}
