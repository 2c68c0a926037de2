//! Which statuses are to be written.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use sekisho_crd::{GatewayMode, Kind, MailGatewaySpec, Status};
use sekisho_policy::report::SourceTrust;
use sekisho_policy::snapshot;
use sekisho_policy::{ObjectRef, Snapshot};
use serde_json::json;

use super::{AdminPolicies, Memory, Settling, Turn, print};
use crate::error::Error;
use crate::kinds;
use crate::labels;
use crate::status::{Aspect, Known, Needs, Pace, Progress, Since, hold_progress, progress, status};
use crate::writer::What;

impl Memory {
    pub(super) fn statuses(&mut self, turn: &Turn<'_>) {
        let now = rfc3339(turn.now_ms);
        let progresses = turn.progresses();
        for ((kind, name), known) in &turn.held.known {
            let object = ObjectRef {
                kind: wire_kind(*kind),
                namespace: turn.namespace.to_owned(),
                name: name.clone(),
            };
            let findings = turn.findings.get(&(*kind, name.clone()));
            let spec = (*kind == Kind::MailGateway)
                .then(|| turn.gateway_spec(name))
                .flatten();
            let more = if *kind == Kind::MailGateway {
                self.of_gateway(turn, name)
            } else {
                Vec::new()
            };
            let own_pods = spec
                .filter(|spec| spec.mode == GatewayMode::Gateway)
                .map(|spec| spec.replicas.map_or(1, |replicas| replicas as usize));
            let mut wanted = status(
                &Known {
                    generation: known.generation,
                    findings: findings.map_or(&[], Vec::as_slice),
                    progress: progresses.get(&object).cloned(),
                    pace: match own_pods {
                        Some(pods) => Pace::WaitsFor(pods),
                        None => Pace::WaitsForNobody,
                    },
                    more,
                },
                known.status.as_ref(),
                &now,
            );
            if turn.settling == Settling::Yes
                && let Some(before) = &known.status
            {
                hold_progress(before, &mut wanted);
            }
            let path = format!("{}/{}/{}", turn.namespace, kind.as_str(), name);
            if known.status.as_ref() == Some(&wanted) {
                self.is_settled(What::Status, &path);
                continue;
            }
            let seen = serde_json::to_vec(&known.status).unwrap_or_default();
            let wish = serde_json::to_vec(&wanted).unwrap_or_default();
            // The uid: an object made anew has no status, whatever was written to the one before.
            if !self.is_new(
                What::Status,
                &path,
                print(&[&wish, &seen, known.uid.as_bytes()]),
            ) {
                continue;
            }
            self.tell_events(turn, *kind, name, known, &wanted);
            let (client, kind, namespace, name) = (
                turn.tools.client.clone(),
                *kind,
                turn.namespace.to_owned(),
                name.clone(),
            );
            turn.tools.writer.put(What::Status, path, move || {
                write(
                    client.clone(),
                    kind,
                    namespace.clone(),
                    name.clone(),
                    wanted.clone(),
                )
            });
        }
    }

    /// What only a gateway can say.
    fn of_gateway(&self, turn: &Turn<'_>, name: &str) -> Vec<Aspect> {
        let key = sekisho_compile::ObjectKey::new(turn.namespace, name);
        let mut more = Vec::new();
        if let Some(failures) = self.write_failures.get(&key) {
            let all: Vec<&str> = failures.values().map(String::as_str).collect();
            more.push(Aspect::fails("Programmed", "WriteFailed", all.join("; ")));
        }
        if let Some(finding) = self.secret_findings.get(&key) {
            let all: Vec<&str> = finding
                .problems
                .iter()
                .map(|problem| problem.message.as_str())
                .collect();
            more.push(match finding.problems.first() {
                Some(first) => Aspect::fails("ResolvedRefs", first.reason, all.join("; ")),
                None => Aspect::holds(
                    "ResolvedRefs",
                    "ResolvedRefs",
                    "every Secret that is named is there and serves",
                ),
            });
        } else {
            // Nobody has looked yet since this replica writes: what was found before stands.
            more.extend(turn.before(name, "ResolvedRefs"));
        }
        more.extend(turn.untrusted(name));
        let admin_fails = self.write_failures.get(&key).is_some_and(|failures| {
            failures
                .keys()
                .any(|failed| failed.name.contains("/AdminNetworkPolicy/"))
        });
        let denied = if admin_fails {
            AdminPolicies::Absent
        } else {
            turn.tools.admin_policies
        };
        more.extend(
            turn.gateway_spec(name)
                .and_then(|spec| turn.bypass(name, spec, denied)),
        );
        more
    }
}

impl Turn<'_> {
    pub(super) fn gateway_spec(&self, name: &str) -> Option<&MailGatewaySpec> {
        let key = sekisho_compile::ObjectKey::new(self.namespace, name);
        self.held.objects.gateways.get(&key)?.spec()
    }

    /// How far the proxies are with each object, over all gateways that it is attached to.
    fn progresses(&self) -> BTreeMap<ObjectRef, Progress> {
        let mut all: BTreeMap<ObjectRef, Progress> = BTreeMap::new();
        for (gateway, body) in self.bodies {
            let Some(body) = body else { continue };
            let proxies = self.tools.fleet.get(&self.path(gateway));
            let newest = self.held.snapshots.last(gateway).map(|last| &**last);
            for (object, since) in self.since(gateway, body) {
                let progress = progress(since, newest, proxies, needs_secrets(&object));
                let sum = match all.remove(&object) {
                    Some(before) => before.and(progress),
                    None => progress,
                };
                all.insert(object, sum);
            }
        }
        all
    }

    /// Since which generation each object of a gateway is as it is to be; that of one which is on its way is never reached.
    fn since(&self, gateway: &str, body: &Snapshot) -> Vec<(ObjectRef, u64)> {
        let published = self.held.snapshots.since(gateway);
        let is_published = self
            .held
            .snapshots
            .last(gateway)
            .is_some_and(|last| last.snapshot == *body);
        match published {
            Some(since) if is_published => since.all().collect(),
            published => {
                let mut wanted = published.cloned().unwrap_or_else(Since::default);
                wanted.note(body, u64::MAX);
                wanted.all().collect()
            }
        }
    }

    /// A condition of a gateway as its status says it now.
    fn before(&self, gateway: &str, type_: &'static str) -> Option<Aspect> {
        let known = self
            .held
            .known
            .get(&(Kind::MailGateway, gateway.to_owned()))?;
        let conditions = &known.status.as_ref()?.conditions;
        let before = conditions.iter().find(|each| each.type_ == type_)?;
        let reasons = [
            "ResolvedRefs",
            "InvalidCertificateRef",
            "CredentialsPending",
        ];
        Some(Aspect {
            type_,
            status: before.status,
            reason: reasons
                .into_iter()
                .find(|reason| *reason == before.reason)?,
            message: before.message.clone(),
        })
    }

    fn untrusted(&self, gateway: &str) -> Option<Aspect> {
        let proxies = self.tools.fleet.get(&self.path(gateway))?;
        let untrusted = proxies
            .values()
            .filter(|report| report.sources == SourceTrust::Untrusted)
            .count();
        (untrusted > 0).then(|| {
            Aspect::holds(
                "SourceUntrusted",
                "ClusterAddresses",
                format!(
                    "{untrusted} of {} proxies see most sessions come from the cluster's own addresses, so address and country rules do not act on those; \
                     set service.externalTrafficPolicy to Local, or proxyProtocol on the listener",
                    proxies.len()
                ),
            )
        })
    }
}

/// A gateway without its certificates or logins is not what its author asked for; a rule is.
fn needs_secrets(object: &ObjectRef) -> Needs {
    match object.kind {
        snapshot::Kind::MailGateway => Needs::RuleAndSecrets,
        _ => Needs::Rule,
    }
}

fn wire_kind(kind: Kind) -> snapshot::Kind {
    match kind {
        Kind::MailGateway => snapshot::Kind::MailGateway,
        Kind::SubmissionPolicy => snapshot::Kind::SubmissionPolicy,
        Kind::CountryRule => snapshot::Kind::CountryRule,
        Kind::RateLimit => snapshot::Kind::RateLimit,
        Kind::LoginGuard => snapshot::Kind::LoginGuard,
        Kind::EgressPool => snapshot::Kind::EgressPool,
        Kind::AbuseRule => snapshot::Kind::AbuseRule,
        Kind::NotificationChannel => snapshot::Kind::NotificationChannel,
    }
}

fn rfc3339(now_ms: u64) -> String {
    let at = i64::try_from(now_ms / 1000)
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok());
    at.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

async fn write(
    client: Client,
    kind: Kind,
    namespace: String,
    name: String,
    status: Status,
) -> Result<(), Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kinds::resource(kind));
    let mut body = json!({ "status": status });
    if status.programmed.is_none() {
        // A merge leaves what is not named.
        body["status"]["programmed"] = serde_json::Value::Null;
    }
    let params = PatchParams {
        field_manager: Some(labels::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api.patch_status(&name, &params, &Patch::Merge(&body)).await {
        Ok(_) => Ok(()),
        // It was deleted meanwhile.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(Error::api(format!(
            "writing the status of {} {namespace}/{name}",
            kind.as_str()
        ))(error)),
    }
}
