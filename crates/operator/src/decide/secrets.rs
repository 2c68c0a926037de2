//! Which owned Secrets are to be put together anew: those whose sources, or who themselves, are others than when it was last
//! done.

use sekisho_compile::ObjectKey;
use sekisho_policy::snapshot::AuthBackend;

use super::{Memory, Turn, print};
use crate::labels;
use crate::secrets::Needed;
use crate::writer::What;

impl Memory {
    pub(super) fn secrets(&mut self, turn: &Turn<'_>) {
        for (gateway, body) in turn.bodies {
            let (Some(body), Some(owner)) = (body, turn.owner(gateway)) else {
                continue;
            };
            let mut needed = Needed::by(body);
            let own = labels::object_name(gateway);
            let mut basis = owner.uid.clone();
            for name in needed.names().chain([&own]) {
                let version = turn.held.secrets.get(name).map_or("", String::as_str);
                basis.push_str(&format!("\n{name} {version}"));
            }
            let backends = &body.gateway.authentication.backends;
            if backends.iter().any(AuthBackend::needs_cluster_keys) {
                let known = turn.tools.cluster_keys.want();
                basis.push_str(&format!("\n{known:?}"));
                needed.cluster_keys = Some(known);
            }
            let path = turn.path(gateway);
            if !self.is_new(What::Secret, &path, print(&[basis.as_bytes()])) {
                continue;
            }
            let secrets = turn.tools.secrets.clone();
            let gateway = ObjectKey::new(turn.namespace, gateway);
            turn.tools.writer.put(What::Secret, path, move || {
                secrets
                    .clone()
                    .write(gateway.clone(), owner.clone(), needed.clone())
            });
        }
    }
}
