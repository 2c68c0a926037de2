//! Content engines whose address is none, and those that a gateway does not wait for as long as they may take.

use sekisho_crd::SubmissionPolicySpec;

use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::view::valid;

pub(super) fn check(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    for view in valid::<SubmissionPolicySpec>(index.objects) {
        let engines = view
            .spec
            .classify
            .iter()
            .flat_map(|classify| &classify.engines);
        for (index, engine) in engines.enumerate() {
            if engine.address().is_none() {
                let field = format!("classify.engines[{index}].url");
                let message = format!("{:?} has no host and port", engine.url);
                let diagnostic = view.error(Code::InvalidValue, &field, message);
                out.push(diagnostic.mend(
                    "http://host:port for Rspamd, tcp://host:port for Spamd; an IPv6 address stands in brackets",
                ));
            }
        }
    }
    outlast(index, out);
}

/// Of the time from the end of the data to the next hop's answer engines have one half.
fn outlast(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    for (name, gateway) in &index.objects.gateways {
        let Some(gateway) = gateway.spec() else {
            continue;
        };
        let after_data = &gateway.deadlines.after_data;
        for &view in index.attached::<SubmissionPolicySpec>(name) {
            let classify = view.spec.classify.iter();
            let engines = classify.flat_map(|classify| &classify.engines);
            for (index, engine) in engines.enumerate() {
                if engine.timeout.as_millis() > after_data.as_millis() / 2 {
                    let message = format!(
                        "the engine never has {}: it is waited for during half of the {after_data} that deadlines.afterData of MailGateway/{} leaves",
                        engine.timeout, name.name
                    );
                    let field = format!("classify.engines[{index}].timeout");
                    let diagnostic = view.warning(Code::NeverApplies, &field, message);
                    out.push(diagnostic.mend(
                        "a shorter timeout, or a longer deadlines.afterData where clients wait for it",
                    ));
                }
            }
        }
    }
}
