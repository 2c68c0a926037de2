//! Tells the next hop for whom we speak: by XCLIENT, or in a PROXY header.

use sekisho_policy::snapshot::ClientIdentity as Passing;
use sekisho_smtp::proxy_protocol::{self, ProxyHeader};
use sekisho_smtp::{Capabilities, Command};

use super::connection::Connection;
use super::failure::Fault;
use super::handshake::{Attempt, expect_done, line};
use super::wire::Wire;

impl Attempt<'_> {
    /// A PROXY header: of the client, or of a connection that is nobody's.
    pub(super) fn proxy_header(self) -> Vec<u8> {
        if let Some(identity) = self.identity {
            return identity.as_proxy_header();
        }
        let mut octets = Vec::with_capacity(16);
        proxy_protocol::write_v2(&ProxyHeader::Local, &mut octets);
        octets
    }

    /// XCLIENT with what is offered, and the EHLO after it, in the client's name.
    pub(super) async fn introduce(
        self,
        wire: &mut Wire,
        capabilities: &Capabilities,
    ) -> Result<Capabilities, Fault> {
        if !capabilities
            .xclient
            .iter()
            .any(|attribute| attribute == "ADDR")
        {
            return Err(Fault::Identity(
                "it does not offer XCLIENT with ADDR to this proxy's address",
            ));
        }
        let Some(identity) = self.identity else {
            return Err(Fault::Identity("there is no client to speak for"));
        };
        let commands = identity
            .as_xclient()
            .to_commands(&capabilities.xclient)
            .map_err(|_| Fault::Identity("an attribute is too long for XCLIENT"))?;
        for command in commands {
            wire.check_silence()?;
            let reply = wire.ask(&command, self.until()).await?;
            match reply.code() {
                220 => {}
                421 => return Err(Fault::Unwilling(reply)),
                _ => return Err(Fault::IdentityRefused(reply)),
            }
        }
        let name = identity.helo.as_ref().unwrap_or(&self.lane.key.helo);
        self.hello(wire, name).await
    }

    /// Makes a connection that served another client ready for this one.
    ///
    /// # Errors
    /// The connection is of no use any more; a new one may be.
    pub(super) async fn introduce_again(self, connection: &mut Connection) -> Result<(), Fault> {
        if self.lane.key.passing != Passing::Xclient {
            return Ok(());
        }
        if std::mem::take(&mut connection.unfinished) {
            expect_done(
                connection
                    .wire
                    .ask(&line(&Command::Rset)?, self.until())
                    .await?,
            )?;
        }
        connection.capabilities = self
            .introduce(&mut connection.wire, &connection.capabilities)
            .await?;
        Ok(())
    }
}
