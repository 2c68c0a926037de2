//! Content engines whose address is none.

use sekisho_crd::SubmissionPolicySpec;

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::Objects;
use crate::view::valid;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<SubmissionPolicySpec>(objects) {
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
}
