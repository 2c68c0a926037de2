//! Guards that would lock out those whom they guard.

use sekisho_crd::{LoginGuardSpec, MailGatewaySpec, Mechanism};

use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::lower::mechanism;
use crate::view::valid;

/// Where nobody can see that it is the same password again, something must say how often one program may fail from one place; without it
/// each minute counts as another password.
pub(super) fn check(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    for gateway in valid::<MailGatewaySpec>(index.objects) {
        let mechanisms = &gateway.spec.authentication.mechanisms;
        let Some(&hiding) = mechanisms.iter().find(|listed| hides(**listed)) else {
            continue;
        };
        for guard in index.attached::<LoginGuardSpec>(gateway.key).iter() {
            if guard.spec.per_account.is_none() || guard.spec.per_account_and_source.is_some() {
                continue;
            }
            let name = mechanism(hiding).name();
            let message = format!(
                "{name} hides passwords, and each minute of failures counts as another one: \
                 a program with an old password locks its account for everybody"
            );
            let diagnostic = guard.warning(Code::StaleLocks, "perAccount", message);
            out.push(
                diagnostic.mend("give perAccountAndSource, then they count one for each source"),
            );
        }
    }
}

/// Tokens are hidden too: one that expired comes again and again, and each time another.
fn hides(mechanism: Mechanism) -> bool {
    match mechanism {
        Mechanism::Plain | Mechanism::Login => false,
        Mechanism::ScramSha256
        | Mechanism::ScramSha256Plus
        | Mechanism::CramMd5
        | Mechanism::Xoauth2
        | Mechanism::Oauthbearer => true,
    }
}
