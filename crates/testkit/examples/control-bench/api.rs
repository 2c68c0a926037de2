//! The API server as its administrator sees it: many requests at once, each acknowledged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use sekisho_testkit::{BoundTo, ControlPlane};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::https::{Failure, Line, Server};

/// Connections, and so requests, at once.
const LINES: usize = 24;

pub(crate) struct Api {
    server: Server,
    token: String,
    /// The connections that nobody uses now.
    idle: Mutex<Vec<Line>>,
}

/// The path of our kinds.
pub(crate) fn sekisho(namespace: &str, plural: &str, name: &str) -> String {
    format!("/apis/sekisho.dev/v1alpha1/namespaces/{namespace}/{plural}/{name}")
}

/// The path of a kind of the core group.
pub(crate) fn core(namespace: &str, plural: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{plural}")
}

impl Api {
    pub(crate) fn of(plane: &ControlPlane) -> Self {
        let account = "bench";
        plane
            .kubectl(["create", "serviceaccount", account, "--namespace=default"])
            .ok();
        plane
            .kubectl([
                "create",
                "clusterrolebinding",
                account,
                "--clusterrole=cluster-admin",
                "--serviceaccount=default:bench",
            ])
            .ok();
        let address: SocketAddr = plane.url()["https://".len()..].parse().unwrap();
        Self {
            server: Server::new(address, plane.ca()),
            token: plane.token("default", account, None, BoundTo::Account),
            idle: Mutex::default(),
        }
    }

    /// Whether it was done, or why it was not. A patch is a JSON merge patch.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let text = self.text(method, path, body).await?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, Failure> {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let known = self.idle.lock().await.pop();
        let mut line = match known.filter(Line::is_open) {
            Some(line) => line,
            None => self.server.connect().await?,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, kind);
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = line.ask(request, &self.token, body).await?;
        self.idle.lock().await.push(line);
        let text = String::from_utf8(answer.body.into())?;
        if answer.status.is_success() {
            Ok(text)
        } else {
            Err(format!("{path}: {}: {text}", answer.status).into())
        }
    }

    /// Tries until it is acknowledged: the API server may be away.
    pub(crate) async fn insist(&self, method: Method, path: &str, body: &Value) {
        while self.ask(method.clone(), path, Some(body)).await.is_err() {
            sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut list = self.ask(Method::GET, path, None).await.unwrap();
        match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// Makes objects, `(path, object)`, many at once; what the API server made of them, in their order.
    pub(crate) async fn create(self: &Arc<Self>, objects: Vec<(String, Value)>) -> Vec<Value> {
        let made = Arc::new(Mutex::new(vec![Value::Null; objects.len()]));
        let queue = Arc::new(Mutex::new(objects.into_iter().enumerate()));
        let mut workers = JoinSet::new();
        for _ in 0..LINES {
            let (api, queue, made) = (self.clone(), queue.clone(), made.clone());
            workers.spawn(async move {
                loop {
                    let next = queue.lock().await.next();
                    let Some((index, (path, object))) = next else {
                        return;
                    };
                    let answer = api.ask(Method::POST, &path, Some(&object)).await;
                    made.lock().await[index] = answer.unwrap();
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended.unwrap();
        }
        std::mem::take(&mut *made.lock().await)
    }

    /// How many statuses of our kinds were written since the API server started.
    pub(crate) async fn status_writes(&self) -> u64 {
        let metrics = self.text(Method::GET, "/metrics", None).await.unwrap();
        let of_status = |line: &&str| {
            line.starts_with("apiserver_request_total{")
                && line.contains(r#"group="sekisho.dev""#)
                && line.contains(r#"subresource="status""#)
                && !line.contains(r#"verb="GET""#)
        };
        let counts = metrics.lines().filter(of_status);
        counts
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }

    /// Waits until no status has been written for some seconds.
    pub(crate) async fn settled(&self) {
        let mut before = u64::MAX;
        loop {
            let now = self.status_writes().await;
            if now == before {
                return;
            }
            before = now;
            sleep(Duration::from_secs(5)).await;
        }
    }
}

/// A token of a Pod for the control plane.
pub(crate) fn token_request(pod: &Value) -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": ["sekisho-control"], "expirationSeconds": 7200,
            "boundObjectRef": { "apiVersion": "v1", "kind": "Pod",
                "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"] },
        },
    })
}
