//! CountryRule: what a source country changes. An exemption spares from refusal and reclassification, never from limits.

use crate::decision::{Class, Reason, Said};
use crate::event::{Event, Stage};
use crate::explain::Skip;
use crate::key::{Subject, Subjects};
use crate::matching::{Exemption, account_of};
use crate::netset::Countries;
use crate::plan::{Effect, Part, Plan};
use crate::reply;
use crate::rules::limit::{LimitPart, cost, stages_of};
use crate::rules::sender::{
    ask_envelope_sender, ask_header_from, ask_null_sender_recipients, ask_recipients,
};
use crate::rules::{Defect, Stages};
use crate::ruleset::RuleView;
use crate::settings::{LoginsFromAbroad, Settings};
use crate::snapshot::{
    AppliesTo, CountryRule, From, LoginFrom, ObjectRef, OnCountersUnavailable, SenderCheck,
};

/// A [`CountryRule`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Abroad {
    origin: Origin,
    exempt: Exemption,
    applies_to: AppliesTo,
    login: LoginFrom,
    sender: SenderCheck,
    recipients_per_message: Option<u32>,
    limits: Vec<LimitPart>,
    class_at_least: Option<Class>,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Countries(Countries),
    Except(Countries),
    Unknown,
}

impl Abroad {
    /// Makes the rule ready, or names the field that cannot be put in force.
    pub(crate) fn new(object: &ObjectRef, spec: &CountryRule) -> Result<Self, Defect> {
        if spec
            .exempt
            .reverse_names
            .iter()
            .any(|name| name.trim_matches('.').is_empty())
        {
            return Err(Defect::new(
                "spec.exempt.reverseNames",
                "an empty name would exempt everybody",
            ));
        }
        Ok(Self {
            origin: match &spec.from {
                From::Countries(list) => Origin::Countries(Countries::new(list)),
                From::Except(list) => Origin::Except(Countries::new(list)),
                From::Unknown => Origin::Unknown,
            },
            exempt: Exemption::new(&spec.exempt),
            applies_to: spec.applies_to,
            login: spec.login,
            sender: spec.sender,
            recipients_per_message: spec.recipients_per_message,
            limits: LimitPart::list(object, "spec.then.limits", &spec.limits)?,
            class_at_least: spec.class_at_least,
        })
    }

    pub(crate) fn stages(&self) -> Stages {
        let limits = self.limits.iter().map(|part| stages_of(part.limit.unit));
        self.refusing_stages()
            .and(limits.fold(Stages::default(), Stages::and))
    }

    /// Where it does what an exemption spares from.
    fn refusing_stages(&self) -> Stages {
        let own_sender = self.sender == SenderCheck::MustMatchAccount;
        let classes = self.class_at_least.is_some();
        Stages::default()
            .with(self.login == LoginFrom::Refuse, Stages::LOGIN)
            .with(self.asks_open_sessions(), Stages::MAIL)
            .with(own_sender || classes, Stages::MAIL.and(Stages::HEADERS))
            .with(
                own_sender || self.recipients_per_message.is_some(),
                Stages::RCPT,
            )
    }

    /// Whether who is logged in may be refused later: settings can change while a session is open. What a rule says to everybody does
    /// not, since a change of configuration ends no session.
    fn asks_open_sessions(&self) -> bool {
        self.login == LoginFrom::Refuse && !self.applies_to.is_everyone()
    }

    /// Whether it is about the account, by what that has set.
    pub(crate) fn is_about_account(&self, event: &Event) -> Result<(), Skip> {
        if self.applies_to.is_everyone() {
            return Ok(());
        }
        let is_early = matches!(
            event.stage,
            Stage::Connect | Stage::Login { .. } | Stage::LoginFailed { .. }
        );
        if is_early && account_of(event).is_none() {
            return Err(Skip::Nobody);
        }
        let own = event.settings.own();
        match (self.applies_to, own.and_then(|own| own.logins_from_abroad)) {
            (AppliesTo::OptedIn, Some(LoginsFromAbroad::Allow) | None) => Err(Skip::NotOptedIn),
            (AppliesTo::NotOptedOut, Some(LoginsFromAbroad::Allow)) => Err(Skip::OptedOut),
            _ => Ok(()),
        }
    }

    pub(crate) fn asks_headers(&self) -> bool {
        self.sender == SenderCheck::MustMatchAccount
    }

    /// Whether the source comes from where the rule is about.
    pub(crate) fn is_about(&self, event: &Event) -> bool {
        match (&self.origin, event.session.source.country) {
            (Origin::Countries(list), Some(country)) => list.contains(country),
            (Origin::Except(list), Some(country)) => !list.contains(country),
            (Origin::Unknown, None) => true,
            (Origin::Countries(_) | Origin::Except(_), None) | (Origin::Unknown, Some(_)) => false,
        }
    }

    /// Whether its answer at this event could depend on reverse names that nobody looked up yet.
    pub(crate) fn asks_reverse_names(&self, event: &Event) -> bool {
        self.refusing_stages().contains(Stages::of(&event.stage))
            && self.exempt.asks_reverse_names(event)
    }

    pub(crate) fn ask<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        if self
            .refusing_stages()
            .contains(Stages::of(&plan.event.stage))
        {
            match self.exempt.exempts(plan.event) {
                Some(why) => plan.say(rule, "spec.exempt", Said::Exempt, why),
                None => self.ask_refusals(rule, plan),
            }
        }
        self.ask_limits(rule, plan);
    }

    fn ask_refusals<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let event = plan.event;
        let own_sender = self.sender == SenderCheck::MustMatchAccount;
        let part = "spec.then.sender";
        match (&event.stage, &event.transaction) {
            (Stage::Login { .. }, _) => {
                let reason = if self.applies_to.is_everyone() {
                    Reason::CountryRefused
                } else {
                    Reason::AbroadRefused
                };
                let refusal = reply::bad_credentials(reason);
                plan.refuse(rule, "spec.then.login", refusal, self.whence(event));
            }
            (Stage::Mail, Some(transaction)) => {
                // Who never logged in has no settings that could have changed, and no account for the reply to speak of.
                if self.asks_open_sessions() && event.account.is_some() {
                    let saw = self.whence(event);
                    plan.refuse(rule, "spec.then.login", reply::abroad(), saw);
                }
                if own_sender {
                    ask_envelope_sender(rule, part, plan, transaction);
                }
                self.ask_class(rule, plan);
            }
            (Stage::Rcpt { .. }, Some(transaction)) => {
                if own_sender {
                    ask_null_sender_recipients(rule, part, plan, transaction);
                }
                if let Some(limit) = self.recipients_per_message {
                    ask_recipients(
                        rule,
                        "spec.then.recipientsPerMessage",
                        plan,
                        transaction,
                        limit,
                    );
                }
            }
            (Stage::Headers(facts), _) => {
                if own_sender {
                    ask_header_from(rule, part, plan, facts);
                }
                self.ask_class(rule, plan);
            }
            _ => {}
        }
    }

    /// At MAIL, so that recipients are asked of the hop that the message will go to, and at the headers, where classes are decided.
    fn ask_class<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        if let Some(class) = self.class_at_least {
            plan.say(
                rule,
                "spec.then.classAtLeast",
                Said::Worsen(class, Reason::SourceClass),
                self.whence(plan.event),
            );
        }
    }

    /// By account; by source where nobody is logged in.
    fn ask_limits<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let event = plan.event;
        for part in &self.limits {
            let Some(cost) = cost(part.limit.unit, event) else {
                continue;
            };
            let subject = account_of(event)
                .map_or(Subject::Source(event.session.source.ip), |account| {
                    Subject::Account(account.as_str())
                });
            plan.ask_limit(
                rule,
                Part::Rule(part),
                &Subjects::of(&[subject]),
                cost,
                Effect::Defer,
                OnCountersUnavailable::LocalOnly,
            );
        }
    }

    /// `from BR`, and what of the account's settings made the rule apply.
    fn whence(&self, event: &Event) -> String {
        let mut saw = match event.session.source.country {
            Some(country) => format!("from {}", country.as_str()),
            None => "from an unknown country".into(),
        };
        if !self.applies_to.is_everyone() {
            saw.push_str(match &event.settings {
                Settings::Own(own) if own.logins_from_abroad.is_some() => {
                    ", and its settings say Refuse"
                }
                Settings::Own(_) | Settings::None => ", and it has no setting of its own",
                Settings::Unheard => ", and settings of accounts were not heard of yet",
            });
        }
        saw
    }
}
