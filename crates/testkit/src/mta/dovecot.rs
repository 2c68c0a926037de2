//! Dovecot's submission service: it takes mail from those who have logged in, and asks another server about each step.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::{MtaSetup, Place};
use crate::component::{require, skip};

const SERVICE: &str = "/usr/lib/dovecot/submission-login";
/// `nobody`, who owns the (empty) mailbox that every session opens.
const OWNER: u32 = 65_534;

pub(super) fn configure(place: &Place, setup: &MtaSetup) -> Option<Command> {
    let program = require("dovecot")?;
    if !Path::new(SERVICE).exists() {
        skip("dovecot-submissiond is not installed (`make setup` installs it)");
        return None;
    }
    chown(place.make_folder("home"), Some(OWNER), Some(OWNER)).unwrap();
    let (user, password) = &setup.login;
    place.write("users", &format!("{user}:{{PLAIN}}{password}\n"));
    place.write("dovecot.conf", &configuration(place, setup));
    let mut command = Command::new(program);
    command.arg("-F").arg("-c").arg(place.path("dovecot.conf"));
    Some(command)
}

fn configuration(place: &Place, setup: &MtaSetup) -> String {
    let relay_to = setup.relay_to;
    format!(
        "base_dir = {root}/run
state_dir = {root}/state
log_path = /dev/stderr
protocols = submission
hostname = dovecot.test
ssl = yes
ssl_cert = <{root}/certificate.pem
ssl_key = <{root}/key.pem
auth_mechanisms = plain login
login_trusted_networks = 127.0.0.0/8
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {root}/users
}}
userdb {{
  driver = static
  args = uid={OWNER} gid={OWNER} home={root}/home
}}
submission_relay_host = {relay_address}
submission_relay_port = {relay_port}
submission_relay_ssl = no
service submission-login {{
  inet_listener submission {{
    address = {address}
    port = {port}
  }}
}}
",
        root = place.root().display(),
        relay_address = relay_to.ip(),
        relay_port = relay_to.port(),
        address = place.port.address().ip(),
        port = place.port.number(),
    )
}
