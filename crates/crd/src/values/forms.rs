//! The forms that texts can have: the patterns of the schemas, and each in words for people.

pub(crate) const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
pub(crate) const COUNTRY: &str = r"^[A-Z]{2}$";
pub(crate) const ACCOUNT_GLOB: &str = r"^[^\s]+$";
pub(crate) const ACCOUNT: &str = r"^[^\s*?]+$";
pub(crate) const ALIAS: &str = r"^(\*|[^\s*@]+)@[^\s*@]+$";
pub(crate) const DOMAIN: &str =
    r"^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$";
pub(crate) const REVERSE: &str =
    r"^\.?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$";
pub(crate) const DURATION: &str = r"^([0-9]{1,4}h)?([0-9]{1,6}m)?([0-9]{1,8}s)?$";
pub(crate) const BYTE_SIZE: &str = r"^[1-9][0-9]{0,9}([kMG]|[KMG]i)?$";
pub(crate) const HOST_PORT: &str =
    r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9])?):[1-9][0-9]{0,4}$";
pub(crate) const SERVICE_ADDRESS: &str = r"^(unix:/[^\s:]{1,106}|\[[0-9a-fA-F:.]+\]:[1-9][0-9]{0,4}|[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9])?:[1-9][0-9]{0,4})$";
pub(crate) const SECRET_NAME: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
pub(crate) const EXTENSION: &str = r"^[a-z0-9_-]+$";
pub(crate) const ENGINE_URL: &str = r"^(http|tcp)://[^\s/@]+:[0-9]{1,5}/?$";
pub(crate) const TOKEN_URL: &str =
    r"^https://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/[!-~]*$";
pub(crate) const SCOPE: &str = r"^[!-~]+( [!-~]+)*$";
pub(crate) const WEB_URL: &str = r"^https?://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[1-9][0-9]{0,4})?(/[!$-~]*)?$";
pub(crate) const VISIBLE: &str = r"^[!-~]+$";
pub(crate) const TOKEN: &str = r"^[-!#$%&'*+.^_`|~0-9A-Za-z]+$";
pub(crate) const HEADER_NAME: &str = r"^[!-9;-~]+$";
pub(crate) const HEADER_VALUE: &str = r"^[\t -~]*$";
pub(crate) const CPU: &str = r"^[1-9][0-9]{0,6}m?$";
pub(crate) const LABEL_VALUE: &str = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
pub(crate) const QUALIFIED: &str =
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";

const FORMS: [(&str, &str); 24] = [
    (NAME, "small letters, digits and hyphens, like clean-pool"),
    (COUNTRY, "two capital letters of ISO 3166-1, like JP"),
    (
        ACCOUNT_GLOB,
        "an account without spaces; * stands for any text: *@shop.example.jp",
    ),
    (
        ACCOUNT,
        "one account's name without spaces and without * or ?, like info@example.jp",
    ),
    (
        ALIAS,
        "an address like info@example.jp, or *@shop.example.jp for all of a domain",
    ),
    (
        DOMAIN,
        "a DNS name, like example.jp; write other scripts in their xn-- form",
    ),
    (REVERSE, "the end of a DNS name, like .google.com"),
    (
        DURATION,
        "hours, minutes and seconds in that order, like 24h, 1h30m or 45s",
    ),
    (
        BYTE_SIZE,
        "bytes, or a whole number with k, M, G, Ki, Mi or Gi, like 25Mi",
    ),
    (
        HOST_PORT,
        "host:port, like postfix.mail:25 or [2001:db8::1]:25",
    ),
    (
        SERVICE_ADDRESS,
        "unix: and an absolute path, like unix:/run/dovecot/auth-client, or host:port",
    ),
    (
        SECRET_NAME,
        "the name of a Secret: small letters, digits, hyphens and dots",
    ),
    (
        EXTENSION,
        "the ending of a file name in small letters without the dot, like exe",
    ),
    (ENGINE_URL, "http://host:port or tcp://host:port"),
    (
        TOKEN_URL,
        "https://host/path, with a port where it is not 443",
    ),
    (SCOPE, "words with one space between them"),
    (
        WEB_URL,
        "https://host/path or http://host/path, with a port where it is not 443 or 80",
    ),
    (VISIBLE, "printable ASCII without spaces"),
    (TOKEN, "the name of a field of HTTP, like X-Auth-Key"),
    (HEADER_NAME, "the name of a header field, like Subject"),
    (HEADER_VALUE, "printable ASCII on one line"),
    (CPU, "whole CPUs, like 2, or thousandths, like 250m"),
    (
        LABEL_VALUE,
        "the value of a label: letters, digits, hyphens, dots and underscores",
    ),
    (QUALIFIED, "the key of a label, like app or example.jp/team"),
];

/// What a pattern of a schema asks for, in words.
pub fn form_of(pattern: &str) -> Option<&'static str> {
    FORMS
        .iter()
        .find(|(known, _)| *known == pattern)
        .map(|(_, form)| *form)
}
