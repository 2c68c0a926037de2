//! One contract suite for every database, and what is special to SQLite's file.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod contract;
mod outbox;
mod postgres;
mod sample;
mod settings;
mod sqlite;
mod states;

contract::suite!(in_sqlite, crate::sqlite::open_in);
states::suite!(accounts_in_sqlite, crate::states::in_a_file);
states::suite!(accounts_in_postgres, crate::postgres::in_a_database);
settings::suite!(settings_in_sqlite, crate::states::in_a_file);
settings::suite!(settings_in_postgres, crate::postgres::in_a_database);
outbox::suite!(outbox_in_sqlite, crate::states::in_a_file);
outbox::suite!(outbox_in_postgres, crate::postgres::in_a_database);
