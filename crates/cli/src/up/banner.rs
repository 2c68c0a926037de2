//! What is printed at the start: where to connect, the demo accounts, a line to paste, and where the start page is.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use sekisho_compile::files::Demo;
use sekisho_policy::snapshot::{Listener, ListenerTls, Snapshot};

use crate::output::{Ink, Palette, visible};

/// What the banner is about.
pub(super) struct Banner<'a> {
    pub(super) snapshots: Vec<&'a Snapshot>,
    pub(super) listen: IpAddr,
    pub(super) http: SocketAddr,
    pub(super) demos: &'a [Demo],
    pub(super) palette: Palette,
}

impl Banner<'_> {
    pub(super) fn draw(&self) -> String {
        let mut text = String::new();
        for snapshot in &self.snapshots {
            self.heading(&mut text, &snapshot.gateway.object.to_string());
            for listener in &snapshot.gateway.listeners {
                let address = SocketAddr::new(self.listen, listener.port);
                row(
                    &mut text,
                    &listener.name,
                    &format!("{address}  {}", tls(listener.tls)),
                );
            }
        }
        let accounts: Vec<_> = self.demos.iter().flat_map(|demo| &demo.accounts).collect();
        if !accounts.is_empty() {
            self.heading(&mut text, "Demo accounts");
            for account in accounts {
                row(
                    &mut text,
                    &visible(&account.name),
                    &format!("password {}", visible(&account.password)),
                );
            }
        }
        if let Some(command) = self.first_message() {
            self.heading(&mut text, "Send a first message");
            let _ = writeln!(text, "{command}");
        }
        self.heading(&mut text, "Start page");
        let _ = writeln!(text, "  http://{}/\n\nCtrl-C drains and stops.", self.http);
        text
    }

    fn heading(&self, text: &mut String, heading: &str) {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}", self.palette.paint(Ink::Strong, heading));
    }

    /// A shell command for the first demo account and the first listener with TLS, with what this machine has.
    pub(super) fn first_message(&self) -> Option<String> {
        let account = self.demos.iter().flat_map(|demo| &demo.accounts).next()?;
        let gateways = self.snapshots.iter().map(|snapshot| &snapshot.gateway);
        let listener = gateways
            .flat_map(|gateway| &gateway.listeners)
            .find(|listener| is_for_people(listener))?;
        let address = SocketAddr::new(self.listen, listener.port);
        Some(if is_installed("curl") {
            with_curl(&account.name, &account.password, listener.tls, address)
        } else {
            with_python(&account.name, &account.password, listener.tls, address)
        })
    }
}

fn with_curl(name: &str, password: &str, tls: ListenerTls, address: SocketAddr) -> String {
    let scheme = if tls == ListenerTls::Implicit {
        "smtps"
    } else {
        "smtp"
    };
    let message = format!(
        "From: <{name}>\\r\\nTo: <hanako@example.net>\\r\\nSubject: hello\\r\\n\\r\\nThrough the checkpoint.\\r\\n"
    );
    format!(
        "printf {} | curl --silent --show-error --url {scheme}://{address} --ssl-reqd --insecure --user {} --mail-from {} --mail-rcpt hanako@example.net --upload-file -",
        quoted(&message),
        quoted(&format!("{name}:{password}")),
        quoted(name),
    )
}

fn with_python(name: &str, password: &str, tls: ListenerTls, address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    let connect = if tls == ListenerTls::Implicit {
        format!("s=smtplib.SMTP_SSL('{host}',{port},context=c)")
    } else {
        format!("s=smtplib.SMTP('{host}',{port}); s.starttls(context=c)")
    };
    let program = format!(
        "import smtplib,ssl,sys; c=ssl._create_unverified_context(); {connect}; s.login(*sys.argv[1:]); s.sendmail(sys.argv[1],'hanako@example.net','From: <%s>\\r\\nTo: <hanako@example.net>\\r\\nSubject: hello\\r\\n\\r\\nThrough the checkpoint.\\r\\n' % sys.argv[1])"
    );
    format!(
        "python3 -c {} {} {}",
        quoted(&program),
        quoted(name),
        quoted(password)
    )
}

/// Whether a program is on the path.
fn is_installed(program: &str) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "the path of programs is in the environment, and this is the binary"
    )]
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether a mail program can connect and log in without further ado.
fn is_for_people(listener: &Listener) -> bool {
    listener.proxy_from.is_none() && listener.tls != ListenerTls::Off
}

fn row(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<22}  {value}");
}

fn tls(tls: ListenerTls) -> &'static str {
    match tls {
        ListenerTls::StartTls => "STARTTLS",
        ListenerTls::Implicit => "TLS from the first byte",
        ListenerTls::Off => "no TLS",
    }
}

/// One word of a shell command.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password may hold whatever it likes: the shell hands it on as it is.
    #[test]
    fn the_line_without_curl_is_a_program_that_python_reads() {
        let Some(python) = sekisho_testkit::require("python3") else {
            return;
        };
        let address = "127.0.0.1:2587".parse().unwrap();
        for tls in [ListenerTls::StartTls, ListenerTls::Implicit] {
            let line = with_python("a@b.example", "it's $HOME", tls, address);
            let check = line.replacen("python3 -c ", "printf '%s' ", 1);
            let words = std::process::Command::new("sh")
                .arg("-c")
                .arg(check)
                .output()
                .unwrap()
                .stdout;
            let words = String::from_utf8(words).unwrap();
            let program = words
                .strip_suffix("a@b.exampleit's $HOME")
                .unwrap_or_else(|| panic!("{words}"));
            let compiles = format!("compile({program:?}, 'line', 'exec')");
            let output = std::process::Command::new(&python)
                .args(["-c", &compiles])
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("a@b.example:kumo-no"), "a@b.example:kumo-no");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
