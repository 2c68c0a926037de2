//! The field that tells the next hop what came of a message.

use sekisho_policy::DecisionId;
use sekisho_policy::decision::Class;

/// The field's name. What a client wrote under it is removed, as is all that begins with `X-Sekisho-`.
const NAME: &str = "X-Sekisho-Verdict";

/// The field with its CRLF. The pool is left out for the gateway's own upstream.
pub(super) fn field(class: Class, pool: Option<&str>, id: DecisionId) -> String {
    let class = match class {
        Class::Unclassified => "unclassified",
        Class::Clean => "clean",
        Class::Suspect => "suspect",
        Class::Spam => "spam",
    };
    let pool = pool.map_or_else(String::new, |pool| format!("pool={pool}; "));
    format!("{NAME}: class={class}; {pool}id={id}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_has_no_pool() {
        let id: DecisionId = "7Q2M-X4K9-0B3T".parse().unwrap();
        assert_eq!(
            field(Class::Spam, Some("spam-pool"), id),
            "X-Sekisho-Verdict: class=spam; pool=spam-pool; id=7Q2M-X4K9-0B3T\r\n"
        );
        assert_eq!(
            field(Class::Unclassified, None, id),
            "X-Sekisho-Verdict: class=unclassified; id=7Q2M-X4K9-0B3T\r\n"
        );
    }
}
