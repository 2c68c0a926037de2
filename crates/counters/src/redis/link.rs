//! The connection: one for all calls, made anew by the client library when it breaks.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::{ClusterClient, ClusterClientBuilder, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo as _, ProtocolVersion, RedisResult, Script, ServerErrorKind,
    TlsCertificates,
};
use tokio::time::timeout;

use super::call::Call;
use super::failure::Failure;
use super::setup::{Defect, Password, Setup, Topology};

const SCRIPT: &str = include_str!("script.lua");

/// How long making a connection may take, TLS and login included. No event waits so long for it.
const CONNECT: Duration = Duration::from_secs(2);
/// A peer that takes nothing for so long is gone, whatever its machine became.
const SILENCE: Duration = Duration::from_secs(3);

/// The way to the server or the Cluster. Nothing is sent before the first call.
pub(super) struct Link {
    connected: RwLock<Connected>,
    /// Of a single server, to begin anew with.
    client: Option<Client>,
    script: Script,
}

#[derive(Clone)]
enum Connected {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(..)")
    }
}

impl Link {
    pub(super) fn new(setup: &Setup) -> Result<Self, Defect> {
        let infos: Vec<_> = setup
            .urls
            .iter()
            .enumerate()
            .map(|(at, url)| info(at + 1, url, setup))
            .collect::<Result<_, _>>()?;
        let (connected, client) = match setup.topology {
            Topology::Single => {
                let client = single(infos, setup)?;
                (Connected::Single(manager(client.clone())?), Some(client))
            }
            Topology::Cluster => (Connected::Cluster(cluster(infos, setup)?), None),
        };
        Ok(Self {
            connected: RwLock::new(connected),
            client,
            script: Script::new(SCRIPT),
        })
    }

    /// Begins anew with a single server. The client library makes a connection that broke again, and not one that was made and then
    /// refused in words (a wrong password, too many clients) or in none that it knows.
    pub(super) fn renew(&self) {
        if let Some(Ok(fresh)) = self.client.clone().map(manager) {
            let mut connected = self
                .connected
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            *connected = Connected::Single(fresh);
        }
    }

    /// Runs the script within `deadline`; a server that does not know it is sent all of it.
    pub(super) async fn run(&self, call: &Call, deadline: Duration) -> Result<Vec<i64>, Failure> {
        let asked = timeout(deadline, async {
            let known = call.command("EVALSHA", self.script.get_hash());
            match self.send(&known).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.send(&call.command("EVAL", SCRIPT)).await
                }
                answered => answered,
            }
        });
        match asked.await {
            Ok(answered) => answered.map_err(|error| Failure::of(&error, call)),
            Err(_) => Err(Failure::Timeout(deadline)),
        }
    }

    /// What a server says of its memory: `INFO memory`.
    pub(super) async fn memory(&self, deadline: Duration) -> Option<String> {
        let mut ask = redis::cmd("INFO");
        ask.arg("memory");
        timeout(deadline, self.send(&ask)).await.ok()?.ok()
    }

    async fn send<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let connected = self
            .connected
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match connected {
            Connected::Single(mut connection) => command.query_async(&mut connection).await,
            Connected::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }
}

/// The server at the `at`-th URL, and who we are there.
fn info(at: usize, url: &Password, setup: &Setup) -> Result<ConnectionInfo, Defect> {
    let info = url
        .expose()
        .into_connection_info()
        .map_err(|_| Defect::Url(at))?;
    let has_material = setup.authorities.is_some() || setup.identity.is_some();
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } | ConnectionAddr::Unix(_) => {
            return Err(Defect::Url(at));
        }
        ConnectionAddr::TcpTls { .. } => {}
        _ if has_material => return Err(Defect::NoTls(at)),
        _ => {}
    }
    let mut redis = info.redis_settings().clone();
    if let Some(username) = &setup.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &setup.password {
        redis = redis.set_password(password.expose());
    }
    if setup.topology == Topology::Cluster && redis.db() != 0 {
        return Err(Defect::Database(at));
    }
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_user_timeout(SILENCE);
    // The third protocol says at once when a connection was closed.
    let redis = redis.set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(redis).set_tcp_settings(tcp))
}

fn single(infos: Vec<ConnectionInfo>, setup: &Setup) -> Result<Client, Defect> {
    let count = infos.len();
    let mut infos = infos.into_iter();
    let (Some(info), None) = (infos.next(), infos.next()) else {
        return Err(if count == 0 {
            Defect::NoServer
        } else {
            Defect::Several(count)
        });
    };
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let client = match certificates(setup) {
        Some(certificates) if is_tls => Client::build_with_tls(info, certificates),
        _ => Client::open(info),
    };
    client.map_err(|error| Defect::Certificates(error.to_string()))
}

fn manager(client: Client) -> Result<ConnectionManager, Defect> {
    // Probes of ours decide when it is tried again.
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(None);
    ConnectionManager::new_lazy_with_config(client, config)
        .map_err(|error| Defect::Certificates(error.to_string()))
}

fn cluster(infos: Vec<ConnectionInfo>, setup: &Setup) -> Result<ClusterConnection, Defect> {
    let Some(first) = infos.first() else {
        return Err(Defect::NoServer);
    };
    let redis = first.redis_settings().clone();
    let is_tls = matches!(first.addr(), ConnectionAddr::TcpTls { .. });
    let mut builder: ClusterClientBuilder = ClusterClient::builder(infos)
        .connection_timeout(CONNECT)
        .overall_response_timeout(None)
        .use_protocol(ProtocolVersion::RESP3);
    if let Some(username) = redis.username() {
        builder = builder.username(username);
    }
    if let Some(password) = redis.password() {
        builder = builder.password(password);
    }
    if let (Some(certificates), true) = (certificates(setup), is_tls) {
        builder = builder.certs(certificates);
    }
    let client = builder
        .build()
        .map_err(|error| Defect::Certificates(error.to_string()))?;
    Ok(client.get_pending_async_connection_with_config(ClusterConfig::new()))
}

fn certificates(setup: &Setup) -> Option<TlsCertificates> {
    let client_tls = setup.identity.as_ref().map(|identity| ClientTlsConfig {
        client_cert: identity.certificate.clone(),
        client_key: identity.key.to_vec(),
    });
    let root_cert = setup.authorities.clone();
    (client_tls.is_some() || root_cert.is_some()).then_some(TlsCertificates {
        client_tls,
        root_cert,
    })
}
