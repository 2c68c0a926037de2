//! Which programs work with Sekisho: mail programs and libraries in front, mail servers behind, proxies before it. Each test
//! tries one program, and what came of it is its row of docs/interop.md, which the tests write (`UPDATE_EXPECTED=1`) or compare.
//!
//! To add a program, add a row: to `clients::CLIENTS`, `hops::HOPS` or `fronts`, and its test below.

mod clients;
mod envelopes;
mod fronts;
mod hops;
mod judge;
mod lettre;
mod messages;
mod page;
mod programs;

/// One test for each row, so that they run side by side and each can be run alone.
macro_rules! rows {
    ($run:path: $($test:ident => $name:literal),+ $(,)?) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            $run($name).await;
        }
    )+ };
}

rows!(clients::try_one:
    swaks => "swaks",
    curl => "curl",
    msmtp => "msmtp",
    smtplib => "Python smtplib",
    nodemailer => "nodemailer",
    lettre_crate => "lettre",
    net_smtp => "Go net/smtp",
);

rows!(hops::try_one:
    postfix => "Postfix",
    exim => "Exim",
    opensmtpd => "OpenSMTPD",
    dovecot => "Dovecot submission",
);

rows!(fronts::try_one:
    nginx => "nginx mail proxy",
    haproxy => "HAProxy",
);

#[test]
fn the_page_has_these_rows_and_no_others() {
    page::check_frame();
}
