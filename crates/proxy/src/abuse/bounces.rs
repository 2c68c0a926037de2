//! Recipients that turned out not to exist after a message was taken, as somebody reports them.

use std::net::Ipv6Addr;
use std::sync::Arc;

use sekisho_policy::errand::Bounced;
use sekisho_policy::event::{
    AccountFacts, BeforeGreeting, Checked, Event, Fact, HeloForm, Network, SessionFacts, Source,
    SourceTrust, Stage, Tls,
};
use sekisho_policy::record::{End, Record, Step};
use sekisho_policy::{Account, Class, Decision, Finding, Millis, Outcome, Signal, Verdict};

use crate::live::Live;
use crate::shared::Shared;

/// Counts them, as of a session that nobody knows any more; how many of them were counted.
pub(crate) async fn see_bounces(
    shared: &Shared,
    account: &Account,
    count: u64,
    of: Option<Bounced>,
) -> u64 {
    let live = shared.live();
    let at = shared.now();
    // Where no rule counts them nothing is kept of them.
    let counts = live.rules.counts(Signal::UnknownRecipients);
    let count = match of {
        None => count,
        Some(message) if !counts => count.min(message.recipients),
        Some(message) => {
            let meter = live.rules.bounced(account, message.id, count);
            let results = shared.engine.count(&live, at, &[meter]).await;
            match results.0[..] {
                [Outcome::Total(total)] => unheard(total, count, message.recipients),
                _ => 0,
            }
        }
    };
    if count == 0 || !counts {
        return count;
    }
    let session = SessionFacts {
        listener: "".into(),
        source: Source {
            ip: Ipv6Addr::UNSPECIFIED.into(),
            country: None,
            asn: None,
            reverse_names: Fact::Unasked,
            trust: SourceTrust::Untrusted,
        },
        tls: Tls::Off,
        helo: None,
        helo_form: HeloForm::default(),
        before_greeting: BeforeGreeting::Silent,
    };
    let facts = Arc::new(AccountFacts::new(account.clone(), Network::New));
    let event = Event {
        id: shared.ids.draw(),
        at,
        session: Arc::new(session),
        account: Some(shared.restrictions.judge(&facts, at)),
        settings: shared.settings.of(account),
        checked: Checked::Here,
        transaction: None,
        stage: Stage::Mail,
        tripped: shared.engine.brakes.tripped().to_vec(),
        config: shared.config_state(),
    };
    let findings = shared.engine.see_unknown(&live, &event, count).await;
    if !findings.is_empty() {
        let record = record(&live, account, event, findings);
        let privacy = live.rules.gateway().privacy.recipients;
        shared.ledger.write(record, privacy);
    }
    count
}

/// What a restriction that comes of it names.
fn record(live: &Live, account: &Account, event: Event, findings: Vec<Finding>) -> Record {
    let (id, at, source) = (event.id, event.at, event.session.source.ip);
    let decision = Decision {
        verdict: Verdict::Allow,
        class: Class::default(),
        findings,
        records: Vec::new(),
        network: Network::New,
    };
    let step = Step {
        event,
        ops: Vec::new(),
        answers: Ok(Vec::new()),
        decision,
    };
    Record {
        id,
        gateway: live.rules.gateway_ref().clone(),
        generation: live.rules.generation(),
        digest: live.rules.digest().clone(),
        at,
        took: Millis(0),
        account: Some(account.clone()),
        source,
        class: Class::default(),
        steps: vec![step],
        steps_left_out: 0,
        end: End::Noted,
    }
}

/// Of `count` that make `total`, how many are among the first `most`.
fn unheard(total: u64, count: u64, most: u64) -> u64 {
    total.min(most) - total.saturating_sub(count).min(most)
}

#[cfg(test)]
mod tests {
    use super::unheard;

    #[test]
    fn a_message_comes_back_from_no_more_than_it_went_to() {
        for (total, count, most, heard) in [
            (1, 1, 3, 1),
            (3, 2, 3, 2),
            (5, 3, 3, 1),
            (9, 4, 3, 0),
            (4, 4, 3, 3),
            (1, 1, 0, 0),
            (u64::MAX, 1, 3, 0),
        ] {
            assert_eq!(
                unheard(total, count, most),
                heard,
                "{count} make {total} of {most}"
            );
        }
    }
}
