//! OpenSMTPD as Debian builds it: 6.8, whose TLS does not work with the OpenSSL 3 of the same Debian (its issue 1171). It
//! offers STARTTLS all the same. AUTH, which it offers under TLS alone, is therefore out of reach.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::private::{self, User};
use super::{MtaSetup, Place};
use crate::component::unpacked;

const USERS: [User; 2] = [
    User {
        name: "opensmtpd",
        id: 61_002,
    },
    User {
        name: "opensmtpq",
        id: 61_003,
    },
];

pub(super) fn configure(place: &Place, setup: &MtaSetup) -> Option<Command> {
    let program = unpacked("opensmtpd", "usr/sbin/smtpd")?;
    // What is compiled in: its queue, its socket, and the empty folder that it locks itself into.
    place.make_folder("lib/opensmtpd/empty");
    let spool = place.make_folder("spool/smtpd");
    fs::set_permissions(spool, fs::Permissions::from_mode(0o711)).unwrap();
    let mounts = [
        ("/var/lib", place.path("lib")),
        ("/var/spool", place.path("spool")),
        ("/run", place.make_folder("run")),
    ];
    place.write("smtpd.conf", &configuration(place, setup));
    let mut command = private::command(place, &USERS, &mounts, &program)?;
    command.arg("-d").arg("-f").arg(place.path("smtpd.conf"));
    Some(command)
}

fn configuration(place: &Place, setup: &MtaSetup) -> String {
    let MtaSetup {
        relay_to,
        login: _,
        refused,
    } = setup;
    format!(
        "pki hop.test cert \"{root}/certificate.pem\"
pki hop.test key \"{root}/key.pem\"
table refused {{ \"{refused}\" }}
listen on {address} port {port} hostname opensmtpd.test tls pki hop.test
action \"onward\" relay host \"smtp://{relay_to}\"
match from any for rcpt-to <refused> reject
match from any for any action \"onward\"
",
        root = place.root().display(),
        address = place.port.address().ip(),
        port = place.port.number(),
    )
}
