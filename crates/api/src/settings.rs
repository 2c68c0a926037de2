//! What an account has set: `GET`, `PUT`, `PATCH` and `DELETE /v1/accounts/{account}/settings`, and `GET .../settings/history`. Who
//! changes it, whose choice it is and why are asked for, and kept. A web page elsewhere cannot make a browser send what changes
//! something, since JSON and these methods are asked for permission first.

use std::fmt;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sekisho_policy::settings::{AskedSettings, BadSettings};
use sekisho_policy::{Account, AccountSettings, Timestamp};
use sekisho_store::{
    Changed, Chooser, MOST_ACCOUNTS, MOST_ENTRIES, SettingsEntry, SettingsPatch, SettingsStore,
    StoredSettings,
};
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::asked::{Whose, bad_json, bad_query, mandate, states, unavailable};
use crate::problem::Problem;
use crate::state::App;
use crate::unheeded;

/// Which namespace's account is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    namespace: Option<String>,
    limit: Option<u32>,
}

/// What an account has set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    namespace: String,
    account: Account,
    settings: AccountSettings,
    /// The names of those that the account chose itself.
    own_choices: Vec<&'static str>,
    /// The revision of the namespace's settings that these came with; absent where nothing is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// What of it no rule goes by now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Shown {
    fn of(app: &App, whose: Whose, stored: Option<StoredSettings>) -> Self {
        let Whose { namespace, account } = whose;
        let limits = stored.iter().flat_map(|stored| &stored.settings.limits);
        Self {
            warnings: unheeded::warnings(&app.configs, &namespace, limits),
            namespace,
            account,
            own_choices: stored
                .as_ref()
                .map_or_else(Vec::new, |stored| stored.own.names()),
            revision: stored.as_ref().map(|stored| stored.revision),
            settings: stored.map_or_else(AccountSettings::default, |stored| stored.settings),
        }
    }
}

pub(crate) async fn show(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Shown>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let stored = store(&app)?
        .settings(&whose.namespace, &whose.account)
        .await;
    Ok(Json(Shown::of(&app, whose, stored.map_err(unavailable)?)))
}

/// What somebody wants an account's settings to be.
#[derive(Debug, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    bound = "T: DeserializeOwned"
)]
pub(crate) struct Wanted<T> {
    #[serde(deserialize_with = "object")]
    settings: T,
    /// Whose choice it is: `Operator` if absent.
    #[serde(default)]
    chosen_by: Chooser,
    who: String,
    why: String,
}

/// Sets all, and takes back what is not said.
pub(crate) async fn replace(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    wanted: Result<Json<Wanted<AskedSettings>>, JsonRejection>,
) -> Result<Json<Shown>, Problem> {
    let Json(wanted) = wanted.map_err(bad_json)?;
    let settings = AccountSettings::from(wanted.settings).checked();
    let patch = SettingsPatch::whole(settings.map_err(bad_settings)?);
    let wanted = Wanted {
        settings: patch,
        chosen_by: wanted.chosen_by,
        who: wanted.who,
        why: wanted.why,
    };
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    apply(&app, whose, wanted).await.map(Json)
}

/// Sets what is said, and takes back what is null.
pub(crate) async fn change(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    wanted: Result<Json<Wanted<SettingsPatch>>, JsonRejection>,
) -> Result<Json<Shown>, Problem> {
    let Json(wanted) = wanted.map_err(bad_json)?;
    let settings = wanted.settings.checked().map_err(bad_settings)?;
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let wanted = Wanted { settings, ..wanted };
    apply(&app, whose, wanted).await.map(Json)
}

/// Who resets settings, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    namespace: Option<String>,
    who: Option<String>,
    why: Option<String>,
}

/// Takes all back.
pub(crate) async fn reset(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Reset>, QueryRejection>,
) -> Result<Json<Shown>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let wanted = Wanted {
        settings: SettingsPatch::whole(AccountSettings::default()),
        chosen_by: Chooser::Operator,
        who: asked.who.unwrap_or_default(),
        why: asked.why.unwrap_or_default(),
    };
    apply(&app, whose, wanted).await.map(Json)
}

async fn apply(app: &App, whose: Whose, wanted: Wanted<SettingsPatch>) -> Result<Shown, Problem> {
    let mandate = mandate(app, &wanted.who, &wanted.why)?;
    let store = store(app)?;
    let (namespace, account) = (&whose.namespace, &whose.account);
    let changing = store.change(
        namespace,
        account,
        &wanted.settings,
        wanted.chosen_by,
        &mandate,
    );
    let stored = match changing.await.map_err(unavailable)? {
        Changed::Full => return Err(full(namespace)),
        Changed::Unchanged(stored) => return Ok(Shown::of(app, whose, Some(stored))),
        Changed::Nothing => return Ok(Shown::of(app, whose, None)),
        Changed::Now(stored) => Some(stored),
        Changed::Reset => None,
    };
    tracing::info!(%account, namespace, who = mandate.who, "the settings of an account were changed");
    Ok(Shown::of(app, whose, stored))
}

fn full(namespace: &str) -> Problem {
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        format!(
            "{MOST_ACCOUNTS} accounts of the namespace {namespace} have settings, which is the most: reset those that are not needed"
        ),
    )
}

/// Who set what, the newest first.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    history: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    at: Timestamp,
    who: String,
    why: String,
    /// The change of many that it was part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<u64>,
    settings: AccountSettings,
}

pub(crate) async fn history(
    State(app): State<App>,
    Path(account): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<History>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let whose = Whose::read(&account, asked.namespace)?;
    let limit = asked.limit.unwrap_or(MOST_ENTRIES);
    let found = store(&app)?
        .history(&whose.namespace, &whose.account, limit)
        .await;
    let history = found.map_err(unavailable)?.into_iter().map(line);
    Ok(Json(History {
        history: history.collect(),
    }))
}

fn line(entry: SettingsEntry) -> Line {
    Line {
        at: entry.mandate.at,
        who: entry.mandate.who,
        why: entry.mandate.why,
        job: entry.job,
        settings: entry.settings,
    }
}

/// An object with names, and no list of values in some order.
pub(crate) fn object<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let fields = from.deserialize_map(Fields)?;
    serde_json::from_value(Value::Object(fields)).map_err(D::Error::custom)
}

/// Fields each of which comes once: of two words nobody can say which was meant.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = serde_json::Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = serde_json::Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            fields.insert(name, value);
        }
        Ok(fields)
    }
}

pub(crate) fn store(app: &App) -> Result<&SettingsStore, Problem> {
    states(app).map(sekisho_store::AccountStates::settings)
}

pub(crate) fn bad_settings(error: BadSettings) -> Problem {
    Problem::bad_request(error.to_string())
}
