//! Limits that hold for each replica alone.

use sekisho_crd::{CountersType, MailGatewaySpec};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::Objects;
use crate::view::valid;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<MailGatewaySpec>(objects) {
        let replicas = view.spec.replicas.unwrap_or(1);
        if replicas > 1 && view.spec.counters.type_ == CountersType::Memory {
            let message =
                format!("with counters in Memory each of {replicas} replicas counts alone");
            let remedy = format!(
                "a limit of N lets up to {replicas} x N through; use one replica or shared counters"
            );
            out.push(
                view.warning(Code::LimitsLocal, "replicas", message)
                    .mend(remedy),
            );
        }
    }
}
