//! What can go wrong between the operator and the cluster.

/// Why something of the operator did not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to the API server: the kubeconfig or the pod's service account cannot be used.
    #[error("the cluster's address and credentials cannot be read from {origin}: {why}")]
    Access {
        /// Where they were looked for.
        origin: String,
        /// What is wrong there.
        why: String,
    },
    /// The API server did not do what was asked.
    #[error("{what}: {why}")]
    Api {
        /// What was asked of it.
        what: String,
        /// What it said, for people.
        why: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("the API server did not answer within {0:?}")]
    Late(std::time::Duration),
    /// An object of that name is there, and somebody else's.
    #[error(
        "{0} is there already and is not the gateway's; delete it, or give the gateway another name"
    )]
    NotOurs(String),
    /// Something of ours cannot be put into words for the API server.
    #[error("it cannot be written: {0}")]
    Unwritable(String),
    /// Another replica holds the lease.
    #[error("another replica writes now")]
    NotHolder,
    /// A certificate could not be made or read.
    #[error("certificates: {0}")]
    Certificates(String),
    /// What a channel's messages are signed with is not to be had.
    #[error(
        "the Secret {secret} {lacks}; give it the key `secret`, or name another in the channel's secretRef"
    )]
    NoSigningSecret {
        /// Its namespace and name.
        secret: String,
        /// What is wrong with it.
        lacks: String,
    },
    /// A snapshot cannot be carried by an object.
    #[error(
        "the snapshot of {gateway} has {size} octets compressed, and an object carries {} at most; split the gateway's rules over two gateways",
        crate::snapshots::MAX_PACKED
    )]
    SnapshotTooLarge {
        /// Whose.
        gateway: String,
        /// How large it is.
        size: usize,
    },
}

impl Error {
    /// Names what was asked of the API server.
    pub(crate) fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        |source| Self::Api {
            what,
            why: match &source {
                kube::Error::Api(status) => status.message.clone(),
                other => other.to_string(),
            },
            source: Box::new(source),
        }
    }

    /// Whether somebody else changed the object in between.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { source, .. }
            if matches!(&**source, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists()))
    }

    /// Whether what was to be written must be decided anew, rather than tried again.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_conflict() || matches!(self, Self::NotHolder)
    }
}
