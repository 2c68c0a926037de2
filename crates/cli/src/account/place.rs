//! Which running process is asked, and about whose account.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use sekisho_policy::Account as Name;

use super::path;
use crate::args::OutputFormat;
use crate::server::Server;

/// Where it is asked.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The namespace of the gateways that know the account.
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    pub(super) namespace: String,
    /// Where the running process answers: `sekisho up`, or the control plane.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The file that holds its bearer token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(super) format: OutputFormat,
}

/// Which account, and where it is asked about.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// The account, as it logs in.
    account: String,
    #[command(flatten)]
    pub(super) place: Place,
}

impl Place {
    pub(super) fn server(&self) -> Result<Server> {
        Server::at(&self.url, self.token_file.as_deref())
    }
}

impl Whose {
    pub(super) fn server(&self) -> Result<Server> {
        self.place.server()
    }

    pub(super) fn name(&self) -> Name {
        Name::canonical(&self.account, None)
    }

    /// The path of the account's resource, and what of it; a query can follow.
    pub(super) fn path(&self, what: &str) -> String {
        path::of_account(&self.name(), what, &self.place.namespace)
    }
}
