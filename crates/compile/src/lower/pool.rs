//! `EgressPool`.

use sekisho_crd::{EgressPoolSpec, Selection as Choice};
use sekisho_policy::snapshot::{Limit, Member, ObjectRef, Pool, Selection, Unit};

use super::shared::{millis, relay};

/// The pool.
pub(crate) fn pool(spec: &EgressPoolSpec, object: ObjectRef) -> Pool {
    let mut members: Vec<Member> = spec
        .members
        .iter()
        .map(|member| Member {
            name: member.name.as_str().to_owned(),
            source_address: member.source_address,
            helo_name: member
                .helo_name
                .as_ref()
                .map(|name| name.as_str().to_owned()),
            weight: member.weight,
            relay: member.relay.as_ref().or(spec.relay.as_ref()).map(relay),
        })
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Pool {
        object,
        members,
        max_connections: spec.concurrency.connections,
        messages_per_connection: spec.concurrency.per_connection,
        rate: spec.rate.as_ref().map(|rate| Limit {
            unit: Unit::Messages,
            count: rate.messages,
            per: millis(&rate.per),
        }),
        selection: match spec.selection {
            Choice::Weighted => Selection::Weighted,
            Choice::StickyByAccount => Selection::StickyByAccount,
            Choice::StickyByRecipientDomain => Selection::StickyByRecipientDomain,
        },
    }
}
