//! Snapshots: reading and loading one never panics; what loads judges every stage alike twice, and is the same after its JSON.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sekisho_policy::event::*;
use sekisho_policy::settings::{Filtering, LoginsFromAbroad, OwnLimit};
use sekisho_policy::snapshot::Unit;
use sekisho_policy::{
    Account, AccountSettings, Address, Class, DecisionId, Envelope, Event, Millis, Ruleset, Settings, Snapshot, Timestamp, Unavailable,
};

fuzz_target!(|data: &[u8]| {
    let _ = Envelope::read(data);
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(data) else { return };
    let sealed = Envelope::seal(1, snapshot);
    let json = serde_json::to_vec(&sealed).unwrap();
    assert_eq!(Envelope::read(&json).unwrap(), sealed);
    let Ok(rules) = Ruleset::load(&sealed) else { return };
    let mut matched = Vec::new();
    rules.scan_header("Subject", "Grand casino, hello", &mut matched);
    let out = Unavailable { dependency: "counters".into(), why: "fuzzing".into(), ..Unavailable::default() };
    for stage in stages(matched) {
        let event = event(stage);
        let _ = rules.needs(&event);
        let _ = rules.content(&event);
        let _ = rules.message_limits(&event);
        assert_eq!(rules.explain(&event).len(), sealed.snapshot.rules.len());
        let (plan, again) = (rules.plan(&event), rules.plan(&event));
        assert_eq!(plan.ops(), again.ops());
        let decision = plan.decide(Err(&out));
        assert_eq!(decision, again.decide(Err(&out)));
        assert!(event.transaction.is_none_or(|transaction| decision.class >= transaction.class));
    }
});

fn stages(matched: Vec<Box<str>>) -> [Stage; 9] {
    let account = Account::canonical("a@example.jp", None);
    let from = FromHeader::One(Address::new("a", "example.jp"));
    [
        Stage::Connect,
        Stage::Login { account: Some(account.clone()) },
        Stage::LoginShown { account: account.clone(), password: None },
        Stage::LoginFailed { account: Some(account), password: None },
        Stage::LoginSucceeded,
        Stage::Mail,
        Stage::Rcpt { recipient: Address::new("x", "example.org"), domain: Fact::Known(DomainStanding::NullMx) },
        Stage::Headers(HeaderFacts { from, visible_recipients: 9, matched, scan: Scan::OverLimits }),
        Stage::End(EndFacts { bytes: 1 << 20, extensions: vec!["exe".into()], scan: Scan::OverLimits, newlines: Newlines::Bare, ..EndFacts::default() }),
    ]
}

fn event(stage: Stage) -> Event {
    let source = Source {
        ip: [203, 0, 113, 9].into(),
        country: Country::parse(*b"BR"),
        asn: Some(64500),
        reverse_names: Fact::Known(vec!["a.google.com".into()]),
        trust: SourceTrust::Trusted,
    };
    let session = SessionFacts { listener: "submission".into(), source, tls: Tls::On, helo: Some("client".into()), helo_form: HeloForm::Good, before_greeting: BeforeGreeting::Silent };
    let account = AccountFacts::new(Account::canonical("a@example.jp", None), Network::New);
    let sender = Some(Address::new("a", "example.jp"));
    let transaction = TransactionFacts { sender, declared_size: Some(1 << 20), recipients: 3, class: Class::Clean, content: Class::Clean };
    let logged_in = !matches!(stage, Stage::Connect | Stage::Login { .. } | Stage::LoginFailed { .. });
    let mail = logged_in && stage != Stage::LoginSucceeded;
    Event {
        id: DecisionId::from_random(7),
        at: Timestamp(1_767_225_600_000),
        session: Arc::new(session),
        account: logged_in.then(|| Arc::new(account)),
        transaction: mail.then_some(transaction),
        stage,
        tripped: Vec::new(),
        config: ConfigState::Current,
        settings: settings(),
        checked: Default::default(),
    }
}

/// Those of an account that wants all that it can want.
fn settings() -> Settings {
    let limit = |unit, count| OwnLimit { rule: "per-account".into(), unit, per: Millis::HOUR, count };
    Settings::Own(Arc::new(AccountSettings {
        logins_from_abroad: Some(LoginsFromAbroad::Refuse),
        classification: Some(Filtering::Unwanted),
        limits: [limit(Unit::Recipients, 0), limit(Unit::Messages, 1 << 40)].into(),
    }))
}
