//! What a gateway asks for that the platform it runs on does not have.

use std::collections::BTreeMap;
use std::path::Path;

use sekisho_crd::{GatewayMode, MailGatewaySpec};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Objects, Platform, name_of};
use crate::view::{View, valid};

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    match objects.platform {
        Platform::Any => {}
        Platform::Cluster => {
            valid::<MailGatewaySpec>(objects).for_each(|view| relative_paths(view, out));
        }
        Platform::Standalone => {
            valid::<MailGatewaySpec>(objects).for_each(|view| sidecar(view, out));
            valid::<MailGatewaySpec>(objects).for_each(|view| placement(view, out));
            valid::<MailGatewaySpec>(objects).for_each(|view| cluster_keys(view, out));
            shared_ports(objects, out);
        }
    }
}

/// No file says from where a relative path of an object in a cluster starts.
fn relative_paths(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    let backends = view.spec.authentication.backends.iter().enumerate();
    let accounts = backends.filter_map(|(index, backend)| {
        let file = backend.accounts_file.as_ref()?;
        let field = format!("authentication.backends[{index}].accountsFile.path");
        Some((field, &file.path))
    });
    let geo = view.spec.geo.iter().flat_map(|geo| {
        [
            ("geo.countryDatabase.path", &geo.country_database),
            ("geo.asnDatabase.path", &geo.asn_database),
        ]
    });
    let databases = geo.filter_map(|(field, database)| {
        let database = database.as_ref()?;
        Some((field.to_owned(), &database.path))
    });
    let backends = view.spec.authentication.backends.iter().enumerate();
    let keys = backends.filter_map(|(index, backend)| {
        let path = backend.service_account.as_ref()?.jwks.as_ref()?;
        let field = format!("authentication.backends[{index}].serviceAccount.jwks");
        Some((field, path))
    });
    for (field, path) in accounts.chain(keys).chain(databases) {
        if !Path::new(path).is_absolute() {
            let message = format!("{path} does not say where in the proxy's file system it is");
            let diagnostic = view.error(Code::InvalidValue, &field, message);
            out.push(diagnostic.mend("in a cluster the path must begin with /"));
        }
    }
}

/// Without a cluster nobody asks an API server for its keys.
fn cluster_keys(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    for (index, backend) in view.spec.authentication.backends.iter().enumerate() {
        let tokens = backend.service_account.as_ref();
        if tokens.is_some_and(|tokens| tokens.jwks.is_none()) {
            let field = format!("authentication.backends[{index}].serviceAccount.jwks");
            let message = "nothing says whose service accounts' tokens are taken";
            let diagnostic = view.error(Code::Required, &field, message);
            out.push(diagnostic.mend(
                "give issuer and jwks, with what `kubectl get --raw /openid/v1/jwks` says in that file",
            ));
        }
    }
}

fn sidecar(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    if view.spec.mode == GatewayMode::Sidecar {
        let message =
            "a sidecar needs pods to be put into, and there are none outside of a cluster";
        let remedy = "use Gateway, or apply the object to a cluster";
        out.push(view.error(Code::NotAvailable, "mode", message).mend(remedy));
    }
}

/// What says where pods run says nothing to one process.
fn placement(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    let spec = view.spec;
    for (field, is_given) in [
        ("service", spec.service.is_some()),
        ("pods", spec.pods.is_some()),
        ("blockBypass", spec.block_bypass.is_some()),
    ] {
        if is_given {
            let message = "has no effect without a cluster";
            let diagnostic = view.warning(Code::NotAvailable, field, message);
            out.push(diagnostic.mend("it takes effect where the object is applied to a cluster"));
        }
    }
}

/// Gateways of one process share its addresses; each has its own in a cluster.
fn shared_ports(objects: &Objects, out: &mut Vec<Diagnostic>) {
    let mut holders = BTreeMap::new();
    for view in valid::<MailGatewaySpec>(objects) {
        for (index, listener) in view.spec.listeners.iter().enumerate() {
            let holder = *holders.entry(listener.port).or_insert(view.key);
            if holder == view.key {
                continue;
            }
            let message = format!(
                "{} has port {} already",
                name_of::<MailGatewaySpec>(holder),
                listener.port
            );
            let field = format!("listeners[{index}].port");
            let diagnostic = view.error(Code::Conflicted, &field, message);
            out.push(diagnostic.mend("gateways of one process need ports of their own"));
        }
    }
}
