//! Builders for snapshots and events, and counters that run at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use sekisho_counters::{Counters, Limits};
use sekisho_policy::address::{Account, Address};
use sekisho_policy::decision::{Class, Decision, Finding, Said, Verdict};
use sekisho_policy::event::*;
use sekisho_policy::snapshot::*;
use sekisho_policy::{
    DecisionId, Event, Millis, Op, Ruleset, Seen, Timestamp, Unavailable, Upshot,
};

/// 2026-01-01, so that days have a middle.
pub(crate) const START: Timestamp = Timestamp(1_767_225_600_000);

pub(crate) fn object(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef {
        kind,
        namespace: "mail".into(),
        name: name.into(),
    }
}

pub(crate) fn gateway() -> Gateway {
    Gateway {
        object: object(Kind::MailGateway, "outbound"),
        listeners: Vec::new(),
        authentication: Authentication {
            requirement: Requirement::Required,
            backends: vec![AuthBackend::Upstream],
            mechanisms: vec![Mechanism::Plain],
            default_domain: None,
            domains: Vec::new(),
        },
        upstream: Upstream {
            endpoints: vec![Endpoint::from(HostPort {
                host: "postfix".into(),
                port: 25,
            })],
            tls: UpstreamTls::Off,
            trust: Trust::default(),
            client_identity: ClientIdentity::None,
            recipient_check: RecipientCheck::AtRcpt,
        },
        home: vec![country("JP")],
        after_data: Millis(45_000),
        on_unavailable: OnUnavailable::default(),
        verdict_header: VerdictHeader::Omit,
        account_header: AccountHeader::Omit,
        limits: GatewayLimits::default(),
        privacy: Privacy::default(),
        country_database: None,
        asn_database: None,
        counters: CountersKept::default(),
        cluster_networks: Vec::new(),
    }
}

pub(crate) fn country(code: &str) -> Country {
    Country::try_from(code.to_owned()).unwrap()
}

pub(crate) fn pool(name: &str) -> Pool {
    let member = Member {
        name: "a".into(),
        source_address: None,
        helo_name: None,
        weight: 1,
        relay: None,
    };
    Pool {
        object: object(Kind::EgressPool, name),
        members: vec![member],
        max_connections: 10,
        messages_per_connection: 10,
        rate: None,
        selection: Selection::Weighted,
    }
}

pub(crate) fn rule(name: &str, spec: RuleSpec) -> Rule {
    let kind = match spec {
        RuleSpec::SubmissionPolicy(_) => Kind::SubmissionPolicy,
        RuleSpec::CountryRule(_) => Kind::CountryRule,
        RuleSpec::RateLimit(_) => Kind::RateLimit,
        RuleSpec::LoginGuard(_) => Kind::LoginGuard,
        RuleSpec::AbuseRule(_) => Kind::AbuseRule,
    };
    Rule {
        object: object(kind, name),
        enforcement: Enforcement::Enforce,
        brake: Brake::Default,
        applies: Match::default(),
        spec,
    }
}

/// A policy that asks nothing.
pub(crate) fn policy() -> SubmissionPolicy {
    SubmissionPolicy {
        max_size: None,
        max_recipients: None,
        max_visible_recipients: None,
        bare_newlines: BareNewlines::Normalize,
        missing_headers: MissingHeaders::Keep,
        envelope_sender: SenderCheck::Any,
        header_sender: SenderCheck::Any,
        aliases: Vec::new(),
        recipient_domains: RecipientDomains::Any,
        blocked_extensions: Vec::new(),
        classify: None,
        route: BTreeMap::new(),
    }
}

/// A rule about abroad that changes nothing.
pub(crate) fn abroad() -> CountryRule {
    CountryRule {
        from: From::Except(vec![country("JP")]),
        exempt: Exempt::default(),
        applies_to: AppliesTo::Everyone,
        login: LoginFrom::Allow,
        sender: SenderCheck::Any,
        recipients_per_message: None,
        limits: Vec::new(),
        class_at_least: None,
    }
}

pub(crate) fn limit(unit: Unit, count: u64, per: Millis) -> Limit {
    Limit { unit, count, per }
}

pub(crate) fn rate(key: &[KeyPart], limits: &[Limit]) -> RateLimit {
    RateLimit {
        key: key.to_vec(),
        limits: limits.to_vec(),
        overrides: Vec::new(),
        own_limits: OwnLimits::default(),
        on_exceed: OnExceed::Defer,
        restrict: None,
        on_unavailable: OnCountersUnavailable::LocalOnly,
    }
}

pub(crate) fn snapshot(rules: Vec<Rule>) -> Snapshot {
    let pools = ["clean", "slow", "spam"].map(|name| (name.to_owned(), pool(name)));
    Snapshot {
        schema: SCHEMA,
        gateway: gateway(),
        rules,
        pools: pools.into(),
    }
}

pub(crate) fn envelope(snapshot: Snapshot) -> Envelope {
    Envelope::seal(1, snapshot)
}

/// Rules and counters together.
pub(crate) struct World {
    pub(crate) rules: Ruleset,
    pub(crate) counters: Counters,
}

impl World {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self::of(snapshot(rules))
    }

    pub(crate) fn of(snapshot: Snapshot) -> Self {
        let rules = Ruleset::load(&envelope(snapshot)).unwrap();
        Self {
            rules,
            counters: Counters::memory(Limits::default()),
        }
    }

    /// Judges as the proxy does: charges, gives back what a refusal did not use, applies the records.
    pub(crate) fn judge(&self, event: &Event) -> Decision {
        let plan = self.rules.plan(event);
        let (results, receipt) = now(self.counters.apply(event.at, plan.ops())).unwrap();
        let decision = plan.decide(Ok(&results));
        if decision.verdict.refusal().is_some()
            && event.stage.gives_back()
            && let Some(receipt) = receipt
        {
            now(self.counters.give_back(receipt));
        }
        now(self.counters.apply(event.at, &decision.records)).unwrap();
        decision
    }

    /// What happened, as the proxy follows it up.
    pub(crate) fn see(&self, event: &Event, seen: &Seen<'_>) -> Upshot {
        let apply = |ops: &[Op]| now(self.counters.apply(event.at, ops)).unwrap().0;
        let watch = self.rules.watch(event, seen);
        let results = apply(watch.ops());
        let Some(claims) = watch.claims(&results) else {
            return Upshot::default();
        };
        let results = apply(claims.ops());
        let steps = claims.steps(&results);
        let results = apply(steps.ops());
        steps.upshot(&results)
    }

    pub(crate) fn judge_without_counters(&self, event: &Event) -> Decision {
        let out = Unavailable {
            dependency: "counters".into(),
            why: "test".into(),
            ..Unavailable::default()
        };
        self.rules.plan(event).decide(Err(&out))
    }

    /// As a proxy judges whose shared counters are out: these are its own, and it keeps what was charged.
    pub(crate) fn judge_alone(&self, event: &Event) -> Decision {
        let plan = self.rules.plan(event);
        let (results, _) = now(self.counters.apply(event.at, &plan.ops_alone())).unwrap();
        let out = Unavailable {
            alone: Some(results),
            ..Unavailable::default()
        };
        let decision = plan.decide(Err(&out));
        now(self.counters.apply(event.at, &decision.records)).unwrap();
        decision
    }
}

/// Runs a future that never waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("memory counters do not wait"),
    }
}

pub(crate) fn address(text: &str) -> Address {
    let (local, domain) = text.rsplit_once('@').unwrap();
    Address::new(local, domain)
}

/// An event with `a@example.jp` at home, to be changed by the calls that follow.
#[derive(Clone, Debug)]
pub(crate) struct At(pub(crate) Event);

pub(crate) fn at(stage: Stage) -> At {
    let session = SessionFacts {
        listener: "submission".into(),
        source: Source {
            ip: "203.0.113.9".parse().unwrap(),
            country: Some(country("JP")),
            asn: Some(64500),
            reverse_names: Fact::Unasked,
            trust: SourceTrust::Trusted,
        },
        tls: Tls::On,
        helo: Some("client.example".into()),
        helo_form: HeloForm::Good,
        before_greeting: BeforeGreeting::Talked,
    };
    let before_login = matches!(
        stage,
        Stage::Connect | Stage::Login { .. } | Stage::LoginShown { .. } | Stage::LoginFailed { .. }
    );
    let in_transaction = !before_login && stage != Stage::LoginSucceeded;
    let name = Account::canonical("a@example.jp", None);
    let account = AccountFacts::new(name, Network::New);
    let transaction = TransactionFacts {
        sender: Some(address("a@example.jp")),
        declared_size: None,
        recipients: 0,
        class: Class::Unclassified,
        content: Class::Unclassified,
    };
    At(Event {
        id: DecisionId::from_random(7),
        at: START,
        session: Arc::new(session),
        account: (!before_login).then(|| Arc::new(account)),
        settings: Settings::None,
        checked: Checked::Here,
        transaction: in_transaction.then_some(transaction),
        stage,
        tripped: Vec::new(),
        config: ConfigState::Current,
    })
}

pub(crate) fn login(account: &str) -> At {
    at(Stage::Login {
        account: Some(Account::canonical(account, None)),
    })
}

/// A login by whoever has not said who it is.
pub(crate) fn nameless_login() -> At {
    at(Stage::Login { account: None })
}

pub(crate) fn failed(account: &str, password: Option<u8>) -> At {
    at(Stage::LoginFailed {
        account: Some(Account::canonical(account, None)),
        password: password.map(|byte| [byte; 16]),
    })
}

pub(crate) fn rcpt(recipient: &str) -> At {
    at(Stage::Rcpt {
        recipient: address(recipient),
        domain: Fact::Known(DomainStanding::Resolves),
    })
}

pub(crate) fn headers(from: FromHeader) -> At {
    at(Stage::Headers(HeaderFacts {
        from,
        visible_recipients: 1,
        matched: Vec::new(),
        scan: Scan::Complete,
    }))
}

pub(crate) fn own_headers() -> At {
    headers(FromHeader::One(address("a@example.jp")))
}

/// A header section in which these patterns were found.
pub(crate) fn matched(names: &[&str]) -> At {
    let matched = names.iter().map(|&name| name.into()).collect();
    at(Stage::Headers(HeaderFacts {
        from: FromHeader::Missing,
        visible_recipients: 0,
        matched,
        scan: Scan::Complete,
    }))
}

pub(crate) fn end(bytes: u64) -> At {
    at(Stage::End(EndFacts {
        bytes,
        extensions: Vec::new(),
        scan: Scan::Complete,
        newlines: Newlines::Clean,
        ..EndFacts::default()
    }))
}

/// The message is about to leave.
pub(crate) fn route(bytes: u64) -> At {
    at(Stage::Route { bytes })
}

impl At {
    pub(crate) fn session(mut self, change: impl FnOnce(&mut SessionFacts)) -> Self {
        change(Arc::make_mut(&mut self.0.session));
        self
    }

    pub(crate) fn source(self, ip: &str) -> Self {
        self.session(|session| session.source.ip = ip.parse().unwrap())
    }

    pub(crate) fn from(self, code: &str) -> Self {
        self.session(|session| session.source.country = (!code.is_empty()).then(|| country(code)))
    }

    pub(crate) fn transaction(mut self, change: impl FnOnce(&mut TransactionFacts)) -> Self {
        change(self.0.transaction.as_mut().unwrap());
        self
    }

    pub(crate) fn sender(self, sender: &str) -> Self {
        self.transaction(|transaction| {
            transaction.sender = (!sender.is_empty()).then(|| address(sender))
        })
    }

    pub(crate) fn account(mut self, name: &str) -> Self {
        let name = Account::canonical(name, None);
        self.0.account = Some(Arc::new(AccountFacts::new(name, Network::New)));
        self
    }

    pub(crate) fn anonymous(mut self) -> Self {
        self.0.account = None;
        self
    }

    pub(crate) fn after(mut self, span: Millis) -> Self {
        self.0.at = START.plus(span);
        self
    }
}

/// `450 4.7.1` and the like; `ok` where it goes on.
pub(crate) fn code(decision: &Decision) -> String {
    match &decision.verdict {
        Verdict::Allow => "ok".into(),
        Verdict::Delay(span) => format!("delay {span}"),
        Verdict::Defer(refusal) | Verdict::Reject(refusal) => {
            assert_eq!(
                matches!(decision.verdict, Verdict::Defer(_)),
                refusal.code < 500
            );
            assert_eq!(u16::from(refusal.enhanced.0), refusal.code / 100);
            let (class, subject, detail) = refusal.enhanced;
            format!("{} {class}.{subject}.{detail}", refusal.code)
        }
    }
}

pub(crate) fn finding<'d>(decision: &'d Decision, part: &str) -> &'d Finding {
    let found = decision
        .findings
        .iter()
        .find(|finding| finding.part == part);
    found.unwrap_or_else(|| panic!("no finding of {part} in {:#?}", decision.findings))
}

pub(crate) fn said(decision: &Decision, part: &str) -> Said {
    finding(decision, part).said
}
