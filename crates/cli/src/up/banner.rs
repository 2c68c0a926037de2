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

    /// A shell command for the first demo account and the first listener with TLS. curl is on almost every machine.
    pub(super) fn first_message(&self) -> Option<String> {
        let account = self.demos.iter().flat_map(|demo| &demo.accounts).next()?;
        let gateways = self.snapshots.iter().map(|snapshot| &snapshot.gateway);
        let listener = gateways
            .flat_map(|gateway| &gateway.listeners)
            .find(|listener| is_for_people(listener))?;
        let scheme = if listener.tls == ListenerTls::Implicit {
            "smtps"
        } else {
            "smtp"
        };
        let address = SocketAddr::new(self.listen, listener.port);
        let (name, user) = (
            &account.name,
            quoted(&format!("{}:{}", account.name, account.password)),
        );
        let message = quoted(&format!(
            "From: <{name}>\\r\\nTo: <hanako@example.net>\\r\\nSubject: hello\\r\\n\\r\\nThrough the checkpoint.\\r\\n"
        ));
        Some(format!(
            "printf {message} | curl --silent --show-error --url {scheme}://{address} --ssl-reqd --insecure --user {user} --mail-from {} --mail-rcpt hanako@example.net --upload-file -",
            quoted(name)
        ))
    }
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

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("a@b.example:kumo-no"), "a@b.example:kumo-no");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
