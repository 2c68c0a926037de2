//! Exim as Debian builds it.

use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

use super::private::{self, User};
use super::{MtaSetup, Place};
use crate::component::unpacked;

/// The user that Debian's Exim is built for.
const USER: User = User {
    name: "Debian-exim",
    id: 61_001,
};

pub(super) fn configure(place: &Place, setup: &MtaSetup) -> Option<Command> {
    let program = unpacked("exim4-daemon-light", "usr/sbin/exim4")?;
    // It starts itself anew for each delivery, as its own user, who may not read everybody's cache.
    let own = place.path("exim");
    fs::copy(program, &own).unwrap();
    for folder in ["spool", "log"] {
        chown(place.make_folder(folder), Some(USER.id), Some(USER.id)).unwrap();
    }
    chown(place.path("key.pem"), Some(USER.id), None).unwrap();
    place.write("exim.conf", &configuration(place, setup));
    let mut command = private::command(place, &[USER], &[], &own)?;
    // In the foreground, as a daemon.
    command.arg("-C").arg(place.path("exim.conf")).arg("-bdf");
    Some(command)
}

/// The defaults where they are about SMTP, but for the tenth message of a connection, after which it would only queue;
/// one way out for all mail.
fn configuration(place: &Place, setup: &MtaSetup) -> String {
    let MtaSetup {
        relay_to,
        login: (user, password),
        refused,
    } = setup;
    format!(
        "exim_path = {root}/exim
spool_directory = {root}/spool
log_file_path = {root}/log/%slog
primary_hostname = exim.test
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege
never_users =
keep_environment =
local_interfaces = {address}
daemon_smtp_ports = {port}
message_size_limit = 50M
smtp_accept_queue_per_connection = 0
tls_advertise_hosts = *
tls_certificate = {root}/certificate.pem
tls_privatekey = {root}/key.pem
dsn_advertise_hosts = *
acl_smtp_rcpt = recipient
acl_smtp_data = message
begin acl
recipient:
  deny recipients = {refused}
       message = Exim knows nobody of that name
  accept
message:
  accept
begin routers
all:
  driver = manualroute
  transport = onward
  route_list = * {relay_address}
  self = send
begin transports
onward:
  driver = smtp
  port = {relay_port}
  allow_localhost
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
  server_advertise_condition = ${{if def:tls_in_cipher}}
",
        root = place.root().display(),
        address = place.port.address().ip(),
        port = place.port.number(),
        relay_address = relay_to.ip(),
        relay_port = relay_to.port(),
    )
}
