//! The list of accounts that `import` takes: each line is looked at before any is sent.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use sekisho_api::wrong_in_line;
use sekisho_policy::Account;
use sekisho_store::SettingsPatch;
use serde::{Deserialize, Serialize};

/// The most octets of a file: some ten million accounts.
const LARGEST: u64 = 1 << 30;

/// One line as it is sent, and as it may be written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    account: String,
    settings: SettingsPatch,
}

pub(super) fn read(file: &Path) -> Result<String> {
    let at = || file.display().to_string();
    let mut text = String::new();
    let octets = if file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .take(LARGEST + 1)
            .read_to_string(&mut text)
    } else {
        let file = std::fs::File::open(file).with_context(at)?;
        file.take(LARGEST + 1).read_to_string(&mut text)
    };
    let octets = octets.with_context(at)?;
    ensure!(
        octets as u64 <= LARGEST,
        "{} has more than {LARGEST} octets: send it in parts",
        at()
    );
    Ok(text)
}

/// The lines to be sent. Each is looked at before anything is, so that a mistake changes nothing.
pub(super) fn lines(text: &str, wanted: &SettingsPatch) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let line = line(text, wanted).with_context(|| format!("line {number}"))?;
        lines.push(format!("{}\n", serde_json::to_string(&line)?));
    }
    Ok(lines)
}

fn line(text: &str, wanted: &SettingsPatch) -> Result<Line> {
    let line = if text.trim_start().starts_with('{') {
        let parsed = serde_json::from_str(text);
        let Line { account, settings } =
            parsed.map_err(|error| anyhow!(wrong_in_line(text.as_bytes(), &error)))?;
        let settings = settings.checked()?;
        Line { account, settings }
    } else {
        Line {
            account: text.trim().to_owned(),
            settings: wanted.clone(),
        }
    };
    ensure!(
        !line.settings.is_empty(),
        "it says nothing that is to be set: give --logins-from-abroad, --classification, --limit or --no-limits for accounts that are only named"
    );
    let account = Account::canonical(&line.account, None);
    let name = account.as_str();
    ensure!(
        (1..=512).contains(&name.len())
            && !name.chars().any(|c| c.is_control() || c.is_whitespace()),
        "{:?} is no name of an account",
        line.account.chars().take(60).collect::<String>()
    );
    Ok(Line {
        account: account.to_string(),
        ..line
    })
}

#[cfg(test)]
mod tests {
    use sekisho_policy::settings::LoginsFromAbroad;

    use super::*;

    fn refuse() -> SettingsPatch {
        SettingsPatch {
            logins_from_abroad: Some(Some(LoginsFromAbroad::Refuse)),
            ..SettingsPatch::default()
        }
    }

    #[test]
    fn names_get_what_the_options_say_and_json_speaks_for_itself() {
        let text = "Taro@Example.jp\n\n {\"account\":\"hanako\",\"settings\":{\"loginsFromAbroad\":null}}\r\n";
        assert_eq!(
            lines(text, &refuse()).unwrap(),
            [
                "{\"account\":\"taro@example.jp\",\"settings\":{\"loginsFromAbroad\":\"Refuse\"}}\n",
                "{\"account\":\"hanako\",\"settings\":{\"loginsFromAbroad\":null}}\n"
            ]
        );
    }

    #[test]
    fn the_line_of_a_mistake_is_named() {
        for (bad, words) in [
            ("taro hanako", "\"taro hanako\" is no name"),
            (
                "  {\"account\":\"a\"}",
                "missing field `settings` at column 17",
            ),
            (
                "{\"account\":\"a\",\"settings\":{\"limits\":[{}]}}",
                "missing field",
            ),
            (
                "{\"account\":\"\",\"settings\":{\"limits\":null}}",
                "\"\" is no name",
            ),
        ] {
            let error = lines(&format!("a\n{bad}\n"), &refuse()).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.starts_with("line 2: ") && error.contains(words),
                "{error}"
            );
            assert!(!error.contains("at line"), "another place: {error}");
        }
        let error = lines("taro\n", &SettingsPatch::default()).unwrap_err();
        assert!(
            format!("{error:#}").contains("--logins-from-abroad"),
            "{error:#}"
        );
    }
}
