//! The user of Redis that docs/limits.md has operators make: what the documentation leaves out, no test that counts as it can do.

use crate::data::documentation;
use crate::redis::RedisServer;

const PAGE: &str = "limits.md";
/// Where the page has a password.
const PLACE: &str = ">PASSWORD";

/// A user who may do what the documentation says, and no more.
#[derive(Clone, Debug)]
pub struct RedisUser {
    pub name: String,
    pub password: String,
    rules: Vec<String>,
}

impl RedisUser {
    /// Who asks a single server.
    ///
    /// # Panics
    /// The page has no such user.
    pub fn documented() -> Self {
        let page = documentation(PAGE);
        let line = page.lines().find(|line| line.starts_with("user "));
        let line = line.expect("a user in docs/limits.md");
        let mut words = line.split_whitespace().skip(1).map(str::to_owned);
        let name = words.next().expect("the user's name");
        let password = "correct-horse".to_owned();
        let mut rules: Vec<String> = words.collect();
        let place = rules.iter_mut().find(|rule| *rule == PLACE);
        *place.expect("the place of a password") = format!(">{password}");
        Self {
            name,
            password,
            rules,
        }
    }

    /// Who asks a Cluster.
    ///
    /// # Panics
    /// The page does not say what more that takes.
    pub fn documented_of_cluster() -> Self {
        let mut user = Self::documented();
        let page = documentation(PAGE);
        let mut lines = page.lines();
        let line = lines.find(|line| line.starts_with("and, in a Cluster, "));
        let line = line.expect("what a Cluster takes, in docs/limits.md");
        let more = line.split('`').filter(|part| part.starts_with('+'));
        let more: Vec<_> = more
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect();
        assert!(!more.is_empty(), "{line}");
        user.rules.extend(more);
        user
    }

    /// The commands it may give, but for those that it has as whole categories.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        let granted = self.rules.iter().filter_map(|rule| rule.strip_prefix('+'));
        granted.filter(|command| !command.starts_with('@'))
    }

    /// The line of a file of users.
    pub fn line(&self) -> String {
        format!("user {} {}", self.name, self.rules.join(" "))
    }
}

impl RedisServer {
    /// Has this user from now on.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn allow(&self, user: &RedisUser) {
        let rules = user.rules.iter().map(String::as_str);
        let words: Vec<_> = ["acl", "setuser", &user.name]
            .into_iter()
            .chain(rules)
            .collect();
        assert_eq!(self.cli(&words), "OK");
    }
}
