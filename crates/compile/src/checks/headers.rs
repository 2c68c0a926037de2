//! Header fields that a pool adds and that have no name of a header field (RFC 5322, section 2.2).

use sekisho_crd::{EgressPoolSpec, Relay};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::Objects;
use crate::view::{View, valid};

/// The longest name.
const LONGEST: usize = 64;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<EgressPoolSpec>(objects) {
        view.spec
            .relay
            .iter()
            .for_each(|relay| names(view, "relay", relay, out));
        for (index, member) in view.spec.members.iter().enumerate() {
            let field = format!("members[{index}].relay");
            member
                .relay
                .iter()
                .for_each(|relay| names(view, &field, relay, out));
        }
    }
}

fn names(view: View<'_, EgressPoolSpec>, field: &str, relay: &Relay, out: &mut Vec<Diagnostic>) {
    let good = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b':';
    let is_name = |name: &str| (1..=LONGEST).contains(&name.len()) && name.bytes().all(good);
    for name in relay.headers.keys().filter(|name| !is_name(name)) {
        let message = format!("{name:?} is no name of a header field");
        let diagnostic = view.error(Code::InvalidValue, &format!("{field}.headers"), message);
        out.push(diagnostic.mend(format!(
            "printable ASCII without spaces and colons, at most {LONGEST} characters"
        )));
    }
}
