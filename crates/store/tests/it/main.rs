//! One contract suite for every database, and what is special to SQLite's file.

mod contract;
mod sample;
mod sqlite;

contract::suite!(in_sqlite, crate::sqlite::open_in);
