//! A next hop that does what the script says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;

use super::ends::End;

const PATIENCE: Duration = Duration::from_secs(5);

/// Next hops by name.
#[derive(Debug, Default)]
pub(super) struct Hops(BTreeMap<String, Hop>);

#[derive(Debug)]
struct Hop {
    listener: TcpListener,
    current: Option<End>,
}

impl Hops {
    pub(super) async fn open(&mut self, name: &str) -> Result<(), String> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|error| error.to_string())?;
        self.0.insert(
            name.to_owned(),
            Hop {
                listener,
                current: None,
            },
        );
        Ok(())
    }

    pub(super) fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.0
            .iter()
            .filter_map(|(name, hop)| Some((name.clone(), hop.listener.local_addr().ok()?)))
            .collect()
    }

    /// Takes a connection and greets: `U+` alone only takes it, `U+ KEYWORD...` also answers EHLO with these.
    pub(super) async fn accept(&mut self, name: &str, keywords: &[String]) -> Result<(), String> {
        let hop = self.hop(name)?;
        let accepted = timeout(PATIENCE, hop.listener.accept()).await;
        let (stream, _) = accepted
            .map_err(|_| "nobody connected")?
            .map_err(|error| error.to_string())?;
        let end = hop.current.insert(End::new(stream));
        if keywords.is_empty() {
            return Ok(());
        }
        end.send(b"220 next.example ESMTP\r\n").await?;
        end.expect("EHLO *").await?;
        let mut lines = vec!["next.example".to_owned()];
        lines.extend(
            keywords
                .iter()
                .filter(|keyword| *keyword != "-")
                .map(|keyword| match keyword.strip_prefix("LIMITS=") {
                    Some(limits) => format!("LIMITS {limits}"),
                    None => keyword.replace('=', " "),
                }),
        );
        let last = lines.len() - 1;
        for (index, line) in lines.iter().enumerate() {
            let separator = if index == last { ' ' } else { '-' };
            end.send(format!("250{separator}{line}\r\n").as_bytes())
                .await?;
        }
        Ok(())
    }

    pub(super) fn current(&mut self, name: &str) -> Result<&mut End, String> {
        self.hop(name)?
            .current
            .as_mut()
            .ok_or_else(|| format!("{name} has no connection"))
    }

    /// The proxy closes the connection; from then on nothing is looked for on it.
    pub(super) async fn expect_closed(&mut self, name: &str) -> Result<(), String> {
        self.current(name)?.expect_closed().await?;
        self.hop(name)?.current = None;
        Ok(())
    }

    /// Nothing came that was not looked at, on no connection.
    pub(super) async fn is_idle(&mut self, name: &str) -> Result<bool, String> {
        let hop = self.hop(name)?;
        let connects = timeout(Duration::from_millis(1), hop.listener.accept())
            .await
            .is_ok();
        let idle = match &mut hop.current {
            Some(end) => end.is_idle().await,
            None => true,
        };
        Ok(idle && !connects)
    }

    fn hop(&mut self, name: &str) -> Result<&mut Hop, String> {
        self.0
            .get_mut(name)
            .ok_or_else(|| format!("there is no next hop {name}; @hop {name} opens one"))
    }
}
