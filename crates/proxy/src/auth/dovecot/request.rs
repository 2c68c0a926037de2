//! What we say to Dovecot. Names and secrets travel in base64 alone, so that nothing of a client's can end a field or a line.

use sekisho_policy::event::Tls;
use sekisho_smtp::sasl::Secret;

use super::Client;

/// Octets of a line that Dovecot takes (`AUTH_CLIENT_MAX_LINE_LENGTH`).
pub(super) const MAX_REQUEST: usize = 8192;

/// What we say first. `process` is random: Dovecot wants each client to have another.
pub(super) fn greeting(process: u32) -> String {
    format!("VERSION\t1\t1\nCPID\t{process}\n")
}

/// `nologin`: nobody will ask for the result in the name of a login process, so it is not kept. The response comes last, as the
/// protocol wants it.
pub(super) fn auth_line(
    id: u32,
    mechanism: &str,
    client: Client,
    response: Option<&Secret>,
) -> Secret {
    let (remote, local) = (client.remote, client.local);
    let secured = match client.channel {
        Tls::On => "\tsecured",
        Tls::Off => "",
    };
    let head = format!(
        "AUTH\t{id}\t{mechanism}\tservice=smtp\tnologin\tlip={}\trip={}\tlport={}\trport={}{secured}",
        local.ip().to_canonical(),
        remote.ip().to_canonical(),
        local.port(),
        remote.port(),
    );
    match response {
        None => Secret::new(format!("{head}\n").into_bytes()),
        Some(response) => {
            Secret::new([head.as_bytes(), b"\tresp=", response.expose(), b"\n"].concat())
        }
    }
}

pub(super) fn continue_line(id: u32, response: &Secret) -> Secret {
    let head = format!("CONT\t{id}\t");
    Secret::new([head.as_bytes(), response.expose(), b"\n"].concat())
}

pub(super) fn cancel_line(id: u32) -> Secret {
    Secret::new(format!("CANCEL\t{id}\n").into_bytes())
}
