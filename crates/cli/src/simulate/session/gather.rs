//! The facts that rules need for an event, looked up or made up.

use std::sync::Arc;

use sekisho_policy::Need;
use sekisho_policy::event::{DomainStanding, Event, Fact, Stage};

use super::{Lookups, Session};

impl Session<'_> {
    pub(super) async fn gather(&mut self, event: &mut Event) {
        let needs = self.world.rules.needs(event);
        if needs.contains(Need::ReverseNames) {
            let names = self.reverse_names(event).await;
            Arc::make_mut(&mut event.session).source.reverse_names = names;
        }
        if needs.contains(Need::RecipientDomain)
            && let Stage::Rcpt { recipient, domain } = &mut event.stage
        {
            *domain = self.domain_standing(recipient.domain()).await;
        }
        if needs.contains(Need::Opinions)
            && let (Stage::End(facts), Lookups::Given(given)) =
                (&mut event.stage, self.world.lookups)
        {
            if given.opinions.is_unasked() {
                self.lack("engines: what the policy's content engines say".to_owned());
            }
            facts.opinions = given.opinions.clone();
        }
    }

    async fn reverse_names(&mut self, event: &Event) -> Fact<Vec<Box<str>>> {
        let ip = event.session.source.ip;
        match self.world.lookups {
            Lookups::Dns(dns) => dns.reverse_names(ip).await,
            Lookups::Given(given) if given.reverse_names.is_unasked() => {
                self.lack(format!(
                    "reverseNames: the names of {ip}, or [] if it has none"
                ));
                Fact::Unavailable
            }
            Lookups::Given(given) => given.reverse_names.clone(),
        }
    }

    async fn domain_standing(&mut self, name: &str) -> Fact<DomainStanding> {
        match self.world.lookups {
            Lookups::Dns(dns) => dns.domain_standing(name).await,
            Lookups::Given(given) => {
                let known = given.domains.get(name).or_else(|| given.domains.get("*"));
                if known.is_none() {
                    self.lack(format!("domains: what DNS says of {name}"));
                }
                known.cloned().unwrap_or(Fact::Unavailable)
            }
        }
    }

    fn lack(&mut self, what: String) {
        if !self.lacking.contains(&what) {
            self.lacking.push(what);
        }
    }
}
