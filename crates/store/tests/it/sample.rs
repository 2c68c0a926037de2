//! Records and snapshots as the proxy would make them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use sekisho_policy::decision::Verdict;
use sekisho_policy::event::{
    AccountFacts, BeforeGreeting, Fact, HeloForm, Network, SessionFacts, Source, SourceTrust,
    Stage, Tls, TransactionFacts,
};
use sekisho_policy::record::{End, Hop, Step};
use sekisho_policy::snapshot::{Enforcement, Kind};
use sekisho_policy::{
    Account, Address, Class, Decision, DecisionId, Envelope, Event, Finding, Key, Millis,
    ObjectRef, Op, Outcome, Reason, Record, Refusal, Said, Timestamp,
};

pub(crate) const DIGEST: &str = "3f8a1c";

pub(crate) fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

pub(crate) fn id(number: u64) -> DecisionId {
    DecisionId::from_random(number)
}

fn object(kind: Kind, name: &str) -> Arc<ObjectRef> {
    Arc::new(ObjectRef {
        kind,
        namespace: "default".into(),
        name: name.into(),
    })
}

/// A delivered message of `owner` at `at` with one recipient; its id is `number`, its steps have ids above a million times that.
pub(crate) fn delivered(number: u64, owner: &str, at: u64) -> Record {
    let steps = vec![
        step(
            number * 1_000_000 + 1,
            owner,
            at,
            Stage::Mail,
            Verdict::Allow,
        ),
        step(
            number * 1_000_000 + 2,
            owner,
            at + 5,
            rcpt("someone@example.net"),
            Verdict::Allow,
        ),
    ];
    Record {
        id: id(number),
        gateway: object(Kind::MailGateway, "outbound"),
        generation: 1_700_000_000_000,
        digest: DIGEST.into(),
        at: Timestamp(at),
        took: Millis(31),
        account: Some(account(owner)),
        source: source(),
        class: Class::Clean,
        steps,
        steps_left_out: 0,
        end: End::Delivered(Hop {
            pool: Some("clean-pool".into()),
            member: Some("a".into()),
            address: "127.0.0.1:25".into(),
            from: Some(source()),
            reply: "250 2.0.0 Ok: queued as 4F2A1".into(),
        }),
    }
}

/// A message of which the second step was refused, under the decision id `refusal`.
pub(crate) fn refused(number: u64, refusal: u64, owner: &str, at: u64) -> Record {
    let mut record = delivered(number, owner, at);
    record.steps[1] = step(
        refusal,
        owner,
        at + 5,
        rcpt("two@example.net"),
        Verdict::Defer(rate_exceeded()),
    );
    record.end = End::RefusedByPolicy {
        reply: "450 4.7.1 Too many recipients".into(),
    };
    record
}

/// A session in which somebody tried the passwords of several accounts, and which never became one.
pub(crate) fn guessing(number: u64, claimed: &[&str], at: u64) -> Record {
    let mut record = delivered(number, "nobody", at);
    record.account = None;
    let failed = |(n, name): (usize, &&str)| {
        let stage = Stage::LoginFailed {
            account: Some(account(name)),
            password: Some([7; 16]),
        };
        let mut step = step(
            number * 1_000_000 + n as u64,
            "nobody",
            at,
            stage,
            Verdict::Allow,
        );
        step.event.account = None;
        step
    };
    record.steps = claimed.iter().enumerate().map(failed).collect();
    record.end = End::Abandoned;
    record
}

pub(crate) fn source() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9))
}

fn rcpt(recipient: &str) -> Stage {
    let (local, domain) = recipient.split_once('@').expect("an address");
    Stage::Rcpt {
        recipient: Address::new(local, domain),
        domain: Fact::Unasked,
    }
}

fn rate_exceeded() -> Refusal {
    Refusal {
        code: 450,
        enhanced: (4, 7, 1),
        text: "Too many recipients".into(),
        reason: Reason::RateExceeded,
        retry_at: Some(Timestamp(99)),
    }
}

fn step(number: u64, owner: &str, at: u64, stage: Stage, verdict: Verdict) -> Step {
    let said = if verdict.refusal().is_some() {
        Said::Defer(Reason::RateExceeded)
    } else {
        Said::Pass
    };
    Step {
        event: Event {
            id: id(number),
            at: Timestamp(at),
            session: Arc::new(SessionFacts {
                listener: "submission".into(),
                source: Source {
                    ip: source(),
                    country: None,
                    asn: Some(64_500),
                    reverse_names: Fact::Unasked,
                    trust: SourceTrust::Trusted,
                },
                tls: Tls::On,
                helo: Some("client.example.jp".into()),
                helo_form: HeloForm::Good,
                before_greeting: BeforeGreeting::Silent,
            }),
            account: Some(Arc::new(AccountFacts::new(account(owner), Network::New))),
            settings: sekisho_policy::Settings::None,
            checked: Default::default(),
            transaction: Some(TransactionFacts {
                sender: Some(Address::new(owner, "example.jp")),
                declared_size: Some(4_096),
                recipients: 1,
                class: Class::Clean,
                content: Class::Clean,
            }),
            stage,
            tripped: Vec::new(),
            config: Default::default(),
        },
        ops: vec![Op::Gate {
            key: Key::new(owner.as_bytes()),
            cost: 1,
            limit: 200,
            window: Millis::HOUR,
        }],
        answers: Ok(vec![Outcome::Passed { total: 17 }]),
        decision: Decision {
            verdict,
            class: Class::Clean,
            findings: vec![Finding {
                object: object(Kind::RateLimit, "per-account"),
                part: "spec.limits[Recipients per 1h]".into(),
                said,
                saw: "17 of 200".into(),
                enforcement: Enforcement::Enforce,
            }],
            records: Vec::new(),
            network: Network::New,
        },
    }
}

/// A small configuration; `name` makes its digest and its gateway's upstream its own.
pub(crate) fn envelope(digest: &str, generation: u64) -> Envelope {
    let json = format!(
        r#"{{"generation":{generation},"digest":"{digest}","snapshot":{{"schema":1,"rules":[],"pools":{{}},"gateway":{{
            "object":{{"kind":"MailGateway","namespace":"default","name":"outbound"}},
            "listeners":[],"authentication":{{"requirement":"Required","backends":[],"mechanisms":[]}},
            "upstream":{{"endpoints":[],"tls":"Off","clientIdentity":"None","recipientCheck":"AtRcpt"}},
            "afterData":45000,"onUnavailable":{{"config":"Keep","message":"RouteSuspect"}},
            "privacy":{{"recipients":"Hashed","clientAddressInReceived":"Include"}}}}}}}}"#
    );
    serde_json::from_str(&json).expect("a snapshot")
}
