use std::sync::Arc;

use sekisho_policy::errand::{Counts, Failure};
use sekisho_policy::watch::Score;
use sekisho_policy::{Account, Millis};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use super::*;

const OUT: &str = "mail/out";

fn bounced(count: u64) -> Work {
    Work::Bounced {
        account: Account::canonical("taro", None),
        count,
        message: None,
    }
}

fn counted(counted: u64) -> Done {
    Done::Bounced { counted }
}

fn ask(board: &Arc<Board>, gateway: &'static str) -> JoinHandle<Result<Done, Undone>> {
    let board = Arc::clone(board);
    tokio::spawn(async move { board.ask(gateway, bounced(3)).await })
}

/// Lets every task go on until it waits: no time passes before that.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

fn is_empty(board: &Board) -> bool {
    let table = board.lock();
    table.gateways.is_empty() && table.handed.is_empty() && table.open == 0
}

#[tokio::test(start_paused = true)]
async fn an_errand_is_handed_to_one_proxy_once() {
    let board = Arc::new(Board::default());
    let waiting: Vec<_> = ["one", "two"]
        .map(|proxy| {
            let board = Arc::clone(&board);
            tokio::spawn(async move { (proxy, board.next(OUT, proxy).await) })
        })
        .into();
    settle().await;
    let asked = ask(&board, OUT);
    settle().await;
    let (done, waits): (Vec<_>, Vec<_>) = waiting.into_iter().partition(JoinHandle::is_finished);
    assert_eq!((done.len(), waits.len()), (1, 1));
    let (proxy, errand) = done.into_iter().next().unwrap().await.unwrap();
    assert_eq!(errand.work, bounced(3));
    // Nobody else answers for it, by whatever name.
    let other = if proxy == "one" { "two" } else { "one" };
    for (gateway, who) in [
        (OUT, other),
        ("mail/in", proxy),
        ("other/out", proxy),
        (OUT, ""),
    ] {
        let received = board.answer(gateway, who, errand.id, counted(2));
        assert_eq!(received, Received::Unknown, "{gateway} {who}");
    }
    assert_eq!(
        board.answer(OUT, proxy, errand.id, counted(2)),
        Received::Taken
    );
    assert_eq!(
        board.answer(OUT, proxy, errand.id, counted(3)),
        Received::Unknown,
        "again"
    );
    assert_eq!(asked.await.unwrap(), Ok(counted(2)));
    waits.into_iter().for_each(|waits| waits.abort());
    settle().await;
    assert!(is_empty(&board));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_of_another_gateway_is_handed_nothing() {
    let board = Arc::new(Board::default());
    let asked = ask(&board, OUT);
    let other = timeout(Duration::from_secs(60), board.next("mail/in", "one"));
    assert!(other.await.is_err());
    assert_eq!(asked.await.unwrap(), Err(Undone::NotTaken));
    assert!(is_empty(&board));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_taken_down_and_what_nobody_answers_is_given_up() {
    let board = Arc::new(Board::default());
    let begun = Instant::now();
    assert_eq!(
        board.ask(OUT, bounced(3)).await,
        Err(Undone::NotTaken),
        "nobody is there"
    );
    assert_eq!(begun.elapsed(), TAKEN_WITHIN);
    assert!(board.hand_out(OUT, "one").is_none(), "nobody has it late");

    let begun = Instant::now();
    let asked = ask(&board, OUT);
    settle().await;
    advance(TAKEN_WITHIN / 2).await;
    let errand = board.next(OUT, "one").await;
    assert_eq!(asked.await.unwrap(), Err(Undone::NotAnswered));
    assert_eq!(begun.elapsed(), DONE_WITHIN);
    let late = board.answer(OUT, "one", errand.id, counted(1));
    assert_eq!(late, Received::Unknown);
    assert!(is_empty(&board));
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_no_more_leaves_nothing_behind() {
    let board = Arc::new(Board::default());
    let (first, second) = (ask(&board, OUT), ask(&board, OUT));
    settle().await;
    let errand = board.next(OUT, "one").await;
    for asked in [first, second] {
        asked.abort();
    }
    settle().await;
    assert!(is_empty(&board));
    let late = board.answer(OUT, "one", errand.id, counted(1));
    assert_eq!(late, Received::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_leaves_takes_no_word_with_it() {
    let board = Arc::new(Board::default());
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let board = Arc::clone(&board);
            tokio::spawn(async move { board.next(OUT, "one").await })
        })
        .collect();
    settle().await;
    // The first is woken, and ends before it looks.
    let (_asked, answered) = board.put_up(OUT, bounced(3)).unwrap();
    waiting[0].abort();
    settle().await;
    let errand = waiting.into_iter().nth(1).unwrap().await.unwrap();
    board.answer(OUT, "one", errand.id, counted(3));
    assert_eq!(answered.await, Ok(counted(3)));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_and_all_of_them_have_so_many_errands() {
    let board = Arc::new(Board::default());
    let mut asked: Vec<_> = (0..MOST_OF_GATEWAY).map(|_| ask(&board, OUT)).collect();
    settle().await;
    assert_eq!(board.ask(OUT, bounced(1)).await, Err(Undone::TooMany));
    // Those that somebody has count as well.
    let errand = board.next(OUT, "one").await;
    assert_eq!(board.ask(OUT, bounced(1)).await, Err(Undone::TooMany));
    for gateway in 1..MOST / MOST_OF_GATEWAY {
        let name: &'static str = format!("mail/g{gateway}").leak();
        asked.extend((0..MOST_OF_GATEWAY).map(|_| ask(&board, name)));
    }
    settle().await;
    let other = board.ask("other/out", bounced(1)).await;
    assert_eq!(other, Err(Undone::TooMany));
    board.answer(OUT, "one", errand.id, counted(1));
    settle().await;
    asked.push(ask(&board, OUT));
    settle().await;
    assert_eq!(board.lock().open, MOST);
    for asked in asked {
        asked.abort();
    }
    settle().await;
    assert!(is_empty(&board));
}

fn scores(kind: Kind, namespace: &str, name: &str) -> Done {
    Done::Scores {
        scores: vec![Score {
            rule: ObjectRef {
                kind,
                namespace: namespace.into(),
                name: name.into(),
            },
            score: 1,
            decay: Millis::DAY,
            next: None,
            awards: Vec::new(),
        }],
        counts: Counts::Together,
    }
}

#[test]
fn an_answer_is_one_to_what_was_asked_and_of_the_own_namespace() {
    let account = Account::canonical("taro", None);
    let asked = Work::Scores { account };
    let told = bounced(3);
    for (done, work, fits) in [
        (scores(Kind::AbuseRule, "mail", "stolen"), &asked, true),
        (scores(Kind::AbuseRule, "mail", "stolen"), &told, false),
        (scores(Kind::AbuseRule, "other", "stolen"), &asked, false),
        (scores(Kind::RateLimit, "mail", "stolen"), &asked, false),
        (scores(Kind::AbuseRule, "mail", "\u{1b}[2J"), &asked, false),
        (counted(3), &told, true),
        (counted(4), &told, false),
        (counted(0), &asked, false),
        (Done::Failed(Failure::NotRunning), &asked, true),
    ] {
        assert_eq!(answers(&done, work, "mail"), fits, "{done:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_not_taken_and_a_better_one_is() {
    let board = Arc::new(Board::default());
    let asked = ask(&board, OUT);
    settle().await;
    let errand = board.next(OUT, "one").await;
    for unfit in [counted(4), scores(Kind::AbuseRule, "mail", "stolen")] {
        let received = board.answer(OUT, "one", errand.id, unfit);
        assert_eq!(received, Received::Unfit);
    }
    board.answer(OUT, "one", errand.id, counted(0));
    assert_eq!(asked.await.unwrap(), Ok(counted(0)));
}
