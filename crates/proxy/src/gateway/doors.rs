//! The listeners of a gateway: which are open, and how a snapshot changes them. Everything that can fail is done first; then
//! they change together.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use sekisho_policy::snapshot::{Listener, ListenerTls};
use sekisho_runtime::health::Component;
use sekisho_runtime::tls::{CertResolver, Identity, mail_server_config};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::certificates::{self, Certificates};
use super::components::Components;
use super::config::{GatewayConfig, MissingCertificate};
use crate::error::Error;
use crate::listener::{self, Door};
use crate::shared::Shared;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The listeners.
#[derive(Debug)]
pub(super) struct Doors {
    listen: IpAddr,
    missing_certificate: MissingCertificate,
    certificates: Arc<dyn Certificates>,
    open: Vec<Opened>,
    /// What is to be open and has no certificate to show.
    waiting: Vec<Waiting>,
    health: Component,
    certificate_health: Component,
}

/// One listener that takes connections.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) address: SocketAddr,
    pub(super) door: Arc<ArcSwap<Door>>,
    stop: CancellationToken,
}

/// A listener that is closed until it has a certificate to show.
#[derive(Debug)]
struct Waiting {
    spec: Listener,
    /// What it waits for.
    fault: String,
}

/// What is to be open, ready to take connections.
#[derive(Debug)]
pub(super) struct Prepared {
    doors: Vec<(Door, Way, Shows)>,
    waiting: Vec<Waiting>,
}

/// What a door that is furnished shows.
#[derive(Debug)]
enum Shows {
    /// What its resolver has.
    AsItIs,
    /// These, once the door is open.
    These(Identity, Vec<Identity>),
    /// What it showed before, because what it should show cannot be read.
    TheLastGood(String),
}

#[derive(Debug)]
enum Way {
    /// The socket of this one, which is open already.
    Kept(usize),
    New(TcpListener, SocketAddr),
}

impl Doors {
    pub(super) fn new(
        config: &GatewayConfig,
        certificates: Arc<dyn Certificates>,
        components: &Components,
    ) -> Self {
        Self {
            listen: config.listen,
            missing_certificate: config.missing_certificate,
            certificates,
            open: Vec::new(),
            waiting: Vec::new(),
            health: components.listeners.clone(),
            certificate_health: components.certificates.clone(),
        }
    }

    /// Opens sockets and reads certificates for `wanted`. Nothing changes yet.
    ///
    /// # Errors
    /// A socket cannot be opened, or a listener that has no certificate yet cannot get one and does not wait for it.
    pub(super) fn prepare(&self, wanted: &[Listener], shared: &Shared) -> Result<Prepared, Error> {
        let mut doors = Vec::with_capacity(wanted.len());
        let mut waiting = Vec::new();
        for spec in wanted {
            let kept = self
                .open
                .iter()
                .position(|opened| is_same_socket(&opened.door.load().spec, spec));
            let before = kept.map(|index| self.open[index].door.load_full());
            let (door, shows) = match self.furnish(spec, before.as_deref(), shared) {
                Ok(furnished) => furnished,
                Err(Error::Certificate { source, .. })
                    if self.missing_certificate == MissingCertificate::Wait =>
                {
                    let fault = bad_certificate(&spec.name, &source);
                    let spec = spec.clone();
                    waiting.push(Waiting { spec, fault });
                    continue;
                }
                Err(error) => return Err(error),
            };
            let way = match kept {
                Some(index) => Way::Kept(index),
                None => self.bind(spec)?,
            };
            doors.push((door, way, shows));
        }
        Ok(Prepared { doors, waiting })
    }

    /// A door for `spec`, with the certificates it shall show. One that cannot be read leaves a door that was open with
    /// those that it had.
    fn furnish(
        &self,
        spec: &Listener,
        before: Option<&Door>,
        shared: &Shared,
    ) -> Result<(Door, Shows), Error> {
        let metrics = shared.metrics.listener(&spec.name);
        if spec.tls == ListenerTls::Off {
            return Ok((
                Door {
                    spec: spec.clone(),
                    tls_config: None,
                    certificates: None,
                    metrics,
                },
                Shows::AsItIs,
            ));
        }
        let kept = before.and_then(|door| door.certificates.clone().zip(door.tls_config.clone()));
        let shown = certificates::of_listener(&*self.certificates, &spec.certificates);
        let ((resolver, config), shows) = match (kept, shown) {
            (Some(kept), Ok((first, others))) => (kept, Shows::These(first, others)),
            (Some(kept), Err(error)) => (
                kept,
                Shows::TheLastGood(bad_certificate(&spec.name, &error)),
            ),
            (None, Ok((first, others))) => {
                note_expiry(&first, &others, shared);
                let resolver = CertResolver::new(first, others);
                let config = mail_server_config(resolver.clone())?;
                ((resolver, config), Shows::AsItIs)
            }
            (None, Err(source)) => {
                return Err(Error::Certificate {
                    listener: spec.name.clone(),
                    source,
                });
            }
        };
        let door = Door {
            spec: spec.clone(),
            tls_config: Some(config),
            certificates: Some(resolver),
            metrics,
        };
        Ok((door, shows))
    }

    fn bind(&self, spec: &Listener) -> Result<Way, Error> {
        let address = SocketAddr::new(self.listen, spec.port);
        let fault = |source| Error::Bind {
            listener: spec.name.clone(),
            address,
            source,
        };
        let socket = listen(address).map_err(fault)?;
        let bound = socket.local_addr().map_err(fault)?;
        Ok(Way::New(socket, bound))
    }

    /// Puts what was prepared in force, and closes what is no longer wanted.
    pub(super) fn open(&mut self, prepared: Prepared, shared: &Arc<Shared>) {
        let mut faults = Vec::new();
        let mut before: Vec<Option<Opened>> = std::mem::take(&mut self.open)
            .into_iter()
            .map(Some)
            .collect();
        for (door, way, shows) in prepared.doors {
            match (shows, &door.certificates) {
                (Shows::These(first, others), Some(resolver)) => {
                    note_expiry(&first, &others, shared);
                    resolver.replace(first, others);
                }
                (Shows::TheLastGood(fault), _) => faults.push(fault),
                (Shows::AsItIs | Shows::These(..), _) => {}
            }
            let opened = match way {
                Way::Kept(index) => {
                    let kept = before[index].take();
                    kept.inspect(|kept| kept.door.store(Arc::new(door)))
                }
                Way::New(socket, address) => Some(start(socket, address, door, shared)),
            };
            self.open.extend(opened);
        }
        for gone in before.into_iter().flatten() {
            tracing::info!(listener = gone.door.load().spec.name, address = %gone.address, "no longer listening");
            gone.stop.cancel();
        }
        for waiting in &prepared.waiting {
            tracing::warn!(
                listener = waiting.spec.name,
                fault = waiting.fault,
                "closed until there is a certificate"
            );
        }
        self.waiting = prepared.waiting;
        self.report(&faults);
    }

    /// Reads all certificates anew, and opens the listeners that waited for one.
    pub(super) fn reload_certificates(&mut self, shared: &Arc<Shared>) {
        let mut faults = self.open_waiting(shared);
        for opened in &self.open {
            let door = opened.door.load();
            let Some(resolver) = &door.certificates else {
                continue;
            };
            match certificates::of_listener(&*self.certificates, &door.spec.certificates) {
                Ok((first, others)) => {
                    note_expiry(&first, &others, shared);
                    resolver.replace(first, others);
                }
                Err(error) => faults.push(bad_certificate(&door.spec.name, &error)),
            }
        }
        self.report(&faults);
    }

    /// Opens the listeners whose certificate has come; says what is in the way of the others but that.
    fn open_waiting(&mut self, shared: &Arc<Shared>) -> Vec<String> {
        let mut faults = Vec::new();
        for mut waiting in std::mem::take(&mut self.waiting) {
            let spec = &waiting.spec;
            let opened = self
                .furnish(spec, None, shared)
                .and_then(|(door, _)| Ok((door, self.bind(spec)?)));
            match opened {
                Ok((door, Way::New(socket, address))) => {
                    self.open.push(start(socket, address, door, shared));
                }
                // Nothing is kept of a door that was never open.
                Ok((_, Way::Kept(_))) => {}
                Err(error) => {
                    if !matches!(error, Error::Certificate { .. }) {
                        faults.push(error.to_string());
                    }
                    waiting.fault = error.to_string();
                    self.waiting.push(waiting);
                }
            }
        }
        faults
    }

    fn report(&self, faults: &[String]) {
        self.report_waiting();
        if faults.is_empty() {
            return self.certificate_health.ok();
        }
        let fault = faults.join("; ");
        tracing::error!(
            fault,
            "certificates cannot be used; the last good ones stay"
        );
        self.certificate_health.degraded(fault);
    }

    /// A gateway of which no listener is open takes no mail.
    fn report_waiting(&self) {
        if self.waiting.is_empty() {
            return self.health.ok();
        }
        let faults: Vec<_> = self.waiting.iter().map(|one| one.fault.as_str()).collect();
        let fault = format!("closed until there is a certificate: {}", faults.join("; "));
        if self.open.is_empty() {
            self.health.not_ready(fault);
        } else {
            self.health.degraded(fault);
        }
    }

    pub(super) fn door(&self, name: &str) -> Option<Arc<Door>> {
        self.open
            .iter()
            .map(|opened| opened.door.load_full())
            .find(|door| door.spec.name == name)
    }

    pub(super) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.open
            .iter()
            .find(|opened| opened.door.load().spec.name == name)
            .map(|opened| opened.address)
    }

    /// How many listeners wait for a certificate.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn all(&self) -> &[Opened] {
        &self.open
    }
}

fn note_expiry(first: &Identity, others: &[Identity], shared: &Shared) {
    for identity in std::iter::once(first).chain(others) {
        shared
            .metrics
            .process()
            .certificate_expires(identity.origin(), identity.expires_at());
    }
}

fn bad_certificate(listener: &str, error: &sekisho_runtime::Error) -> String {
    format!("listener {listener}: {error}")
}

/// Whether a listener that is open serves as `wanted`, perhaps under a new name.
fn is_same_socket(open: &Listener, wanted: &Listener) -> bool {
    open.port == wanted.port && (wanted.port != 0 || open.name == wanted.name)
}

fn start(socket: TcpListener, address: SocketAddr, door: Door, shared: &Arc<Shared>) -> Opened {
    tracing::info!(listener = door.spec.name, %address, tls = ?door.spec.tls, "listening");
    let door = Arc::new(ArcSwap::from_pointee(door));
    let stop = CancellationToken::new();
    shared.shutdown.spawn(listener::accept(
        socket,
        door.clone(),
        shared.clone(),
        stop.clone(),
    ));
    Opened {
        address,
        door,
        stop,
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // One socket for both families; sources are shown in their own.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
