//! A store that fails is complained of once, not at each try.

use sekisho_store::StoreError;

/// Logs a trouble once until it is over.
#[derive(Debug)]
pub(crate) struct Trouble {
    begun: &'static str,
    ended: &'static str,
    said: Option<String>,
}

impl Trouble {
    /// With what is said when it begins and when it has ended.
    pub(crate) const fn said_as(begun: &'static str, ended: &'static str) -> Self {
        Self {
            begun,
            ended,
            said: None,
        }
    }

    pub(crate) fn note(&mut self, error: &StoreError) {
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            tracing::error!(%error, "{}", self.begun);
            self.said = Some(text);
        }
    }

    pub(crate) fn over(&mut self) {
        if self.said.take().is_some() {
            tracing::info!("{}", self.ended);
        }
    }
}
