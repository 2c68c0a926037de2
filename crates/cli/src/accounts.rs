//! `sekisho accounts`: a file of `account:hash` lines. A password is read without echo, never taken from the command line.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use sekisho_policy::Account;
use sekisho_proxy::FleetKey;
use sekisho_proxy::accounts_file::{self, Added, Removed};

use crate::Outcome;
use crate::args::Accounts;
use crate::output::{self, visible};

/// Octets of a password; what is longer is a file taken for one.
const LONGEST: u64 = 1024;

pub(crate) fn run(command: &Accounts) -> Result<Outcome> {
    match command {
        Accounts::Add {
            file,
            account,
            password_stdin,
        } => {
            let account = canonical(account)?;
            let password = if *password_stdin {
                from_stdin()?
            } else {
                ask(&account)?
            };
            ensure!(!password.is_empty(), "an empty password is no password");
            match accounts_file::add(file, &account, password.as_bytes())? {
                Added::New => output::print(&format!("{account} added to {}\n", file.display()))?,
                Added::Replaced => output::print(&format!(
                    "{account} has a new password in {}\n",
                    file.display()
                ))?,
            }
        }
        Accounts::List { file } => {
            let names: String = accounts_file::list(file)?
                .iter()
                .map(|name| format!("{}\n", visible(name.as_str())))
                .collect();
            output::print(&names)?;
        }
        Accounts::Hash { key, file, account } => hash(key, file.as_deref(), account)?,
        Accounts::Remove { file, account } => {
            let account = canonical(account)?;
            if accounts_file::remove(file, &account)? == Removed::NotThere {
                bail!("{} has no account {account}", file.display());
            }
            output::print(&format!("{account} removed from {}\n", file.display()))?;
        }
    }
    Ok(Outcome::Done)
}

/// Where a report brings a field X-Sekisho-Account: the accounts that it may be about, each with its own.
fn hash(key: &Path, file: Option<&Path>, accounts: &[String]) -> Result<()> {
    let key = FleetKey::read(key).with_context(|| key.display().to_string())?;
    let mut named = match file {
        Some(file) => accounts_file::list(file)?,
        None => Vec::new(),
    };
    for account in accounts {
        named.push(canonical(account)?);
    }
    let lines: String = named
        .iter()
        .map(|name| format!("{} {}\n", key.account_tag(name), visible(name.as_str())))
        .collect();
    output::print(&lines)
}

/// The account as the file and every rule name it. A file is read with the gateway's default domain, so a name without a
/// domain can stand in it as well.
fn canonical(account: &str) -> Result<Account> {
    let account = Account::canonical(account, None);
    ensure!(!account.as_str().is_empty(), "an account needs a name");
    Ok(account)
}

fn ask(account: &Account) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for the password on; use --password-stdin");
    }
    let password = rpassword::prompt_password(format!("Password for {account}: "))?;
    let again = rpassword::prompt_password("Once more: ")?;
    ensure!(password == again, "the two passwords differ");
    Ok(password)
}

/// The first line of standard input.
fn from_stdin() -> Result<String> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST + 1)
        .read_line(&mut line)?;
    ensure!(
        line.len() as u64 <= LONGEST,
        "a password of more than {LONGEST} octets is taken for a mistake"
    );
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
