//! What users are told by Events: that an object was refused or mended, and that proxies took or refused it.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};
use sekisho_crd::{Condition, ConditionStatus, Kind, Status};

use super::{Memory, Turn};
use crate::error::Error;
use crate::index::KnownObject;
use crate::writer::What;

/// The API server takes no longer note.
const LONGEST: usize = 1024;

impl Memory {
    /// Tells what the new status says that the old one did not.
    pub(super) fn tell_events(
        &mut self,
        turn: &Turn<'_>,
        kind: Kind,
        name: &str,
        known: &KnownObject,
        wanted: &Status,
    ) {
        let reference = ObjectReference {
            api_version: Some(sekisho_crd::API_VERSION.to_owned()),
            kind: Some(kind.as_str().to_owned()),
            namespace: Some(turn.namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: Some(known.uid.clone()),
            ..ObjectReference::default()
        };
        let mut events = news(known.status.as_ref(), wanted);
        events.extend(self.programmed(known, wanted));
        for event in events {
            turn.publish(event, reference.clone());
        }
    }
}

impl Memory {
    /// Said once for each generation of an object, however often proxies come and go.
    fn programmed(&mut self, known: &KnownObject, wanted: &Status) -> Option<Event> {
        let is_true = |condition: &&Condition| condition.status == ConditionStatus::True;
        let now = condition(Some(wanted), "Programmed").filter(is_true)?;
        let generation = wanted.observed_generation?;
        let before = condition(known.status.as_ref(), "Programmed").filter(is_true);
        let known_before =
            before.is_some_and(|before| before.observed_generation == Some(generation));
        let told = self.told_programmed.insert(known.uid.clone(), generation);
        (told != Some(generation) && !known_before)
            .then(|| event(EventType::Normal, "Program", "Programmed", &now.message))
    }
}

impl Turn<'_> {
    /// Publishes an Event; one that cannot be written is dropped.
    pub(super) fn publish(&self, event: Event, about: ObjectReference) {
        let recorder = self.tools.recorder.clone();
        let kind = about.kind.as_deref().unwrap_or_default();
        let name = about.name.as_deref().unwrap_or_default();
        let path = format!("{}/{kind}/{name}/{}", self.namespace, event.action);
        let event = std::sync::Arc::new(event);
        self.tools.writer.put(What::Event, path, move || {
            let (recorder, event, about) = (recorder.clone(), event.clone(), about.clone());
            async move {
                recorder
                    .publish(&event, &about)
                    .await
                    .map_err(Error::api("writing an Event"))
            }
        });
    }
}

/// An Event; `action` is what was done, `reason` how it went.
pub(super) fn event(type_: EventType, action: &str, reason: &str, note: &str) -> Event {
    let mut end = LONGEST.min(note.len());
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note[..end].to_owned()),
        action: action.to_owned(),
        secondary: None,
    }
}

fn news(before: Option<&Status>, after: &Status) -> Vec<Event> {
    let mut events = Vec::new();
    let (was, is) = (
        condition(before, "Accepted"),
        condition(Some(after), "Accepted"),
    );
    if let Some(is) = is {
        let same = was.is_some_and(|was| (was.status, &was.message) == (is.status, &is.message));
        let was_refused = was.is_some_and(|was| was.status == ConditionStatus::False);
        match is.status {
            ConditionStatus::False if !same => {
                events.push(event(EventType::Warning, "Accept", &is.reason, &is.message));
            }
            ConditionStatus::True if was_refused => {
                events.push(event(
                    EventType::Normal,
                    "Accept",
                    "Accepted",
                    "the object is valid again and takes effect",
                ));
            }
            _ => {}
        }
    }
    let (was, is) = (
        condition(before, "Programmed"),
        condition(Some(after), "Programmed"),
    );
    if let Some(is) = is
        && matches!(is.reason.as_str(), "Rejected" | "WriteFailed")
        && was.is_none_or(|was| was.reason != is.reason)
    {
        events.push(event(
            EventType::Warning,
            "Program",
            &is.reason,
            &is.message,
        ));
    }
    events
}

fn condition<'a>(status: Option<&'a Status>, type_: &str) -> Option<&'a Condition> {
    status?
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}
