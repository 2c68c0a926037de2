//! Mechanisms that no backend of the gateway can serve, and backends that no mechanism leads to.

use sekisho_crd::{BackendType, MailGatewaySpec, Mechanism};

use crate::diagnostic::{Code, Diagnostic};
use crate::lower::mechanism;
use crate::objects::Objects;
use crate::view::{View, valid};

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    valid::<MailGatewaySpec>(objects).for_each(|view| gateway(view, out));
}

fn gateway(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    let authentication = &view.spec.authentication;
    for (index, &listed) in authentication.mechanisms.iter().enumerate() {
        let served = authentication
            .backends
            .iter()
            .any(|backend| serves(backend.type_, listed));
        if served {
            continue;
        }
        let name = mechanism(listed).name();
        let message = format!("no backend of this gateway can serve {name}");
        let field = format!("authentication.mechanisms[{index}]");
        let diagnostic = view.error(Code::InvalidValue, &field, message);
        out.push(diagnostic.mend(remedy(listed)));
    }
}

/// As `AuthBackend::serves` of the snapshot has it.
fn serves(backend: BackendType, mechanism: Mechanism) -> bool {
    use BackendType::{AccountsFile, DovecotSasl, Http, Oidc, ServiceAccount, Upstream};
    match mechanism {
        Mechanism::Plain | Mechanism::Login => {
            matches!(backend, Upstream | AccountsFile | DovecotSasl | Http)
        }
        Mechanism::ScramSha256 => matches!(backend, Upstream | AccountsFile | DovecotSasl),
        Mechanism::ScramSha256Plus => backend == AccountsFile,
        Mechanism::CramMd5 => matches!(backend, Upstream | DovecotSasl),
        Mechanism::Xoauth2 | Mechanism::Oauthbearer => {
            matches!(backend, Oidc | ServiceAccount | Upstream | DovecotSasl)
        }
    }
}

fn remedy(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Plain | Mechanism::Login => {
            "leave it out, or add a backend that checks passwords"
        }
        Mechanism::ScramSha256 => "leave it out, or add AccountsFile, DovecotSasl or Upstream",
        Mechanism::ScramSha256Plus => "leave it out, or add AccountsFile",
        Mechanism::CramMd5 => "leave it out, or add DovecotSasl or Upstream",
        Mechanism::Xoauth2 | Mechanism::Oauthbearer => {
            "leave it out, or add a backend that takes tokens"
        }
    }
}
