//! SubmissionPolicy: what every message must keep to.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decision::{Class, Reason, Said};
use crate::event::{
    DomainStanding, EndFacts, Event, Fact, HeaderFacts, Newlines, Scan, Stage, TextScan,
    TransactionFacts,
};
use crate::plan::Plan;
use crate::reply;
use crate::rules::classify::Classification;
use crate::rules::sender::{
    ask_envelope_sender, ask_header_from, ask_null_sender_recipients, ask_recipients,
};
use crate::rules::{Defect, Stages};
use crate::ruleset::RuleView;
use crate::saw;
use crate::snapshot::{
    BareNewlines, Enforcement, MissingHeaders, OnMessageUnexamined, RecipientDomains, RouteTo,
    SenderCheck, SubmissionPolicy,
};

/// A [`SubmissionPolicy`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) max_size: Option<u64>,
    pub(crate) max_recipients: Option<u32>,
    pub(crate) bare_newlines: BareNewlines,
    pub(crate) missing_headers: MissingHeaders,
    pub(crate) recipient_domains: RecipientDomains,
    pub(crate) classify: Option<Classification>,
    max_visible_recipients: Option<u32>,
    envelope_sender: SenderCheck,
    header_sender: SenderCheck,
    /// Lower case, sorted.
    blocked_extensions: Vec<Box<str>>,
    routes: BTreeMap<Class, Target>,
}

/// Where a class goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Pool(Arc<str>),
    Reject,
}

impl Submission {
    /// Makes the policy ready, or names the field that cannot be put in force.
    pub(crate) fn new(spec: &SubmissionPolicy) -> Result<Self, Defect> {
        let classify = spec.classify.as_ref().map(Classification::new);
        let mut blocked: Vec<Box<str>> = spec
            .blocked_extensions
            .iter()
            .map(|extension| extension.to_ascii_lowercase().into())
            .collect();
        blocked.sort_unstable();
        let routes = spec.route.iter().map(|(&class, to)| match to {
            RouteTo::Pool(name) => (class, Target::Pool(name.as_str().into())),
            RouteTo::Reject => (class, Target::Reject),
        });
        Ok(Self {
            max_size: spec.max_size,
            max_recipients: spec.max_recipients,
            bare_newlines: spec.bare_newlines,
            missing_headers: spec.missing_headers,
            recipient_domains: spec.recipient_domains,
            classify: classify.transpose()?,
            max_visible_recipients: spec.max_visible_recipients,
            envelope_sender: spec.envelope_sender,
            header_sender: spec.header_sender,
            blocked_extensions: blocked,
            routes: routes.collect(),
        })
    }

    pub(crate) fn stages(&self) -> Stages {
        let own_sender = self.envelope_sender == SenderCheck::MustMatchAccount;
        let must_resolve = self.recipient_domains == RecipientDomains::MustResolve;
        let at_end = self.max_size.is_some()
            || self.bare_newlines == BareNewlines::Reject
            || self.asks_attachments()
            || self.classify.as_ref().is_some_and(Classification::asks_end);
        Stages::default()
            .with(
                own_sender || self.max_size.is_some() || self.classify.is_some(),
                Stages::MAIL,
            )
            .with(
                own_sender || self.max_recipients.is_some() || must_resolve,
                Stages::RCPT,
            )
            .with(self.asks_headers(), Stages::HEADERS)
            .with(at_end, Stages::END)
    }

    pub(crate) fn asks_headers(&self) -> bool {
        [self.envelope_sender, self.header_sender].contains(&SenderCheck::MustMatchAccount)
            || self.max_visible_recipients.is_some()
            || self.classify.is_some()
    }

    pub(crate) const fn asks_attachments(&self) -> bool {
        !self.blocked_extensions.is_empty()
    }

    /// The pools that routes name.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<str>> {
        self.routes.values().filter_map(|target| match target {
            Target::Pool(name) => Some(name),
            Target::Reject => None,
        })
    }

    pub(crate) fn target(&self, class: Class) -> Option<&Target> {
        self.routes.get(&class)
    }

    /// How the messages of the event's account are classified, if they are.
    pub(crate) fn classifies(&self, event: &Event) -> Option<&Classification> {
        let classify = self.classify.as_ref();
        classify.filter(|classify| classify.is_about(event))
    }

    pub(crate) fn ask<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let event = plan.event;
        let Some(transaction) = &event.transaction else {
            return;
        };
        match &event.stage {
            Stage::Mail => self.ask_mail(rule, plan, transaction),
            Stage::Rcpt { domain, .. } => self.ask_rcpt(rule, plan, transaction, domain),
            Stage::Headers(facts) => self.ask_headers(rule, plan, transaction, facts),
            Stage::End(facts) => self.ask_end(rule, plan, facts),
            _ => {}
        }
    }

    fn ask_mail<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        transaction: &TransactionFacts,
    ) {
        self.begin(rule, plan);
        if self.envelope_sender == SenderCheck::MustMatchAccount {
            ask_envelope_sender(rule, "spec.sender.envelope", plan, transaction);
        }
        if let (Some(limit), Some(declared)) = (self.max_size, transaction.declared_size) {
            self.ask_size(rule, plan, declared, limit);
        }
    }

    /// What is classified begins as clean; where an account's own settings spare it that, the record says so.
    fn begin<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let Some(classify) = &self.classify else {
            return;
        };
        match classify.spares(plan.event) {
            None => begin_clean(rule, plan),
            Some(why) => plan.say(rule, "spec.classify.appliesTo", Said::Exempt, why),
        }
    }

    fn ask_size<'a>(&self, rule: RuleView<'a>, plan: &mut Plan<'a>, size: u64, limit: u64) {
        let saw = saw::of(size, limit, " octets");
        let part = "spec.message.maxSize";
        if size > limit {
            plan.refuse(rule, part, reply::too_large(), saw)
        } else {
            plan.say(rule, part, Said::Pass, saw)
        }
    }

    fn ask_rcpt<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        transaction: &TransactionFacts,
        domain: &Fact<DomainStanding>,
    ) {
        if self.envelope_sender == SenderCheck::MustMatchAccount {
            ask_null_sender_recipients(rule, "spec.sender.envelope", plan, transaction);
        }
        if let Some(limit) = self.max_recipients {
            ask_recipients(rule, "spec.message.maxRecipients", plan, transaction, limit);
        }
        if self.recipient_domains == RecipientDomains::MustResolve {
            ask_domain(rule, plan, domain);
        }
    }

    fn ask_headers<'a>(
        &'a self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        transaction: &TransactionFacts,
        facts: &'a HeaderFacts,
    ) {
        let null_sender =
            self.envelope_sender == SenderCheck::MustMatchAccount && transaction.sender.is_none();
        if self.header_sender == SenderCheck::MustMatchAccount || null_sender {
            ask_header_from(rule, "spec.sender.header", plan, facts);
        }
        if let Some(limit) = self.max_visible_recipients {
            let part = "spec.message.maxVisibleRecipients";
            let saw = saw::of(
                facts.visible_recipients.into(),
                limit.into(),
                " in To and Cc",
            );
            if facts.visible_recipients > limit {
                plan.refuse(rule, part, reply::too_many_visible_recipients(), saw);
            } else {
                plan.say(rule, part, Said::Pass, saw);
            }
        }
        let classify = self.classifies(plan.event);
        if let Some(classify) = classify {
            begin_clean(rule, plan);
            classify.ask_headers(rule, plan, facts);
        }
        if facts.scan == Scan::OverLimits
            && (classify.is_some() || self.max_visible_recipients.is_some())
        {
            ask_unscanned(
                rule,
                plan,
                "the header section is over the scanner's limits",
            );
        }
    }

    fn ask_end<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>, facts: &'a EndFacts) {
        if let Some(limit) = self.max_size {
            self.ask_size(rule, plan, facts.bytes, limit);
        }
        if self.bare_newlines == BareNewlines::Reject {
            let part = "spec.message.bareNewlines";
            match facts.newlines {
                Newlines::Clean => plan.say(rule, part, Said::Pass, "CRLF throughout"),
                Newlines::Bare => plan.refuse(rule, part, reply::bare_newline(), "a bare CR or LF"),
            }
        }
        if self.asks_attachments() {
            let part = "spec.attachments.blockedExtensions";
            match facts
                .extensions
                .iter()
                .find(|&extension| self.blocks(extension))
            {
                Some(extension) => plan.refuse(
                    rule,
                    part,
                    reply::attachment_blocked(),
                    format!("a .{} file", shown(extension)),
                ),
                None if facts.scan == Scan::OverLimits => {}
                None => plan.say(rule, part, Said::Pass, "none of a refused type"),
            }
        }
        let classify = self.classifies(plan.event);
        if let Some(classify) = classify {
            classify.ask_end(rule, plan, facts);
        }
        let asks_text = classify.is_some_and(Classification::asks_text);
        let asks_parts = self.asks_attachments() || asks_text;
        if asks_parts && facts.scan == Scan::OverLimits {
            ask_unscanned(
                rule,
                plan,
                "the message's parts are over the scanner's limits",
            );
        } else if asks_text && facts.text == TextScan::Cut {
            ask_cut_text(rule, plan);
        }
    }

    /// Whether what is known without asking anybody refuses the message at its end.
    pub(crate) fn refuses_end(&self, facts: &EndFacts) -> bool {
        self.max_size.is_some_and(|limit| facts.bytes > limit)
            || (self.bare_newlines == BareNewlines::Reject && facts.newlines == Newlines::Bare)
            || facts
                .extensions
                .iter()
                .any(|extension| self.blocks(extension))
    }

    pub(crate) fn blocks(&self, extension: &str) -> bool {
        let extension = extension.to_ascii_lowercase();
        self.blocked_extensions
            .binary_search_by(|blocked| (**blocked).cmp(extension.as_str()))
            .is_ok()
    }
}

/// Where messages are classified, each begins as clean: so recipients are asked of the hop that it will likely go to.
fn begin_clean<'a>(rule: RuleView<'a>, plan: &mut Plan<'a>) {
    if rule.enforcement == Enforcement::Enforce {
        plan.class = plan.class.max(Class::Clean);
    }
}

/// The text of an extension that the policy itself names; cut short all the same.
fn shown(extension: &str) -> String {
    extension.chars().take(16).collect()
}

fn ask_domain<'a>(rule: RuleView<'a>, plan: &mut Plan<'a>, domain: &Fact<DomainStanding>) {
    let part = "spec.recipients.domains";
    match domain {
        Fact::Known(DomainStanding::Resolves) => {
            plan.say(rule, part, Said::Pass, "the domain resolves")
        }
        Fact::Known(DomainStanding::Missing) => plan.refuse(
            rule,
            part,
            reply::unknown_domain(),
            "no MX, A or AAAA record",
        ),
        Fact::Known(DomainStanding::NullMx) => {
            plan.refuse(rule, part, reply::null_mx(), "a null MX record")
        }
        // A domain that cannot be looked up is not a missing one: resending helps.
        Fact::Unavailable => plan.refuse(
            rule,
            part,
            reply::domain_unavailable(),
            "the domain could not be looked up",
        ),
        Fact::Unasked => plan.say(rule, part, Said::Unjudged, "the domain was not looked up"),
    }
}

/// What `onUnavailable.message` of the gateway says of a message that the scanners could not examine.
fn ask_unscanned<'a>(rule: RuleView<'a>, plan: &mut Plan<'a>, saw: &'static str) {
    let said = plan.rules.gateway().on_unavailable.message;
    ask_unexamined(rule, plan, "spec.onUnavailable.message", said, saw);
}

/// A text of which only the beginning was looked at. Deferring it helps nobody: it would be as long the next time, until the
/// client gives up.
fn ask_cut_text<'a>(rule: RuleView<'a>, plan: &mut Plan<'a>) {
    let said = match plan.rules.gateway().on_unavailable.message {
        OnMessageUnexamined::Defer => OnMessageUnexamined::RouteClean,
        other => other,
    };
    let saw = "the text is longer than what patterns are looked for in";
    ask_unexamined(rule, plan, "spec.onUnavailable.message", said, saw);
}

/// What the gateway says, in `part`, of a message that was not examined, under the policy's enforcement.
pub(super) fn ask_unexamined<'a>(
    rule: RuleView<'a>,
    plan: &mut Plan<'a>,
    part: &'static str,
    said: OnMessageUnexamined,
    saw: impl Into<Cow<'static, str>>,
) {
    let gateway = RuleView {
        object: plan.rules.gateway_ref(),
        enforcement: rule.enforcement,
    };
    let worsen = |class| Said::Worsen(class, Reason::DependencyFailed);
    match said {
        OnMessageUnexamined::RouteClean => plan.say(gateway, part, Said::Unjudged, saw),
        OnMessageUnexamined::RouteSuspect => {
            plan.say(gateway, part, worsen(Class::Suspect), saw);
        }
        OnMessageUnexamined::RouteSpam => plan.say(gateway, part, worsen(Class::Spam), saw),
        OnMessageUnexamined::Defer => plan.refuse(gateway, part, reply::dependency_failed(), saw),
    }
}
