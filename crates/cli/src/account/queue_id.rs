//! What a next hop called a message, from its reply to the final dot. The next hop may be anybody's: what it says can end in a
//! shell or as the argument of a program that purges.

/// No queue id is longer.
const LONGEST: usize = 128;

/// The queue id in a reply, if it is written in one of the known ways and could not be taken for something else.
pub(super) fn find(reply: &str) -> Option<&str> {
    let id = postfix(reply)
        .or_else(|| exim(reply))
        .or_else(|| sendmail(reply))?;
    is_safe(id).then_some(id)
}

/// `250 2.0.0 Ok: queued as 4XyZ12345`.
fn postfix(reply: &str) -> Option<&str> {
    let (_, rest) = reply.split_once("queued as ")?;
    rest.split_whitespace().next()
}

/// `250 OK id=1tAbCd-000000001a2-0xYz`.
fn exim(reply: &str) -> Option<&str> {
    let (_, rest) = reply.split_once(" id=")?;
    rest.split_whitespace().next()
}

/// `250 2.0.0 4AKB0Xyz001234 Message accepted for delivery`, as Sendmail and OpenSMTPD say it.
fn sendmail(reply: &str) -> Option<&str> {
    let (before, _) = reply.split_once(" Message accepted for delivery")?;
    before.split_whitespace().next_back()
}

/// `postsuper -d ALL` deletes everything, and what begins with a hyphen is an option.
fn is_safe(id: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    (4..=LONGEST).contains(&id.len())
        && id.bytes().all(plain)
        && !id.starts_with(['-', '.'])
        && !id.eq_ignore_ascii_case("all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_as_mail_servers_write_them() {
        for (reply, id) in [
            ("250 2.0.0 Ok: queued as 4XyZ123kLmz", Some("4XyZ123kLmz")),
            ("250 2.0.0 Ok: queued as 9F0C21A4 [7Q2M]", Some("9F0C21A4")),
            (
                "250 OK id=1tAbCd-000000001a2-0xYz",
                Some("1tAbCd-000000001a2-0xYz"),
            ),
            (
                "250 2.0.0 4AKB0Xyz001234 Message accepted for delivery",
                Some("4AKB0Xyz001234"),
            ),
            (
                "250 2.0.0 6d8d3b9c Message accepted for delivery",
                Some("6d8d3b9c"),
            ),
            ("250 Message received", None),
            ("250 queued as ", None),
            ("", None),
        ] {
            assert_eq!(find(reply), id, "{reply}");
        }
    }

    #[test]
    fn a_next_hop_does_not_have_something_else_purged() {
        for reply in [
            "250 Ok: queued as ALL",
            "250 Ok: queued as all",
            "250 Ok: queued as -rf",
            "250 Ok: queued as ../../etc/passwd",
            "250 Ok: queued as $(reboot)",
            "250 Ok: queued as a;b;c;d",
            "250 Ok: queued as \u{1b}[31mABCDEF",
        ] {
            assert_eq!(find(reply), None, "{reply}");
        }
        let long = format!("250 Ok: queued as {}", "a".repeat(LONGEST + 1));
        assert_eq!(find(&long), None);
    }
}
