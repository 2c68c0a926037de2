//! Secrets that a gateway names and that are not there.

use sekisho_crd::MailGatewaySpec;

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{ObjectKey, Objects};
use crate::suggest::did_you_mean;
use crate::view::valid;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<MailGatewaySpec>(objects) {
        let namespace = &view.key.namespace;
        for (index, listener) in view.spec.listeners.iter().enumerate() {
            for (at, secret) in listener.certificate_refs.iter().enumerate() {
                if objects
                    .secrets
                    .contains(&ObjectKey::new(namespace, &secret.name))
                {
                    continue;
                }
                let known = objects
                    .secrets
                    .iter()
                    .filter(|key| key.namespace == *namespace);
                let known = known.map(|key| key.name.as_str());
                let otherwise =
                    || "add a Secret of type kubernetes.io/tls with tls.crt and tls.key".to_owned();
                let remedy = did_you_mean(&secret.name, known, otherwise);
                let message = format!(
                    "there is no Secret {} in the namespace {namespace}",
                    secret.name
                );
                let field = format!("listeners[{index}].certificateRefs[{at}].name");
                out.push(
                    view.error(Code::SecretNotFound, &field, message)
                        .mend(remedy),
                );
            }
        }
    }
}
