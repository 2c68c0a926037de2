//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use sekisho_policy::{DecisionId, Millis};

use crate::account::Account;

/// A checkpoint for mail submission: policy as YAML, enforced on each SMTP step, and explained.
#[derive(Debug, Parser)]
#[command(name = "sekisho", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this process, from YAML files.
    Up(Up),
    /// Run the control plane in a Kubernetes cluster: watch, compile, hand out, inject, and say what became of it.
    Control(Box<Control>),
    /// Check YAML files as the API server would, and across objects.
    Lint(Lint),
    /// Run the cases that are written beside YAML files: events in, expected verdicts out.
    Test(Test),
    /// Say why a message was refused or where it went, or what would become of one that was never sent.
    Explain(Explain),
    /// See, restrict and release an account of a running process.
    #[command(subcommand)]
    Account(Account),
    /// Keep a file of accounts and password hashes.
    #[command(subcommand)]
    Accounts(Accounts),
    /// Look after the ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Play honest senders and one stolen account against a gateway that runs on this machine, and say what became of them.
    ///
    /// It connects to this machine alone. The addresses that clients seem to come from are random public ones, and the gateway
    /// asks DNS for the reverse names of some if a rule exempts clients by reverse name.
    Attack(Attack),
    /// Put sidecars into the pods of YAML files, as the webhook of a cluster does.
    ///
    /// Pods, Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs whose pods have the label sekisho.dev/gateway
    /// get the proxy of that MailGateway. All documents are printed; those that ask for nothing keep their text.
    Inject(Inject),
    /// Wait until a running Sekisho is ready; the exit status says whether it was in time.
    Ready(Ready),
    /// Print the CustomResourceDefinitions of every kind.
    Crds,
}

#[derive(Debug, Args)]
pub(crate) struct Ready {
    /// Where it serves metrics and health: http://host:port
    pub(crate) server: String,
    /// How long to wait: hours, minutes and seconds.
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub(crate) within: Millis,
}

#[derive(Debug, Args)]
pub(crate) struct Up {
    /// A folder of YAML files, or one file.
    pub(crate) objects: PathBuf,
    /// Where the ledger, the last good snapshots, keys and self-signed certificates are kept.
    #[arg(long, default_value = "./data")]
    pub(crate) state: PathBuf,
    /// The address that serves metrics, health, configuration and the start page.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    /// A file with a token (16 characters or more). Requests for anything but metrics and health must then show it as
    /// a bearer token. Without one, that is served only where --http is a loopback address.
    #[arg(long, value_name = "FILE")]
    pub(crate) http_token_file: Option<PathBuf>,
    /// The address that listeners bind; their ports are in the MailGateway.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) listen: IpAddr,
    /// How long the ledger keeps a record: hours, minutes and seconds.
    #[arg(long, default_value = "720h", value_parser = duration, value_name = "DURATION")]
    pub(crate) retention: Millis,
    /// Also write each record of the ledger as one line of JSON to this file, or to standard output for `-`.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) ledger_json: Option<PathBuf>,
    /// How logs are written, to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Which log lines are written, such as `info` or `warn,sekisho_proxy=debug`.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// The name in greetings, in EHLO and in Received fields; the machine's own if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) host_name: Option<String>,
    /// The authorities that certificates of next hops with `tls: Required` must come from, as PEM; the public ones if not
    /// given. Read at the start.
    #[arg(long, value_name = "FILE")]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// What messages may take of memory, together, while their verdict is awaited; the others are held in unnamed files
    /// in the state folder: bytes, or a number with k, M, G, Ki, Mi or Gi.
    #[arg(long, default_value = "256Mi", value_name = "SIZE")]
    pub(crate) message_memory: sekisho_crd::ByteSize,
    /// How long open sessions may go on after SIGTERM or Ctrl-C.
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "DURATION")]
    pub(crate) drain: Millis,
}

#[derive(Debug, Args)]
pub(crate) struct Control {
    /// The namespace of the control plane.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: String,
    /// The name of this replica's pod.
    #[arg(long, value_name = "POD")]
    pub(crate) pod: String,
    /// The address of this replica's pod, by which the other replicas reach it.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) pod_address: IpAddr,
    /// The Deployment of the control plane. What the control plane makes for itself is deleted with it.
    #[arg(long, value_name = "NAME")]
    pub(crate) deployment: Option<String>,
    /// The Service at which proxies, other replicas and the API server reach the control plane.
    #[arg(long, default_value = "sekisho-control", value_name = "NAME")]
    pub(crate) service: String,
    /// The service account of the control plane.
    #[arg(long, default_value = "sekisho-control", value_name = "NAME")]
    pub(crate) service_account: String,
    /// A file with a token of that account for the audience sekisho-control, by which replicas know each other. Without it
    /// this replica tells no other what is connected to it; one replica needs none.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A namespace to be looked at; it can be given several times. Without it, all are.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE")]
    pub(crate) watch_namespaces: Vec<String>,
    /// The image of the proxy.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) proxy_image: String,
    /// When nodes fetch that image.
    #[arg(long, value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub(crate) proxy_pull_policy: PullPolicy,
    /// The MutatingWebhookConfiguration that is told by which authorities the API server knows us. Without it there are no
    /// sidecars.
    #[arg(long, value_name = "NAME")]
    pub(crate) webhook_configuration: Option<String>,
    /// Addresses that are the cluster's own (pods and nodes), in CIDR notation; it can be given several times. A gateway
    /// that sees most sessions come from them says SourceUntrusted.
    #[arg(long = "cluster-network", value_name = "CIDR")]
    pub(crate) cluster_networks: Vec<IpNet>,
    /// A private network, in CIDR notation, in which NotificationChannels may be; it can be given several times. Whoever may write
    /// a channel in any namespace can have the control plane post to any address in it. Without it, channels are on the public
    /// network alone.
    #[arg(long = "channel-network", value_name = "CIDR")]
    pub(crate) channel_networks: Vec<IpNet>,
    /// The authorities that certificates of NotificationChannels must come from, as PEM; the public ones if not given. Read at the
    /// start.
    #[arg(long, value_name = "FILE")]
    pub(crate) channel_ca: Option<PathBuf>,
    /// The address that serves proxies, replicas and the webhook, over TLS.
    #[arg(long, default_value = "0.0.0.0:8443")]
    pub(crate) listen: SocketAddr,
    /// The address that serves metrics, health, records and the start page.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub(crate) http: SocketAddr,
    /// A file with a token (16 characters or more). Requests for anything but metrics and health must then show it as
    /// a bearer token. Without one, that is served only where --http is a loopback address.
    #[arg(long, value_name = "FILE")]
    pub(crate) http_token_file: Option<PathBuf>,
    /// A folder for the ledger. Without it, the records of proxies are counted and not kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// A file with the address of a PostgreSQL database (postgresql://user:password@host/name) in which restrictions of accounts
    /// and their settings are kept, shared by all replicas. Without it they are in the ledger, which one replica has for itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) accounts_database: Option<PathBuf>,
    /// How long the ledger keeps a record: hours, minutes and seconds.
    #[arg(long, default_value = "720h", value_parser = duration, value_name = "DURATION")]
    pub(crate) retention: Millis,
    /// A folder with tls.crt, tls.key and ca.crt, such as cert-manager writes; read again when it changes. Without it, the
    /// control plane is its own authority.
    #[arg(long, value_name = "DIR")]
    pub(crate) tls_dir: Option<PathBuf>,
    /// How long an authority of our own lasts; a new one is made when a third of it is left.
    #[arg(long, default_value = "8760h", value_parser = duration, value_name = "DURATION")]
    pub(crate) authority_lifetime: Millis,
    /// How long a new authority is published before it signs. The kubelet takes minutes to bring it to a pod.
    #[arg(long, default_value = "24h", value_parser = duration, value_name = "DURATION")]
    pub(crate) authority_propagation: Millis,
    /// How long a certificate of this replica lasts; it is made anew, in memory, when a third of it is left.
    #[arg(long, default_value = "24h", value_parser = duration, value_name = "DURATION")]
    pub(crate) certificate_lifetime: Millis,
    /// How long the replica that writes may be silent before another takes over.
    #[arg(long, default_value = "15s", value_parser = duration, value_name = "DURATION")]
    pub(crate) lease_duration: Millis,
    /// The way to the API server, if not by the pod's service account.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// How long answers that are under way may take after SIGTERM.
    #[arg(long, default_value = "10s", value_parser = duration, value_name = "DURATION")]
    pub(crate) drain: Millis,
    /// How logs are written, to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,
    /// Which log lines are written, such as `info` or `warn,sekisho_operator=debug`.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
}

/// When nodes fetch an image, in the words of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    IfNotPresent,
    Always,
    Never,
}

impl From<PullPolicy> for sekisho_operator::PullPolicy {
    fn from(policy: PullPolicy) -> Self {
        match policy {
            PullPolicy::IfNotPresent => Self::IfNotPresent,
            PullPolicy::Always => Self::Always,
            PullPolicy::Never => Self::Never,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Attack {
    /// The folder or file that the running gateway reads: its Demo objects name the accounts that play.
    pub(crate) objects: PathBuf,
    /// Where the running process answers.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// The file that holds its bearer token.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The loopback address that its listeners are on.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) connect: IpAddr,
    /// How long it lasts.
    #[arg(long = "for", default_value = "20s", value_parser = duration, value_name = "DURATION")]
    pub(crate) lasts: Millis,
    /// A folder with the messages that are sent: `easy-ham-1`, `spam-1` and the like, each message in a file.
    #[arg(long, value_name = "DIR")]
    pub(crate) corpus: Option<PathBuf>,
    /// Draw the same addresses, texts and moments as the last time with this number.
    #[arg(long, hide = true)]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Inject {
    /// A file, or `-` for standard input; may be given more than once.
    #[arg(short = 'f', long = "file", required = true, value_name = "FILE|-")]
    pub(crate) files: Vec<PathBuf>,
    /// A folder or file with the MailGateways, where they are not in the files themselves; may be given more than once.
    #[arg(long, value_name = "DIR")]
    pub(crate) objects: Vec<PathBuf>,
    /// The namespace of objects that name none; `default` if not given.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// The image of the proxy.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) proxy_image: String,
    /// When nodes fetch that image.
    #[arg(long, value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub(crate) proxy_pull_policy: PullPolicy,
    /// The namespace of the control plane.
    #[arg(long, default_value = "sekisho-system", value_name = "NAME")]
    pub(crate) control_namespace: String,
    /// The Service of the control plane.
    #[arg(long, default_value = "sekisho-control", value_name = "NAME")]
    pub(crate) control_service: String,
}

#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// A folder, a file, or `-` for standard input.
    pub(crate) objects: PathBuf,
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Folders or files of rules and of `PolicyTest` objects, read together.
    #[arg(required = true)]
    pub(crate) objects: Vec<PathBuf>,
    /// Run only the cases in whose name, with the test's before it (`quickstart: a stolen account ...`), this text is.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Also write the results to this file, as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The decision id of a reply; or, with --account, the folder or file of the rules to ask. Without a folder, --account
    /// asks the rules that were last in force, as the state folder has them.
    #[arg(value_name = "ID|DIR", required_unless_present = "account")]
    pub(crate) what: Option<String>,
    /// The state folder whose ledger, or whose last rules, are read.
    #[arg(long, default_value = "./data", conflicts_with = "url")]
    pub(crate) state: PathBuf,
    /// Ask a running process instead, such as http://127.0.0.1:8080.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// With --url: the file that holds its bearer token.
    #[arg(long, requires = "url", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) format: OutputFormat,
    #[command(flatten)]
    pub(crate) hypothetical: Hypothetical,
}

/// A message that was never sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "A message that was never sent")]
pub(crate) struct Hypothetical {
    /// The account that logs in.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// The client's address.
    #[arg(long, requires = "account", value_name = "IP")]
    pub(crate) source: Option<IpAddr>,
    /// A recipient; may be given more than once.
    #[arg(long = "rcpt", requires = "account", value_name = "ADDRESS")]
    pub(crate) recipients: Vec<String>,
    /// The envelope sender, the account if not given; empty for the null sender.
    #[arg(long, requires = "account", value_name = "ADDRESS")]
    pub(crate) sender: Option<String>,
    /// The file that holds the message.
    #[arg(long, requires = "account", value_name = "FILE")]
    pub(crate) message: Option<PathBuf>,
    /// The gateway, if there are several: its name, or namespace/name.
    #[arg(long, requires = "account")]
    pub(crate) gateway: Option<String>,
    /// The listener; the gateway's first if not given.
    #[arg(long, requires = "account")]
    pub(crate) listener: Option<String>,
    /// What the client says in EHLO.
    #[arg(
        long,
        requires = "account",
        default_value = "client.invalid",
        value_name = "NAME"
    )]
    pub(crate) helo: String,
    /// When it happens, in milliseconds since 1970; now if not given.
    #[arg(long, requires = "account", value_name = "MILLISECONDS")]
    pub(crate) at: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Accounts {
    /// Add an account or replace its password, which is asked for.
    Add {
        /// The file; it is made if it is not there.
        file: PathBuf,
        account: String,
        /// Read the password from the first line of standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the accounts of a file.
    List { file: PathBuf },
    /// Take an account out of a file.
    Remove { file: PathBuf, account: String },
    /// Print what X-Sekisho-Account says of accounts, a line for each: with --file, grep finds whose a report's is.
    Hash {
        /// The key of the installation: in the state folder of `sekisho up`; in a cluster, that of the gateway.
        #[arg(long, value_name = "FILE", default_value = "./data/fleet.key")]
        key: PathBuf,
        /// Print those of every account of this file.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[arg(required_unless_present = "file")]
        account: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Erase every record of one account.
    Erase {
        #[arg(long)]
        account: String,
        /// Why, for the audit trail, such as the number of a ticket.
        #[arg(long, default_value = "")]
        why: String,
        /// The state folder whose ledger it is.
        #[arg(long, default_value = "./data")]
        state: PathBuf,
    },
}

/// Reads hours, minutes and seconds as the YAML has them.
pub(crate) fn duration(text: &str) -> Result<Millis, String> {
    let duration: sekisho_crd::Duration = text
        .parse()
        .map_err(|error: sekisho_crd::Error| error.to_string())?;
    Ok(Millis::from_secs(duration.as_secs()))
}

/// A span as tokio takes it.
pub(crate) fn as_std(span: Millis) -> Duration {
    Duration::from_millis(span.0)
}

/// Where the rules for a message that was never sent come from.
pub(crate) enum Rules {
    /// Files that may never have been in force.
    Files(PathBuf),
    /// What was last in force with this state folder.
    InForce(PathBuf),
}

/// What `explain` was asked about.
pub(crate) enum Question {
    Recorded(DecisionId),
    Hypothetical(Rules),
}

impl Explain {
    /// Tells an id from a folder: with an account it is a folder, else an id.
    pub(crate) fn question(&self) -> anyhow::Result<Question> {
        if self.hypothetical.account.is_some() {
            return Ok(Question::Hypothetical(match &self.what {
                Some(files) => Rules::Files(PathBuf::from(files)),
                None => Rules::InForce(self.state.clone()),
            }));
        }
        let id = self.what.as_deref().unwrap_or_default();
        let id = id.parse().map_err(|error| {
            anyhow::anyhow!("{error}\nTo ask about a message that was never sent: sekisho explain [DIR] --account A --source IP --rcpt R --message FILE")
        })?;
        Ok(Question::Recorded(id))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_id_and_a_folder_are_told_apart() {
        let explain =
            |args: &[&str]| match Cli::try_parse_from([&["sekisho", "explain"], args].concat())
                .unwrap()
                .command
            {
                Command::Explain(explain) => explain.question(),
                _ => unreachable!(),
            };
        assert!(matches!(
            explain(&["7q2mx4k90b3t"]),
            Ok(Question::Recorded(_))
        ));
        assert!(matches!(
            explain(&["7q2mx4k90b3t", "--account", "a@b.example"]),
            Ok(Question::Hypothetical(_))
        ));
        let in_force = explain(&["--account", "a@b.example"]);
        assert!(matches!(
            in_force,
            Ok(Question::Hypothetical(Rules::InForce(_)))
        ));
        assert!(explain(&["./data"]).is_err());
    }
}
