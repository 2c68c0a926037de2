//! What is special to PostgreSQL: replicas, schemas of other versions, and a server that goes away.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sekisho_policy::states::Part;
use sekisho_policy::{Account, Level, Millis, Origin, Restriction, Timestamp};
use sekisho_store::{AccountStates, Mandate, StoreError};
use sekisho_testkit::PostgresServer;
use sqlx::{Connection as _, PgConnection};

/// One server for all tests that run at once; each has a database of its own. The last one ends it.
fn server() -> Option<Arc<PostgresServer>> {
    static SERVER: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = server.upgrade() {
        return Some(running);
    }
    let started = Arc::new(PostgresServer::start()?);
    *server = Arc::downgrade(&started);
    Some(started)
}

pub(crate) async fn in_a_database() -> Option<(AccountStates, Arc<PostgresServer>)> {
    let server = server()?;
    let address = database(&server).await;
    Some((AccountStates::in_postgres(&address).unwrap(), server))
}

/// The address of a new database.
async fn database(server: &PostgresServer) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&server.address("postgres"))
        .await
        .unwrap();
    // The name is ours.
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create)
        .execute(&mut connection)
        .await
        .unwrap();
    server.address(&name)
}

async fn run_sql(address: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(address).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

fn suspended() -> (Account, Restriction, Mandate) {
    let at = Timestamp(1_800_000_000_000);
    let restriction = Restriction {
        level: Level::Suspend,
        since: at,
        until: None,
        origin: Origin::Desk,
        why: "a test".into(),
        decision: None,
        recipients_per_hour: None,
        then: None,
    };
    let mandate = Mandate {
        at,
        who: "hanako".into(),
        why: "a test".into(),
    };
    (
        Account::canonical("a@example.jp", None),
        restriction,
        mandate,
    )
}

async fn restrict(states: &AccountStates) -> Result<u64, StoreError> {
    let (account, restriction, mandate) = suspended();
    states
        .restrict("mail", &account, &restriction, &mandate)
        .await
}

#[tokio::test]
async fn replicas_start_together_and_hear_of_one_another() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let replicas: Vec<_> = (0..4)
        .map(|_| AccountStates::in_postgres(&address).unwrap())
        .collect();
    let looks = replicas.iter().map(|replica| {
        let replica = replica.clone();
        tokio::spawn(async move { replica.look().await })
    });
    let looks: Vec<_> = looks.collect();
    for look in looks {
        look.await.unwrap().unwrap();
    }
    let mut changes = replicas[3].changes("mail");
    changes.mark_unchanged();
    let revision = restrict(&replicas[0]).await.unwrap();
    replicas[3].look().await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow(), revision);
    let states = replicas[3].since("mail", 0, Part::First, 10).await.unwrap();
    assert_eq!(states.changes.len(), 1);
    let other = replicas[0].since("mail", 0, Part::First, 10).await.unwrap();
    assert_eq!(states.store, other.store);
}

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_only_expanded() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    AccountStates::in_postgres(&address)
        .unwrap()
        .look()
        .await
        .unwrap();
    run_sql(
        &address,
        "UPDATE sekisho_schema SET version = 7, works_for = 2; ALTER TABLE restrictions ADD COLUMN later TEXT",
    )
    .await;
    restrict(&AccountStates::in_postgres(&address).unwrap())
        .await
        .unwrap();
    run_sql(
        &address,
        "UPDATE sekisho_schema SET version = 8, works_for = 8",
    )
    .await;
    let states = AccountStates::in_postgres(&address).unwrap();
    let error = states.look().await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            StoreError::NewerSchema {
                found: 8,
                known: 5,
                ..
            }
        ),
        "{text}"
    );
    assert!(
        text.contains("use a newer version") && !text.contains("secret"),
        "{text}"
    );
    // Once it is put right, nothing has to be started anew.
    run_sql(
        &address,
        "UPDATE sekisho_schema SET version = 7, works_for = 2",
    )
    .await;
    states.look().await.unwrap();
}

/// As an earlier version left it, with something that stands and something that happened.
#[tokio::test]
async fn tables_of_an_earlier_version_are_brought_to_this_one() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    run_sql(&address, include_str!("../../migrations/0002_accounts.sql")).await;
    run_sql(
        &address,
        "CREATE TABLE sekisho_schema (version BIGINT NOT NULL, works_for BIGINT NOT NULL);
         INSERT INTO sekisho_schema VALUES (1, 1);",
    )
    .await;
    run_sql(&address, crate::states::LEFT_BEHIND).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    crate::states::what_was_left_behind_is_there(&states).await;
}

/// What each statement that makes or changes tables was allowed to take, and each that restricts.
const NOTED: &str = "
    CREATE TABLE noted (what TEXT NOT NULL, statement TEXT NOT NULL, lock TEXT NOT NULL);
    CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted VALUES ('migration', current_setting('statement_timeout'), current_setting('lock_timeout'));
    END $$;
    CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted VALUES ('restriction', current_setting('statement_timeout'), current_setting('lock_timeout'));
        RETURN NEW;
    END $$;
    CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION note();";

/// A trail of years is copied in one statement; nobody is to hear after eight seconds that somebody holds a lock.
#[tokio::test]
async fn a_migration_takes_its_time_and_nothing_else_does() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    run_sql(&address, NOTED).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    states.look().await.unwrap();
    let hear = "DROP EVENT TRIGGER noting;
        CREATE TRIGGER noting AFTER INSERT ON restrictions FOR EACH ROW EXECUTE FUNCTION note_row()";
    run_sql(&address, hear).await;
    restrict(&states).await.unwrap();
    let mut connection = PgConnection::connect(&address).await.unwrap();
    let noted: Vec<(String, String, String)> =
        sqlx::query_as("SELECT DISTINCT what, statement, lock FROM noted ORDER BY what")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let row = |what: &str, statement: &str| -> (String, String, String) {
        (what.into(), statement.into(), "5s".into())
    };
    assert_eq!(noted, [row("migration", "0"), row("restriction", "8s")]);
}

/// Somebody who held the lock was killed, and nothing of what it did is there: the next one does it all.
#[tokio::test]
async fn a_migration_that_broke_off_is_done_by_the_next() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let mut other = PgConnection::connect(&address).await.unwrap();
    let half = "BEGIN; SELECT pg_advisory_xact_lock(1399155561);
        CREATE TABLE sekisho_schema (version BIGINT NOT NULL, works_for BIGINT NOT NULL);
        INSERT INTO sekisho_schema VALUES (0, 0)";
    sqlx::raw_sql(half).execute(&mut other).await.unwrap();
    let states = AccountStates::in_postgres(&address).unwrap();
    let waiting = tokio::spawn(async move { restrict(&states).await });
    // The connection breaks, as that of a killed process does.
    drop(other);
    waiting.await.unwrap().unwrap();
}

/// The replica that takes an imposition need not be the one that tells channels of it.
#[tokio::test]
async fn what_one_replica_posts_another_tells() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let [one, other] = [(); 2].map(|()| AccountStates::in_postgres(&address).unwrap());
    let letter = crate::outbox::letter("mail", "desk", "a");
    crate::outbox::post(&one, "mail", vec![letter.clone()]).await;
    let posted_again = crate::outbox::post(&other, "mail", vec![letter.clone()]).await;
    assert_eq!(posted_again.waiting, 0, "it is there");
    assert_eq!(crate::outbox::due(&other, "mail", "desk").await, [letter]);
    let at = Timestamp(1_800_000_000_000);
    let outbox = other.outbox();
    outbox.finish("a", at, Millis::DAY).await.unwrap();
    assert_eq!(crate::outbox::due(&one, "mail", "desk").await, []);
}

/// Each namespace has its own lock: one that is held keeps no other waiting.
#[tokio::test]
async fn a_namespace_that_is_held_keeps_no_other_waiting() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    restrict(&states).await.unwrap();
    let mut other = PgConnection::connect(&address).await.unwrap();
    let hold = "BEGIN; UPDATE account_namespaces SET revision = revision WHERE namespace = 'mail'";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let held = {
        let states = states.clone();
        tokio::spawn(async move { restrict(&states).await })
    };
    let (account, restriction, mandate) = suspended();
    let elsewhere = states.restrict("other", &account, &restriction, &mandate);
    tokio::time::timeout(Duration::from_secs(3), elsewhere)
        .await
        .unwrap()
        .unwrap();
    assert!(!held.is_finished());
    let held_too = states.since("mail", 0, Part::First, 10).await.unwrap();
    assert_eq!(held_too.changes.len(), 1, "and reading waits for nobody");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_row_that_is_spoilt_hides_no_other() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    crate::states::two_stand(&states).await;
    run_sql(&address, crate::states::SPOIL).await;
    crate::states::what_is_spoilt_gives_way(&states).await;
}

#[tokio::test]
async fn settings_that_are_spoilt_hide_no_others() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    crate::settings::two_are_set(&states).await;
    run_sql(&address, crate::settings::SPOIL).await;
    crate::settings::what_is_spoilt_hides_no_other(&states).await;
}

#[tokio::test]
async fn tables_that_are_not_ours_are_not_touched() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    run_sql(&address, "CREATE TABLE restrictions (something TEXT)").await;
    let error = AccountStates::in_postgres(&address)
        .unwrap()
        .look()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("name an empty database"),
        "{error}"
    );
    // Nothing of the migration stays.
    run_sql(&address, "CREATE TABLE sekisho_schema (empty TEXT)").await;
}

#[tokio::test]
async fn a_read_only_database_says_so() {
    let Some(server) = server() else { return };
    let address = database(&server).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    restrict(&states).await.unwrap();
    let name = address.rsplit('/').next().unwrap();
    let mut connection = PgConnection::connect(&server.address("postgres"))
        .await
        .unwrap();
    let alter = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter))
        .execute(&mut connection)
        .await
        .unwrap();
    let fresh = AccountStates::in_postgres(&address).unwrap();
    let error = restrict(&fresh).await.unwrap_err();
    assert!(error.to_string().contains("name the primary"), "{error}");
    let states = fresh.since("mail", 0, Part::First, 10).await.unwrap();
    assert_eq!(states.changes.len(), 1, "what is there can be read");
}

#[tokio::test]
async fn wrong_addresses_are_named_without_their_password() {
    for bad in [
        "",
        "mysql://a:secret@h/d",
        "postgresql://a:secret@h:notaport/d",
    ] {
        let error = AccountStates::in_postgres(bad).unwrap_err().to_string();
        assert!(
            error.contains("postgresql://user:password@host/name"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
    let nobody = AccountStates::in_postgres("postgresql://a:secret@127.0.0.1:9/d").unwrap();
    let error = nobody.look().await.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1:9/d does not answer") && !error.contains("secret"),
        "{error}"
    );
    assert!(!format!("{nobody:?}").contains("secret"), "{nobody:?}");
    let Some(server) = server() else { return };
    let wrong = server.address("nowhere");
    let error = AccountStates::in_postgres(&wrong)
        .unwrap()
        .look()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("create the database"), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_back_goes_on() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let address = database(&server).await;
    let states = AccountStates::in_postgres(&address).unwrap();
    let before = restrict(&states).await.unwrap();
    server.kill();
    let error = states.look().await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Unreachable { .. } | StoreError::Refused { .. }
        ),
        "{error:?}"
    );
    server.begin();
    for _ in 0..100 {
        if let Ok(whole) = states.since("mail", 0, Part::First, 10).await {
            assert_eq!(whole.revision, before, "what was told is there");
            restrict(&states).await.unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", states.look().await);
}
