//! A Kubernetes control plane of a test's own: real etcd, kube-apiserver and, when asked, kube-controller-manager, without
//! any node. RBAC, TokenRequest, TokenReview, webhooks and Pod Security are those of a cluster.

mod assets;
mod client;
mod identity;
mod pki;
mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use crate::component::skip;
use crate::port::Port;

use assets::Assets;
pub use client::Ran;
pub use identity::BoundTo;
use pki::Pki;
use servers::Servers;

/// Which controllers run beside the API server.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Controllers {
    /// None: no default service accounts, no garbage collection, and a namespace that is deleted stays `Terminating`.
    #[default]
    None,
    /// kube-controller-manager, with all of its controllers.
    All,
}

/// The Secrets, keys and addresses of a control plane, and its running programs. Dropping it ends them.
#[derive(Debug)]
pub struct ControlPlane {
    /// Dropped first, while their folder is there.
    servers: Mutex<Servers>,
    shared: Shared,
}

/// What the programs have in common.
#[derive(Debug)]
struct Shared {
    assets: Assets,
    pki: Pki,
    controllers: Controllers,
    api: Port,
    etcd: Port,
    etcd_peer: Port,
    folder: tempfile::TempDir,
}

impl Shared {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("https://{}", self.api.address())
    }
}

/// A copy of what etcd held: see [`ControlPlane::back_up`].
#[derive(Debug)]
pub struct Backup(tempfile::TempDir);

impl ControlPlane {
    /// Starts one and waits until it is ready, or says that the test is skipped.
    ///
    /// # Panics
    /// It does not start, with its logs in the message; or its programs are missing and `CI` is set.
    pub fn start(controllers: Controllers) -> Option<Self> {
        let assets = match Assets::find() {
            Ok(assets) => assets,
            Err(missing) => {
                skip(&missing);
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared {
            assets,
            pki: Pki::make(&folder.path().join("pki")),
            controllers,
            api: Port::free(),
            etcd: Port::free(),
            etcd_peer: Port::free(),
            folder,
        };
        fs::create_dir(shared.path("cache")).unwrap();
        fs::write(
            shared.path("admin.kubeconfig"),
            shared.pki.kubeconfig(&shared.url()),
        )
        .unwrap();
        let mut servers = Servers::default();
        servers.start_etcd(&shared);
        servers.start_api(&shared);
        servers.start_controllers(&shared);
        let plane = Self {
            servers: Mutex::new(servers),
            shared,
        };
        plane.wait_until_ready();
        Some(plane)
    }

    /// One without controllers that the tests of this process share while any of them holds it. Give each test a namespace.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|broken| broken.into_inner());
        if let Some(plane) = shared.upgrade() {
            return Some(plane);
        }
        let plane = Arc::new(Self::start(Controllers::None)?);
        *shared = Arc::downgrade(&plane);
        Some(plane)
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// The kubeconfig of a cluster administrator.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.shared.path("admin.kubeconfig")
    }

    /// The authority that signs the API server's certificate, in PEM.
    pub fn ca(&self) -> &str {
        &self.shared.pki.ca
    }

    /// Kills the API server. Requests fail until [`start_api_server`](Self::start_api_server).
    pub fn stop_api_server(&self) {
        self.servers().stop_api();
    }

    /// Starts the API server again, on its port, and waits until it is ready.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_api_server(&self) {
        self.servers().start_api(&self.shared);
        self.wait_until_ready();
    }

    /// Ends etcd. The API server stays and fails.
    pub fn stop_etcd(&self) {
        self.servers().stop_etcd();
    }

    /// Starts etcd again and waits until the API server is ready.
    ///
    /// # Panics
    /// They do not become so.
    pub fn start_etcd(&self) {
        self.servers().start_etcd(&self.shared);
        self.wait_until_ready();
    }

    /// Copies what etcd holds. etcd is ended for that and started again.
    ///
    /// # Panics
    /// It cannot be copied.
    pub fn back_up(&self) -> Backup {
        let copy = tempfile::tempdir().unwrap();
        self.stop_etcd();
        copy_folder(&self.etcd_folder(), copy.path());
        self.start_etcd();
        Backup(copy)
    }

    /// Puts etcd back to an earlier state, older resource versions included, as a restored disk does. The API server is ended for
    /// that and started again.
    ///
    /// # Panics
    /// It cannot be put back.
    pub fn restore(&self, backup: &Backup) {
        let mut servers = self.servers();
        servers.stop_api();
        servers.stop_etcd();
        fs::remove_dir_all(self.etcd_folder()).unwrap();
        copy_folder(backup.0.path(), &self.etcd_folder());
        servers.start_etcd(&self.shared);
        servers.start_api(&self.shared);
        drop(servers);
        self.wait_until_ready();
    }

    /// What the programs logged, the end of each.
    pub fn logs(&self) -> String {
        self.servers().logs()
    }

    fn etcd_folder(&self) -> PathBuf {
        self.shared.path("etcd")
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, Servers> {
        self.servers
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }
}

fn copy_folder(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(to).unwrap();
    // etcd insists on a folder of its own.
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
