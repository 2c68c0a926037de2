//! From what is written to a [`PolicyTest`], with the place of whatever makes no sense.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use sekisho_crd::{ByteSize, Duration};
use sekisho_policy::event::Country;
use sekisho_policy::opinion::{Score, Symbol};
use sekisho_policy::settings::OwnLimit;
use sekisho_policy::{AccountSettings, Millis, Opinion, Settings, Timestamp};

use super::expand::{MAX_RECIPIENTS, numbered, runs};
use super::moment::moment;
use super::raw::{RawAct, RawCase, RawOpinion, RawSettings, RawStep, RawTest};
use super::{
    Act, Expect, Origin, PolicyTest, TestCase, TestClient, TestContent, TestMessage, TestStep,
};
use crate::diagnostic::{Code, Diagnostic, Position};
use crate::objects::ObjectKey;
use crate::path::FieldPath;

/// When a case begins that does not say when: a Monday at nine o'clock in Japan.
const MONDAY: Timestamp = Timestamp(1_767_571_200_000);
/// The largest message.
const LARGEST: u64 = 256 << 20;
/// A score that no engine gives.
const ABSURD: f64 = 1_000_000.0;

/// The test, and what is wrong with it: then it is not to be run.
pub(in crate::files) fn read(
    raw: RawTest,
    key: ObjectKey,
    folder: &Path,
    position: impl Fn(&FieldPath) -> Option<Position>,
) -> (PolicyTest, Vec<Diagnostic>) {
    let mut reader = Reader {
        defaults: raw.defaults,
        folder,
        position: &position,
        problems: Vec::new(),
    };
    let at = FieldPath::spec().field("cases");
    let cases = raw.cases.into_iter().enumerate();
    let cases = cases
        .map(|(index, case)| reader.case(case, &at.index(index)))
        .collect();
    let gateway = raw.gateway;
    (
        PolicyTest {
            key,
            gateway,
            cases,
        },
        reader.problems,
    )
}

struct Reader<'a> {
    defaults: RawAct,
    /// Where the files are that messages are in.
    folder: &'a Path,
    position: &'a dyn Fn(&FieldPath) -> Option<Position>,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn case(&mut self, raw: RawCase, at: &FieldPath) -> TestCase {
        let begins = self.parsed(
            raw.at.as_deref(),
            &at.field("at"),
            "a moment in UTC, like 2026-01-05T09:00:00Z",
            moment,
        );
        let steps: Vec<TestStep> = raw
            .steps
            .into_iter()
            .enumerate()
            .map(|(index, step)| self.step(step, &at.field("steps").index(index)))
            .collect();
        if steps.iter().all(|step| step.expect.is_none()) {
            self.refuse(
                Code::InvalidValue,
                &at.field("steps"),
                "nothing is expected of any of them",
                "give a step an `expect`",
            );
        }
        TestCase {
            name: raw.name,
            at: begins.unwrap_or(MONDAY),
            steps,
            position: (self.position)(at),
        }
    }

    fn step(&mut self, raw: RawStep, at: &FieldPath) -> TestStep {
        let act = match (raw.wait, raw.connect, raw.login, raw.send) {
            (Some(wait), None, None, None) => Act::Wait(
                self.span(Some(&wait), &at.field("wait"))
                    .unwrap_or_default(),
            ),
            (None, Some(act), None, None) => Act::Connect(self.client(&act, &at.field("connect"))),
            (None, None, Some(act), None) => {
                let client = self.client(&act, &at.field("login"));
                if client.account.is_none() {
                    self.refuse(
                        Code::Required,
                        &at.field("login").field("account"),
                        "must be given",
                        "who logs in",
                    );
                }
                Act::Login(client, act.password)
            }
            (None, None, None, Some(act)) => {
                let at = at.field("send");
                Act::Send(self.client(&act, &at), Box::new(self.message(*act, &at)))
            }
            _ => {
                self.refuse(
                    Code::InvalidValue,
                    at,
                    "does not say what happens",
                    "one of wait, connect, login and send",
                );
                Act::Wait(Millis::default())
            }
        };
        if let Some(expect) = &raw.expect {
            self.expect(expect, &act, &at.field("expect"));
        }
        TestStep {
            act,
            expect: raw.expect,
            position: (self.position)(at),
        }
    }

    fn expect(&mut self, expect: &Expect, act: &Act, at: &FieldPath) {
        if expect.is_empty() {
            self.refuse(
                Code::InvalidValue,
                at,
                "expects nothing",
                "give it a verdict, a rule, a pool or the like",
            );
        }
        if matches!(act, Act::Wait(span) if *span != Millis::default()) {
            self.refuse(
                Code::InvalidValue,
                at,
                "nothing becomes of waiting",
                "put it with the step that it is about",
            );
        }
        if matches!(act, Act::Send(..)) {
            return;
        }
        let given = [
            ("pool", expect.pool.is_some()),
            ("member", expect.member.is_some()),
            ("class", expect.class.is_some()),
            ("recipients", expect.recipients.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            self.refuse(
                Code::InvalidValue,
                &at.field(field),
                "only a message that is sent has it",
                "",
            );
        }
    }

    fn client(&mut self, raw: &RawAct, at: &FieldPath) -> TestClient {
        let defaults = &self.defaults;
        let or = |own: &Option<String>, default: &Option<String>| {
            own.clone().or_else(|| default.clone())
        };
        let (source, country) = (
            or(&raw.source, &defaults.source),
            or(&raw.country, &defaults.country),
        );
        let client = TestClient {
            account: or(&raw.account, &defaults.account),
            listener: or(&raw.listener, &defaults.listener),
            source: source.clone(),
            country: None,
            asn: raw.asn.or(defaults.asn),
            reverse_names: raw
                .reverse_names
                .clone()
                .or_else(|| defaults.reverse_names.clone()),
            network: raw.network.or(defaults.network).unwrap_or_default(),
            settings: Settings::None,
            helo: or(&raw.helo, &defaults.helo),
            before_greeting: raw
                .before_greeting
                .or(defaults.before_greeting)
                .unwrap_or_default(),
            outages: raw
                .outages
                .clone()
                .or_else(|| defaults.outages.clone())
                .unwrap_or_default(),
            repeat: raw.repeat.unwrap_or(1),
            every: Millis::default(),
        };
        if raw.every.is_some() && client.repeat == 1 {
            self.refuse(
                Code::InvalidValue,
                &at.field("every"),
                "it happens once",
                "say how often with `repeat`",
            );
        }
        let is_address = |repetition| {
            source
                .as_deref()
                .is_none_or(|source| numbered(source, repetition).parse::<IpAddr>().is_ok())
        };
        if !is_address(1) || !is_address(client.repeat) {
            self.refuse(
                Code::InvalidValue,
                &at.field("source"),
                "is no address each time",
                "an IPv4 or IPv6 address; {n} is the number of the repetition",
            );
        }
        let settings = raw
            .settings
            .clone()
            .or_else(|| self.defaults.settings.clone());
        TestClient {
            settings: self.settings(settings, &at.field("settings")),
            country: self.parsed(
                country.as_deref(),
                &at.field("country"),
                "two letters, or Unknown",
                origin,
            ),
            every: self
                .span(raw.every.as_deref(), &at.field("every"))
                .unwrap_or_default(),
            ..client
        }
    }

    /// What the account has set, with windows as rules write them.
    fn settings(&mut self, raw: Option<RawSettings>, at: &FieldPath) -> Settings {
        let Some(raw) = raw else {
            return Settings::None;
        };
        let limits = raw.limits.iter().enumerate().map(|(index, limit)| {
            let field = at.field("limits").index(index).field("per");
            let per = self.span(Some(&limit.per), &field);
            OwnLimit {
                rule: limit.rule.as_str().into(),
                unit: limit.unit,
                per: per.unwrap_or(Millis::HOUR),
                count: limit.count,
            }
        });
        let settings = AccountSettings {
            logins_from_abroad: raw.logins_from_abroad,
            classification: raw.classification,
            limits: limits.collect(),
        };
        match settings.checked() {
            Ok(settings) => Settings::Own(Arc::new(settings)),
            Err(error) => {
                self.refuse(
                    Code::InvalidValue,
                    at,
                    &error.to_string(),
                    "as accounts have them",
                );
                Settings::None
            }
        }
    }

    fn message(&mut self, raw: RawAct, at: &FieldPath) -> TestMessage {
        let to = runs(&raw.to).unwrap_or_else(|| {
            let remedy = format!("{MAX_RECIPIENTS} is the most");
            self.refuse(
                Code::TooLarge,
                &at.field("to"),
                "too many recipients",
                &remedy,
            );
            Vec::new()
        });
        let domains = if raw.domains.is_empty() {
            &self.defaults.domains
        } else {
            &raw.domains
        };
        let domains: BTreeMap<_, _> = domains
            .iter()
            .map(|(name, raw)| (name.to_ascii_lowercase(), raw.domain()))
            .collect();
        let engines = raw
            .engines
            .clone()
            .or_else(|| self.defaults.engines.clone())
            .unwrap_or_default();
        let engines = engines.iter().enumerate();
        let engines = engines
            .map(|(index, raw)| self.opinion(raw, &at.field("engines").index(index)))
            .collect();
        TestMessage {
            sender: raw.sender.clone(),
            to,
            content: self.content(raw, at),
            domains,
            engines,
        }
    }

    fn content(&mut self, raw: RawAct, at: &FieldPath) -> TestContent {
        let is_size = |text: &str| {
            let size = ByteSize::from_str(text).ok()?.as_bytes();
            (size <= LARGEST).then_some(size)
        };
        let size = self.parsed(
            raw.size.as_deref(),
            &at.field("size"),
            "bytes, or a number with k, M, Ki or Mi, up to 256Mi",
            is_size,
        );
        let Some(file) = raw.message else {
            let (header, body, attachments) = (raw.header, raw.body, raw.attachments);
            return TestContent::Written {
                header,
                body,
                attachments,
                size,
            };
        };
        let given = [
            ("header", !raw.header.is_empty()),
            ("body", raw.body.is_some()),
            ("attachments", !raw.attachments.is_empty()),
            ("size", raw.size.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, given)| *given) {
            self.refuse(
                Code::InvalidValue,
                &at.field(field),
                "the message is what its file says",
                "leave this or `message` out",
            );
        }
        TestContent::File(self.folder.join(file))
    }

    fn opinion(&mut self, raw: &RawOpinion, at: &FieldPath) -> Opinion {
        let mut points = |score: f64, field: &str| {
            if score.abs() > ABSURD {
                self.refuse(
                    Code::OutOfBounds,
                    &at.field(field),
                    "no engine gives that",
                    "",
                );
            }
            (score.clamp(-ABSURD, ABSURD) * 1000.0).round() as i64
        };
        match (raw.score, raw.fault) {
            (Some(score), None) => {
                let mut symbols: Vec<Symbol> = raw
                    .symbols
                    .iter()
                    .map(|(name, part)| Symbol {
                        name: name.as_str().into(),
                        points: Some(points(*part, "symbols")),
                    })
                    .collect();
                symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.points.map(i64::abs)));
                let verdict = raw.verdict.unwrap_or_default();
                Opinion::Scored(Score {
                    points: points(score, "score"),
                    verdict,
                    symbols,
                })
            }
            (None, Some(fault)) if raw.verdict.is_none() && raw.symbols.is_empty() => {
                fault.opinion()
            }
            _ => {
                self.refuse(
                    Code::InvalidValue,
                    at,
                    "an engine either scores or fails",
                    "give it a score, or a fault alone",
                );
                Opinion::Out
            }
        }
    }

    fn span(&mut self, text: Option<&str>, at: &FieldPath) -> Option<Millis> {
        self.parsed(text, at, "hours, minutes and seconds, like 1h30m", |text| {
            Duration::from_str(text)
                .ok()
                .map(|span| Millis(span.as_millis()))
        })
    }

    fn parsed<T>(
        &mut self,
        text: Option<&str>,
        at: &FieldPath,
        form: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(text?);
        if parsed.is_none() {
            self.refuse(
                Code::InvalidValue,
                at,
                "does not have the form of this field",
                form,
            );
        }
        parsed
    }

    fn refuse(&mut self, code: Code, at: &FieldPath, why: &str, remedy: &str) {
        self.problems
            .push(Diagnostic::error(code, why).at(at.clone()).mend(remedy));
    }
}

fn origin(text: &str) -> Option<Origin> {
    if text == "Unknown" {
        return Some(Origin::Unknown);
    }
    let code = <[u8; 2]>::try_from(text.as_bytes()).ok()?;
    Country::parse(code).map(Origin::Country)
}
