//! Tokens of a Kubernetes cluster's own workloads: those of service accounts, verified by the cluster's keys. The account is the
//! name that the cluster has for the service account as a user.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_policy::Account;
use sekisho_policy::snapshot::{ClusterKeys, ServiceAccountAuth};
use zeroize::Zeroizing;

use super::remote::RemoteFault;
use super::token::TokenFault;
use super::token::claims::{Claims, Expected};
use super::token::json::{self, Map, Value};
use super::token::jws::{self, Jws};
use super::token::keys::{self, Keys};
use super::{Answer, Client, Failure, LoadFault, Tools};

/// What failures call it.
const WHO: &str = "the cluster's keys";

#[derive(Debug)]
pub(super) struct ServiceAccounts {
    config: ServiceAccountAuth,
    tools: Tools,
    held: Mutex<Held>,
}

/// What is known of the cluster.
#[derive(Debug, Default)]
struct Held {
    cluster: Option<Arc<Cluster>>,
    /// What it was read from, good or not.
    document: Option<Zeroizing<Vec<u8>>>,
    trouble: Option<String>,
}

#[derive(Debug)]
struct Cluster {
    issuer: String,
    keys: Keys,
}

impl ServiceAccounts {
    pub(super) fn new(config: &ServiceAccountAuth, tools: &Tools) -> Result<Self, LoadFault> {
        let this = Self {
            config: config.clone(),
            tools: tools.clone(),
            held: Mutex::default(),
        };
        this.refresh();
        match (&config.keys, this.trouble()) {
            // Whoever wrote the path is there to mend it. What the control plane brings comes when it comes.
            (ClusterKeys::File { .. }, Some(trouble)) => Err(LoadFault::ClusterKeys(trouble)),
            _ => Ok(this),
        }
    }

    pub(super) fn is(&self, config: &ServiceAccountAuth) -> bool {
        self.config == *config
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.held().trouble.clone()
    }

    /// Reads the keys again where they have changed. Blocks. Keys that cannot be used leave those that were there.
    pub(super) fn refresh(&self) {
        let read = match &self.config.keys {
            ClusterKeys::Control => self.tools.credentials.cluster_keys().ok_or_else(|| {
                "the control plane has not brought the cluster's keys yet".to_owned()
            }),
            ClusterKeys::File { path, .. } => {
                read(Path::new(path)).map_err(|error| format!("{path}: {error}"))
            }
        };
        let mut held = self.held();
        let document = match read {
            Ok(document) if held.document.as_ref() == Some(&document) => return,
            Ok(document) => document,
            Err(trouble) => {
                held.document = None;
                held.trouble = Some(trouble);
                return;
            }
        };
        match self.parse(&document) {
            Ok(cluster) => {
                held.cluster = Some(Arc::new(cluster));
                held.trouble = None;
            }
            Err(trouble) => held.trouble = Some(trouble),
        }
        held.document = Some(document);
    }

    fn parse(&self, document: &[u8]) -> Result<Cluster, String> {
        let keys = Keys::parse(document).map_err(|fault| format!("{WHO}: {fault}"))?;
        let issuer = match &self.config.keys {
            ClusterKeys::File { issuer, .. } => Some(issuer.clone()),
            ClusterKeys::Control => json::object(document)
                .and_then(|document| Some(document.get("issuer")?.as_str()?.to_owned())),
        };
        let issuer = issuer.ok_or_else(|| format!("{WHO} come without the cluster's issuer"))?;
        Ok(Cluster { issuer, keys })
    }

    /// Whose the token is.
    pub(super) async fn check(&self, token: &[u8], client: Client) -> Answer {
        if !jws::looks_signed(token) {
            return Answer::NotMine;
        }
        let cluster = self.held().cluster.clone();
        let Some(cluster) = cluster else {
            let fault = RemoteFault::Answer("they are not there");
            return Answer::Unavailable(Failure::remote(WHO, fault));
        };
        let token = match Jws::parse(token) {
            Ok(token) if token.issuer() != Some(&*cluster.issuer) => return Answer::NotMine,
            Ok(token) => token,
            Err(fault) => return refuse(fault),
        };
        let (config, now) = (self.config.clone(), self.tools.clock.now_ms() / 1000);
        let verified = self
            .tools
            .pool
            .run(client, move || verify(&token, &cluster, &config, now));
        match verified.await {
            Ok(Ok(account)) => Answer::Accepted(account),
            Ok(Err(fault)) => refuse(fault),
            Err(busy) => Answer::Unavailable(Failure::Busy(busy)),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(fault: TokenFault) -> Answer {
    tracing::debug!(%fault, "a service account's token was refused");
    Answer::Refused
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut document = Zeroizing::new(Vec::new());
    let most = keys::MOST as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut document)?;
    Ok(document)
}

fn verify(
    token: &Jws,
    cluster: &Cluster,
    config: &ServiceAccountAuth,
    now: u64,
) -> Result<Account, TokenFault> {
    let expected = Expected {
        issuer: &cluster.issuer,
        audiences: &config.audiences,
        scopes: &[],
    };
    let claims = Claims::of_signed(token, &cluster.keys, expected, now)?;
    account(&claims, &config.namespaces)
}

/// The account, as the subject and the cluster's own claims say it alike.
fn account(claims: &Claims, namespaces: &[String]) -> Result<Account, TokenFault> {
    let cluster = claims.object("kubernetes.io").ok_or(TokenFault::Account)?;
    let namespace = name(cluster, "namespace")?;
    let bearer = cluster.get("serviceaccount").and_then(Value::as_object);
    let bearer = name(bearer.ok_or(TokenFault::Account)?, "name")?;
    let account = Account::of_service_account(namespace, bearer);
    if claims.text("sub") != Some(account.as_str()) {
        return Err(TokenFault::Account);
    }
    if namespaces.is_empty() || namespaces.iter().any(|own| own == namespace) {
        Ok(account)
    } else {
        Err(TokenFault::Namespace)
    }
}

/// A name as objects of Kubernetes have it.
fn name<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, TokenFault> {
    let name = object.get(key).and_then(Value::as_str);
    let fits = |octet: u8| {
        octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'.')
    };
    name.filter(|name| (1..=253).contains(&name.len()) && name.bytes().all(fits))
        .ok_or(TokenFault::Account)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::Instant;

    use super::super::stand::tools;
    use super::super::token::minted::{Minter, claims, set};
    use super::*;

    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

    fn token(minter: &Minter, changes: Value) -> String {
        let mut own = claims(
            ISSUER,
            json!({
                "aud": ["sekisho-smtp"],
                "sub": "system:serviceaccount:shop:app",
                "email": null, "email_verified": null, "scope": null,
                "kubernetes.io": {
                    "namespace": "shop",
                    "pod": { "name": "app-1", "uid": "1" },
                    "serviceaccount": { "name": "app", "uid": "2" },
                },
            }),
        );
        if let Value::Object(changes) = changes {
            own.as_object_mut().unwrap().extend(changes);
        }
        minter.sign(&json!({ "alg": "RS256", "kid": "k" }), &own)
    }

    fn accounts(namespaces: &[&str], path: &Path) -> Result<ServiceAccounts, LoadFault> {
        let config = json!({
            "audiences": ["sekisho-smtp"],
            "namespaces": namespaces,
            "keys": { "file": { "issuer": ISSUER, "path": path } },
        });
        ServiceAccounts::new(&serde_json::from_value(config).unwrap(), &tools())
    }

    async fn check(accounts: &ServiceAccounts, token: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        match accounts
            .check(token.as_bytes(), Client::nobodys(deadline))
            .await
        {
            Answer::Accepted(account) => account.to_string(),
            Answer::Refused => "refused".to_owned(),
            Answer::NotMine => "not mine".to_owned(),
            Answer::Unavailable(failure) => format!("unavailable: {failure}"),
        }
    }

    #[tokio::test]
    async fn a_workload_is_who_its_cluster_says_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let minter = Minter::rsa();
        std::fs::write(&path, set(&[minter.public("k")])).unwrap();
        let all = accounts(&[], &path).unwrap();
        let account = "system:serviceaccount:shop:app";
        assert_eq!(check(&all, &token(&minter, Value::Null)).await, account);
        assert_eq!(
            check(
                &accounts(&["shop"], &path).unwrap(),
                &token(&minter, Value::Null)
            )
            .await,
            account
        );
        assert_eq!(
            check(
                &accounts(&["mail"], &path).unwrap(),
                &token(&minter, Value::Null)
            )
            .await,
            "refused"
        );
        let of = |namespace: &str, name: &str| json!({ "namespace": namespace, "serviceaccount": { "name": name } });
        for (changes, said) in [
            (json!({ "aud": [ISSUER] }), "refused"),
            (json!({ "aud": ["sekisho-control"] }), "refused"),
            (json!({ "iss": "https://other" }), "not mine"),
            (
                json!({ "sub": "system:serviceaccount:shop:other" }),
                "refused",
            ),
            (json!({ "sub": "tanaka@example.jp" }), "refused"),
            (
                json!({ "kubernetes.io": of("kube-system", "app") }),
                "refused",
            ),
            (
                json!({ "kubernetes.io": of("shop:app", "x"), "sub": "system:serviceaccount:shop:app:x" }),
                "refused",
            ),
            (json!({ "kubernetes.io": null }), "refused"),
            (json!({ "exp": 1 }), "refused"),
        ] {
            assert_eq!(
                check(&all, &token(&minter, changes.clone())).await,
                said,
                "{changes}"
            );
        }
        assert_eq!(
            check(&all, &token(&Minter::rsa(), Value::Null)).await,
            "refused"
        );
        assert_eq!(check(&all, "opaque").await, "not mine");
    }

    #[tokio::test]
    async fn keys_are_read_again_and_good_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        let said = accounts(&[], &path).unwrap_err().to_string();
        assert!(said.contains("jwks.json"), "{said}");
        let (old, new) = (Minter::rsa(), Minter::rsa());
        std::fs::write(&path, set(&[old.public("k")])).unwrap();
        let all = accounts(&[], &path).unwrap();
        std::fs::write(&path, "rubbish").unwrap();
        all.refresh();
        assert!(all.trouble().unwrap().contains("no set of keys"));
        let account = "system:serviceaccount:shop:app";
        assert_eq!(check(&all, &token(&old, Value::Null)).await, account);
        std::fs::write(&path, set(&[new.public("k")])).unwrap();
        all.refresh();
        assert_eq!(all.trouble(), None);
        assert_eq!(check(&all, &token(&new, Value::Null)).await, account);
        assert_eq!(check(&all, &token(&old, Value::Null)).await, "refused");
    }
}
