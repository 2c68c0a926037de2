//! docs/interop.md: one row for each program, as the tests found it.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use super::{clients, fronts, hops};

/// A table of the page.
pub(super) struct Table {
    pub(super) heading: &'static str,
    pub(super) intro: &'static str,
    /// The first is the program, the second its version, the last the notes.
    pub(super) columns: &'static [&'static str],
}

/// Rows are written one after another by tests that run side by side.
static WRITING: Mutex<()> = Mutex::new(());

const INTRO: &str = "# What Sekisho works with

Tried with the real programs, in the versions of Debian 12 and current libraries. This page is written by the tests themselves
(`UPDATE_EXPECTED=1 cargo test -p sekisho-cli --test e2e interop`), and a test fails where a row is no longer true; versions
alone may differ. Every row holds for both kinds of listener, STARTTLS (port 587) and TLS from the first octet (port 465).
";

const OUTRO: &str = "
## Mail programs with a window

These are not run by the tests. What they are documented or known to say on the wire is played as conversations, in
`tests/dialogues/`: `client-thunderbird.smtp`, `client-outlook.smtp`, `client-outlook-password.smtp`, `client-apple-mail.smtp`, and
`client-dotnet.smtp` for .NET's SmtpClient.
";

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/interop.md")
}

fn updating() -> bool {
    std::env::var_os("UPDATE_EXPECTED").is_some()
}

/// Puts a row into its table, or fails if another one is there. `cells` are those after the program and its version.
pub(super) fn row(table: &Table, name: &str, version: &str, cells: &[String]) {
    assert_eq!(
        cells.len() + 2,
        table.columns.len(),
        "{name}: a cell for each column"
    );
    let _writing = WRITING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut new = vec![name.to_owned(), version.to_owned()];
    new.extend(cells.iter().map(|cell| cell.replace('|', "\\|")));
    let page = fs::read_to_string(path()).unwrap_or_default();
    let old = find(&page, table, name);
    if old.as_ref().is_some_and(|old| old[2..] == new[2..]) {
        return;
    }
    assert!(
        updating(),
        "docs/interop.md says of {name}\n  {old:?}\nand it is\n  {new:?}\n(UPDATE_EXPECTED=1 writes it)"
    );
    fs::write(path(), render(&page, Some((table, name, new)))).unwrap();
}

/// What stands around the rows is as it is here.
pub(super) fn check_frame() {
    let _writing = WRITING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let page = fs::read_to_string(path()).unwrap_or_default();
    let rendered = render(&page, None);
    if updating() {
        fs::write(path(), rendered).unwrap();
    } else {
        assert_eq!(
            page, rendered,
            "docs/interop.md (UPDATE_EXPECTED=1 writes it)"
        );
    }
}

/// The page with the rows that it has, one of them anew, in the order of the tables.
fn render(page: &str, new: Option<(&Table, &str, Vec<String>)>) -> String {
    let tables = [
        (&clients::TABLE, clients::names()),
        (&hops::TABLE, hops::names()),
        (&fronts::TABLE, fronts::names()),
    ];
    let mut text = INTRO.to_owned();
    for (table, names) in tables {
        let dashes = vec!["---"; table.columns.len()];
        text += &format!("\n## {}\n\n{}\n\n", table.heading, table.intro.trim());
        text += &format!(
            "| {} |\n|{}|\n",
            table.columns.join(" | "),
            dashes.join("|")
        );
        for name in names {
            let cells = match &new {
                Some((into, of, cells)) if into.heading == table.heading && *of == name => {
                    Some(cells.clone())
                }
                _ => find(page, table, name),
            };
            if let Some(cells) = cells {
                text += &format!("| {} |\n", cells.join(" | "));
            }
        }
    }
    text + OUTRO
}

fn find(page: &str, table: &Table, name: &str) -> Option<Vec<String>> {
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(table.heading))?;
    let row = section
        .lines()
        .find_map(|line| line.strip_prefix(&format!("| {name} | ")))?
        .strip_suffix(" |")?;
    let cells: Vec<String> = std::iter::once(name)
        .chain(row.split(" | "))
        .map(str::to_owned)
        .collect();
    (cells.len() == table.columns.len()).then_some(cells)
}
