//! Steps as records write them: what is known of the session and of the account is written once, and again only where it changed.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Step;
use crate::decision::Decision;
use crate::event::{
    AccountFacts, Checked, ConfigState, Event, SessionFacts, Settings, Stage, TransactionFacts,
};
use crate::id::DecisionId;
use crate::op::{Op, Outcome, Unavailable};
use crate::snapshot::ObjectRef;
use crate::time::Timestamp;

/// A [`Step`] in a record.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    event: WrittenEvent<'a>,
    #[serde(default, skip_serializing_if = "is_empty")]
    ops: Cow<'a, [Op]>,
    answers: Cow<'a, Result<Vec<Outcome>, Unavailable>>,
    decision: Cow<'a, Decision>,
}

/// An [`Event`] in a record. `session` is absent where it is as in the step before.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEvent<'a> {
    id: DecisionId,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<Arc<SessionFacts>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Arc<AccountFacts>>,
    #[serde(default, skip_serializing_if = "Settings::is_none")]
    settings: Settings,
    #[serde(default, skip_serializing_if = "Checked::is_here")]
    checked: Checked,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transaction: Option<Cow<'a, TransactionFacts>>,
    stage: Cow<'a, Stage>,
    #[serde(default, skip_serializing_if = "is_empty")]
    tripped: Cow<'a, [ObjectRef]>,
    #[serde(default, skip_serializing_if = "ConfigState::is_current")]
    config: ConfigState,
}

impl<'a> Written<'a> {
    fn after(before: Option<&Step>, step: &'a Step) -> Self {
        let event = &step.event;
        let known = before.is_some_and(|before| is_same(&before.event.session, &event.session));
        Self {
            event: WrittenEvent {
                id: event.id,
                at: event.at,
                session: (!known).then(|| event.session.clone()),
                account: event.account.clone(),
                settings: event.settings.clone(),
                checked: event.checked,
                transaction: event.transaction.as_ref().map(Cow::Borrowed),
                stage: Cow::Borrowed(&event.stage),
                tripped: Cow::Borrowed(&event.tripped),
                config: event.config,
            },
            ops: Cow::Borrowed(&step.ops),
            answers: Cow::Borrowed(&step.answers),
            decision: Cow::Borrowed(&step.decision),
        }
    }

    /// `None` where nothing was written of the session, and there is no step before it.
    fn read(self, before: Option<&Step>) -> Option<Step> {
        let event = self.event;
        let before = || before.map(|before| before.event.session.clone());
        Some(Step {
            event: Event {
                id: event.id,
                at: event.at,
                session: event.session.or_else(before)?,
                account: event.account,
                settings: event.settings,
                checked: event.checked,
                transaction: event.transaction.map(Cow::into_owned),
                stage: event.stage.into_owned(),
                tripped: event.tripped.into_owned(),
                config: event.config,
            },
            ops: self.ops.into_owned(),
            answers: self.answers.into_owned(),
            decision: self.decision.into_owned(),
        })
    }
}

/// Steps of one session share what is known of it until something changes.
fn is_same(before: &Arc<SessionFacts>, now: &Arc<SessionFacts>) -> bool {
    Arc::ptr_eq(before, now) || before == now
}

fn is_empty<T>(list: &[T]) -> bool {
    list.is_empty()
}

pub(super) fn serialize<S: Serializer>(steps: &[Step], serializer: S) -> Result<S::Ok, S::Error> {
    let before = std::iter::once(None).chain(steps.iter().map(Some));
    serializer.collect_seq(
        before
            .zip(steps)
            .map(|(before, step)| Written::after(before, step)),
    )
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Step>, D::Error> {
    let written = Vec::<Written<'_>>::deserialize(deserializer)?;
    let mut steps = Vec::with_capacity(written.len());
    for one in written {
        let step = one.read(steps.last());
        steps.push(step.ok_or_else(|| D::Error::missing_field("session"))?);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Record;

    fn step(id: &str, helo: Option<&str>) -> Value {
        let mut session =
            json!({ "listener": "submission", "source": { "ip": "192.0.2.7" }, "tls": "Off" });
        if let Some(helo) = helo {
            session["helo"] = helo.into();
        }
        json!({
            "event": { "id": id, "at": 1_795_345_989_740_u64, "session": session, "stage": "mail" },
            "ops": [{ "Gate": { "key": [4, 0, 255], "cost": 1, "limit": 9, "window": 3_600_000 } }],
            "answers": { "Ok": [{ "Passed": { "total": 3 } }] },
            "decision": { "verdict": "Allow", "class": "Clean", "findings": [], "network": "New" },
        })
    }

    /// A record as it was written when each step told of its session, and keys were lists of numbers.
    fn older() -> Value {
        json!({
            "id": "CT3G-Q2R9-BEFA",
            "gateway": { "kind": "MailGateway", "namespace": "default", "name": "bench" },
            "generation": 1, "digest": "2b7d", "at": 1_795_345_989_740_u64, "took": 2, "source": "192.0.2.7", "class": "Clean",
            "steps": [
                step("3R6V-AMQG-6W1W", None), step("6PXF-ZTXQ-TP61", None), step("F4ET-JAHW-461J", Some("vm")), step("F21B-ER8Q-AANQ", Some("vm")),
            ],
            "stepsLeftOut": 0, "end": "abandoned",
        })
    }

    #[test]
    fn a_session_is_written_once_and_again_where_it_changed() {
        let older = older();
        let record: Record = serde_json::from_value(older.clone()).unwrap();
        let written = serde_json::to_value(&record).unwrap();
        let told = |at: usize| written["steps"][at]["event"].get("session");
        assert_eq!(told(0), Some(&older["steps"][0]["event"]["session"]));
        assert_eq!(told(1), None);
        assert_eq!(told(2).unwrap()["helo"], "vm");
        assert_eq!(told(3), None);
        assert_eq!(written["steps"][0]["ops"][0]["Gate"]["key"], "BAD_");
        assert_eq!(serde_json::from_value::<Record>(written).unwrap(), record);
    }

    #[test]
    fn the_first_step_has_to_tell_of_its_session() {
        let mut older = older();
        older["steps"][0]["event"]
            .as_object_mut()
            .unwrap()
            .remove("session");
        let error = serde_json::from_value::<Record>(older).unwrap_err();
        assert!(error.to_string().contains("session"), "{error}");
    }
}
