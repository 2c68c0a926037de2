//! Sessions side by side: as fast as the server takes them, or by a timetable that does not wait for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, Plan};
use crate::figures::Figures;

/// `messages` in all over `sessions` at once. A message's time includes its session's beginning where it has one of its own.
pub(crate) async fn closed(plan: &Arc<Plan>, sessions: usize, messages: u64) -> Figures {
    let left = Rc::new(Cell::new(messages));
    let workers = Workers::start(plan, sessions, |mut worker| {
        let left = Rc::clone(&left);
        async move {
            while left.get() > 0 {
                left.set(left.get() - 1);
                worker.send(Instant::now()).await;
            }
            worker.finish().await
        }
    });
    workers.run(std::future::ready(())).await
}

/// Messages by a timetable. One that starts late because the server was slow has waited since its time (no coordinated omission).
pub(crate) async fn open(
    plan: &Arc<Plan>,
    sessions: usize,
    per_second: f64,
    during: Duration,
) -> Figures {
    let due = Rc::new(Due::default());
    let workers = Workers::start(plan, sessions, |mut worker| {
        let due = Rc::clone(&due);
        async move {
            while let Some(at) = due.next().await {
                worker.send(at).await;
            }
            worker.finish().await
        }
    });
    let timetable = async {
        let started = Instant::now();
        let total = (per_second * during.as_secs_f64()) as u64;
        for number in 0..total {
            let at = started + Duration::from_secs_f64(number as f64 / per_second);
            sleep_until(at).await;
            due.add(at);
        }
        due.end();
    };
    workers.run(timetable).await
}

/// Messages whose time has come.
#[derive(Default)]
struct Due {
    waiting: RefCell<VecDeque<Instant>>,
    over: Cell<bool>,
    news: Notify,
}

impl Due {
    fn add(&self, at: Instant) {
        self.waiting.borrow_mut().push_back(at);
        self.news.notify_one();
    }

    fn end(&self) {
        self.over.set(true);
        self.news.notify_waiters();
    }

    async fn next(&self) -> Option<Instant> {
        loop {
            let news = self.news.notified();
            if let Some(at) = self.waiting.borrow_mut().pop_front() {
                return Some(at);
            }
            if self.over.get() {
                return None;
            }
            news.await;
        }
    }
}

/// One session after the other, and what they measured.
struct Worker {
    plan: Arc<Plan>,
    open: Option<Client>,
    /// Of the next session: chooses its account.
    number: u64,
    figures: Figures,
}

impl Worker {
    /// Sends a message that was due at `due`.
    async fn send(&mut self, due: Instant) {
        let mut client = match self.open.take() {
            Some(client) => client,
            None => {
                // A prime step spreads the accounts.
                self.number = self.number.wrapping_add(7919);
                let client = Client::open(&self.plan, self.number).await;
                self.figures.session(&client);
                client
            }
        };
        client.send(&self.plan).await;
        if client.sent < self.plan.per_session {
            self.open = Some(client);
        } else {
            client.quit().await;
        }
        self.figures.message(due.elapsed());
    }

    async fn finish(self) -> Figures {
        if let Some(client) = self.open {
            client.quit().await;
        }
        self.figures
    }
}

struct Workers {
    local: LocalSet,
    tasks: JoinSet<Figures>,
}

impl Workers {
    fn start<F: Future<Output = Figures> + 'static>(
        plan: &Arc<Plan>,
        sessions: usize,
        work: impl Fn(Worker) -> F,
    ) -> Self {
        let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
        for number in 0..sessions as u64 {
            let worker = Worker {
                plan: Arc::clone(plan),
                open: None,
                number,
                figures: Figures::default(),
            };
            tasks.spawn_local_on(work(worker), &local);
        }
        Self { local, tasks }
    }

    /// Waits for all, while `beside` runs.
    async fn run(mut self, beside: impl Future<Output = ()>) -> Figures {
        let started = Instant::now();
        let mut all = Figures::default();
        let done = async {
            while let Some(figures) = self.tasks.join_next().await {
                all.add(figures.unwrap());
            }
        };
        self.local
            .run_until(async { tokio::join!(beside, done) })
            .await;
        all.took = started.elapsed();
        all
    }
}
