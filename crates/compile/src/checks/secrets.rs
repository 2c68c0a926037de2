//! Secrets that a gateway or a pool names, and that are not there or lack what is needed of them.

use sekisho_crd::{
    Backend, EgressPoolSpec, MailGatewaySpec, NotificationChannelSpec, Relay, SecretRef,
};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{ObjectKey, Objects, Platform, Spec};
use crate::suggest::did_you_mean;
use crate::view::{View, valid};

/// What a Secret is for.
struct Purpose {
    /// The type that Kubernetes has for it.
    type_: &'static str,
    keys: &'static [&'static str],
    /// A key that may stand in place of the last.
    instead: Option<&'static str>,
}

impl Purpose {
    /// `username and password`.
    fn list(&self) -> String {
        let (last, others) = self.keys.split_last().unwrap_or((&"", &[]));
        let last = match self.instead {
            Some(instead) => format!("{last} (or {instead})"),
            None => (*last).to_owned(),
        };
        if others.is_empty() {
            last
        } else {
            format!("{} and {last}", others.join(", "))
        }
    }
}

const CERTIFICATE: Purpose = Purpose {
    type_: "kubernetes.io/tls",
    keys: &["tls.crt", "tls.key"],
    instead: None,
};

const LOGIN: Purpose = Purpose {
    type_: "kubernetes.io/basic-auth",
    keys: &["username", "password"],
    instead: Some("token"),
};

const OAUTH: Purpose = Purpose {
    type_: "Opaque",
    keys: &["username", "client_id", "client_secret"],
    instead: None,
};

const AUTHORITIES: Purpose = Purpose {
    type_: "Opaque",
    keys: &["ca.crt"],
    instead: None,
};

const HEADER: Purpose = Purpose {
    type_: "Opaque",
    keys: &["value"],
    instead: None,
};

const CLIENT: Purpose = Purpose {
    type_: "kubernetes.io/basic-auth",
    keys: &["username", "password"],
    instead: None,
};

const REDIS: Purpose = Purpose {
    type_: "Opaque",
    keys: &["url"],
    instead: None,
};

const SIGNING: Purpose = Purpose {
    type_: "Opaque",
    keys: &["secret"],
    instead: None,
};

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<MailGatewaySpec>(objects) {
        for (index, listener) in view.spec.listeners.iter().enumerate() {
            for (at, secret) in listener.certificate_refs.iter().enumerate() {
                let field = format!("listeners[{index}].certificateRefs[{at}].name");
                named(objects, view, &field, secret, &CERTIFICATE, out);
            }
        }
        if let Some(secret) = &view.spec.upstream.ca_ref {
            let field = "upstream.caRef.name";
            named(objects, view, field, secret, &AUTHORITIES, out);
        }
        if let Some(secret) = &view.spec.counters.secret_ref {
            named(
                objects,
                view,
                "counters.secretRef.name",
                secret,
                &REDIS,
                out,
            );
        }
        for (index, backend) in view.spec.authentication.backends.iter().enumerate() {
            for (field, secret, purpose) in of_backend(backend) {
                let field = format!("authentication.backends[{index}].{field}.name");
                named(objects, view, &field, secret, purpose, out);
            }
        }
    }
    for view in valid::<NotificationChannelSpec>(objects) {
        let secret = &view.spec.secret_ref;
        named(objects, view, "secretRef.name", secret, &SIGNING, out);
    }
    for view in valid::<EgressPoolSpec>(objects) {
        let of_pool = view
            .spec
            .relay
            .iter()
            .map(|relay| ("relay".to_owned(), relay));
        let members = view.spec.members.iter().enumerate();
        let of_members = members.filter_map(|(index, member)| {
            let relay: &Relay = member.relay.as_ref()?;
            Some((format!("members[{index}].relay"), relay))
        });
        for (field, relay) in of_pool.chain(of_members) {
            let oauth = relay.oauth.as_ref().map(|oauth| &oauth.credentials_ref);
            for (name, secret, purpose) in [
                ("credentialsRef", relay.credentials_ref.as_ref(), &LOGIN),
                ("oauth.credentialsRef", oauth, &OAUTH),
                ("caRef", relay.ca_ref.as_ref(), &AUTHORITIES),
            ] {
                if let Some(secret) = secret {
                    let field = format!("{field}.{name}.name");
                    named(objects, view, &field, secret, purpose, out);
                }
            }
        }
    }
}

/// The Secrets that a backend names, each with its field.
fn of_backend(
    backend: &Backend,
) -> impl Iterator<Item = (&'static str, &SecretRef, &'static Purpose)> {
    let http = backend.http.as_ref();
    let oidc = backend.oidc.as_ref();
    let header = http.and_then(|http| http.header.as_ref());
    let asked = oidc.and_then(|oidc| oidc.introspection.as_ref());
    let named = [
        (
            "http.caRef",
            http.and_then(|http| http.ca_ref.as_ref()),
            &AUTHORITIES,
        ),
        (
            "http.header.secretRef",
            header.map(|header| &header.secret_ref),
            &HEADER,
        ),
        (
            "oidc.caRef",
            oidc.and_then(|oidc| oidc.ca_ref.as_ref()),
            &AUTHORITIES,
        ),
        (
            "oidc.introspection.credentialsRef",
            asked.map(|asked| &asked.credentials_ref),
            &CLIENT,
        ),
    ];
    let given = |(field, secret, purpose): (_, Option<_>, _)| Some((field, secret?, purpose));
    named.into_iter().filter_map(given)
}

fn named<S: Spec>(
    objects: &Objects,
    view: View<'_, S>,
    field: &str,
    secret: &SecretRef,
    purpose: &Purpose,
    out: &mut Vec<Diagnostic>,
) {
    let namespace = &view.key.namespace;
    let name = &secret.name;
    let Some(keys) = objects.secrets.get(&ObjectKey::new(namespace, name)) else {
        let known = objects.secrets.keys();
        let known = known.filter(|key| key.namespace == *namespace);
        let remedy = did_you_mean(name, known.map(|key| key.name.as_str()), || {
            format!(
                "add a Secret of type {} with {}",
                purpose.type_,
                purpose.list()
            )
        });
        let message = format!("there is no Secret {name} in the namespace {namespace}");
        let diagnostic = missing(objects, view, Code::SecretNotFound, field, message);
        out.push(diagnostic.mend(remedy));
        return;
    };
    let last = purpose.keys.last().copied();
    let is_there = |key: &str| {
        let instead = purpose.instead.filter(|_| last == Some(key));
        !keys.lacks(key) || instead.is_some_and(|instead| !keys.lacks(instead))
    };
    for key in purpose.keys.iter().filter(|key| !is_there(key)) {
        let message = format!("the Secret {name} has no {key}");
        let diagnostic = missing(objects, view, Code::SecretIncomplete, field, message);
        out.push(diagnostic.mend(format!(
            "give it {key}: a Secret of type {} has {}",
            purpose.type_,
            purpose.list()
        )));
    }
}

/// In a cluster a Secret may come later than what names it, often by another's hand, such as a certificate that is being
/// issued: the object is good, and waits. What files name is there or will never be.
fn missing<S: Spec>(
    objects: &Objects,
    view: View<'_, S>,
    code: Code,
    field: &str,
    message: String,
) -> Diagnostic {
    match objects.platform {
        Platform::Cluster => view.warning(code, field, message),
        Platform::Any | Platform::Standalone => view.error(code, field, message),
    }
}
