//! A real redis-server, and a real Cluster of six on loopback: three that are written to, three that stand by.

use std::io::Write as _;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::component::require;
use crate::port::Port;
use crate::process::Process;
use crate::wait::wait_until;

/// A running redis-server. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct RedisServer {
    port: Port,
    /// Of the bus between the servers of a Cluster.
    _bus: Port,
    args: Vec<String>,
    process: Option<Process>,
    _folder: tempfile::TempDir,
}

impl RedisServer {
    /// Starts it, or says that the test is skipped. It keeps nothing on disk.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with further arguments of its command line.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn start_with(args: &[&str]) -> Option<Self> {
        let mut server = Self::prepare(args)?;
        server.begin();
        Some(server)
    }

    fn prepare(args: &[&str]) -> Option<Self> {
        require("redis-server")?;
        require("redis-cli")?;
        let (port, bus) = (Port::free(), Port::free());
        let folder = tempfile::tempdir().unwrap();
        let (number, bus_number) = (port.number().to_string(), bus.number().to_string());
        let path = folder.path().to_string_lossy().into_owned();
        let ours = [
            ["--bind", "127.0.0.1"],
            ["--port", &number],
            ["--cluster-port", &bus_number],
            ["--save", ""],
            ["--dir", &path],
        ];
        let all = ours.iter().flatten().chain(args);
        Some(Self {
            args: all.map(|&arg| arg.to_owned()).collect(),
            port,
            _bus: bus,
            process: None,
            _folder: folder,
        })
    }

    /// Starts it again after [`Self::stop`] or [`Self::kill`].
    ///
    /// # Panics
    /// It does not start, or runs.
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = Command::new(require("redis-server").expect("it was there before"));
        command.args(&self.args);
        let mut process = Process::spawn(command);
        process.wait_for_port(self.port.address());
        self.process = Some(process);
    }

    /// Ends it as an operator would.
    ///
    /// # Panics
    /// It does not run, or does not end.
    pub fn stop(&mut self) {
        self.process.take().expect("it runs").terminate();
    }

    /// Ends it at once, as a machine that fails.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.signal(Signal::KILL);
        process.wait();
    }

    /// Has it stand still with its connections open, until [`Self::resume`].
    ///
    /// # Panics
    /// It does not run.
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Has it go on.
    ///
    /// # Panics
    /// It does not run.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::CONT);
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// What `redis-cli` prints for a command.
    ///
    /// # Panics
    /// It fails; the message shows what it wrote.
    pub fn cli(&self, args: &[&str]) -> String {
        self.try_cli(args)
            .unwrap_or_else(|wrote| panic!("redis-cli {args:?}: {wrote}"))
    }

    /// Runs one command written as in a session of `redis-cli`, where `"\x00"` is an octet.
    ///
    /// # Panics
    /// It fails; the message shows what it wrote.
    pub fn feed(&self, line: &str) -> String {
        let mut command = Command::new(require("redis-cli").expect("it was there before"));
        command.args(["-e", "-p", &self.port().to_string()]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{line}").unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "redis-cli {line}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(require("redis-cli").expect("it was there before"));
        command
            .args(["-e", "-p", &self.port().to_string()])
            .args(args);
        run(command)
    }
}

fn run(mut command: Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text + &String::from_utf8_lossy(&output.stderr))
    }
}

/// Six servers: three that are written to and one behind each. They end when this is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts it and waits until it serves, or says that the test is skipped.
    ///
    /// # Panics
    /// It does not start.
    pub fn start() -> Option<Self> {
        // A server that is silent for this long is replaced.
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let servers: Option<Vec<_>> = (0..6).map(|_| RedisServer::start_with(&args)).collect();
        let cluster = Self { servers: servers? };
        let mut command = Command::new(require("redis-cli").expect("it was there before"));
        command.args(["--cluster", "create"]);
        command.args(cluster.addresses());
        command.args(["--cluster-replicas", "1", "--cluster-yes"]);
        run(command).unwrap_or_else(|wrote| panic!("redis-cli --cluster create: {wrote}"));
        cluster.wait_until_whole(6);
        Some(cluster)
    }

    /// Waits until every running server knows `known` servers and sees all slots served, and every replica follows.
    ///
    /// # Panics
    /// It takes too long.
    pub fn wait_until_whole(&self, known: usize) {
        for server in self.running() {
            wait_until("a Cluster that serves all slots", || {
                let info = server.try_cli(&["cluster", "info"]).ok()?;
                let replicas = server.try_cli(&["cluster", "nodes"]).ok()?;
                let synced = replicas
                    .lines()
                    .filter(|line| line.contains("slave"))
                    .count();
                let whole = info.contains("cluster_state:ok")
                    && info.contains(&format!("cluster_known_nodes:{known}"))
                    && synced + 3 >= known;
                whole.then_some(())
            });
        }
        for server in self.running() {
            wait_until("replicas that follow", || {
                let info = server.try_cli(&["info", "replication"]).ok()?;
                let follows =
                    info.contains("role:master") || info.contains("master_link_status:up");
                follows.then_some(())
            });
        }
    }

    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(RedisServer::url).collect()
    }

    fn addresses(&self) -> Vec<String> {
        let ports = self.servers.iter().map(RedisServer::port);
        ports.map(|port| format!("127.0.0.1:{port}")).collect()
    }

    pub fn running(&self) -> impl Iterator<Item = &RedisServer> {
        self.servers.iter().filter(|server| server.is_running())
    }

    /// The servers that are written to now.
    pub fn masters(&self) -> Vec<&RedisServer> {
        self.running()
            .filter(|server| {
                let role = server.try_cli(&["info", "replication"]).unwrap_or_default();
                role.contains("role:master")
            })
            .collect()
    }

    /// The place of the server that holds `key`.
    ///
    /// # Panics
    /// None does.
    pub fn holder_of(&self, key: &str) -> usize {
        let holds = |server: &RedisServer| {
            let role = server.try_cli(&["info", "replication"]).unwrap_or_default();
            role.contains("role:master") && server.try_cli(&["ttl", key]).is_ok()
        };
        let found = self
            .servers
            .iter()
            .position(|server| server.is_running() && holds(server));
        found.unwrap_or_else(|| panic!("no server holds {key}"))
    }

    /// The server at a place.
    pub fn server(&mut self, at: usize) -> &mut RedisServer {
        &mut self.servers[at]
    }

    /// Waits until another server is written to instead of one that failed.
    ///
    /// # Panics
    /// It takes too long.
    pub fn wait_for_successor(&self) {
        wait_until("three servers that are written to", || {
            let masters = self.masters();
            let whole = masters.iter().all(|server| {
                let info = server.try_cli(&["cluster", "info"]).unwrap_or_default();
                info.contains("cluster_state:ok")
            });
            (masters.len() == 3 && whole).then_some(())
        });
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            // One that stands still hears no SIGTERM.
            process.signal(Signal::CONT);
        }
    }
}
