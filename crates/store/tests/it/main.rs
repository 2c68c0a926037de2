//! One contract suite for every database, and what is special to SQLite's file.

mod contract;
mod sample;
mod sqlite;
mod states;

contract::suite!(in_sqlite, crate::sqlite::open_in);
states::suite!(accounts_in_sqlite, crate::states::in_a_file);
