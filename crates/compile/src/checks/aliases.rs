//! Aliases for whole domains, which let one customer send as every other.

use std::collections::BTreeMap;

use sekisho_crd::SubmissionPolicySpec;

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::Objects;
use crate::view::valid;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<SubmissionPolicySpec>(objects) {
        let mut holders: BTreeMap<String, Vec<(String, &str)>> = BTreeMap::new();
        for (index, alias) in view.spec.sender.aliases.iter().enumerate() {
            for (at, address) in alias.addresses.iter().enumerate() {
                if let Some(domain) = address.as_str().strip_prefix("*@") {
                    let field = format!("sender.aliases[{index}].addresses[{at}]");
                    holders
                        .entry(domain.to_lowercase())
                        .or_default()
                        .push((field, alias.account.as_str()));
                }
            }
        }
        for (domain, accounts) in holders {
            for (field, account) in &accounts {
                let others = match accounts.len() {
                    1 => String::new(),
                    several => format!(", as can {} more", several - 1),
                };
                let message = format!("{account} can send as every address of {domain}{others}");
                let remedy = "name the addresses, unless the account owns the domain";
                out.push(
                    view.warning(Code::WholeDomainAlias, field, message)
                        .mend(remedy),
                );
            }
        }
    }
}
