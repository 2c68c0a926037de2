//! A web service that knows the passwords, counts what it is asked, and answers when it is told to.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sekisho_testkit::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What it was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) account: String,
    pub(super) password: String,
    pub(super) source: String,
}

/// The service. Every account's password is `right`, and accounts whose name begins with `no` do not exist.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    asked: Arc<watch::Sender<usize>>,
    questions: Arc<Mutex<Vec<Question>>>,
    answers: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Backend {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, asked) = (watch::Sender::new(true), Arc::new(watch::Sender::new(0)));
        let questions = Arc::new(Mutex::new(Vec::new()));
        let desk = Desk {
            asked: asked.clone(),
            questions: questions.clone(),
            answers: answers.subscribe(),
        };
        let serving = tokio::spawn(serve(listener, desk));
        Self {
            address,
            asked,
            questions,
            answers,
            serving,
        }
    }

    /// Takes questions, and answers none of them.
    pub(super) fn hold(&self) {
        self.answers.send_replace(false);
    }

    /// Answers.
    pub(super) fn release(&self) {
        self.answers.send_replace(true);
    }

    /// Waits until it was asked so often.
    pub(super) async fn wait_until_asked(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        let waited = timeout(PATIENCE, asked.wait_for(|asked| *asked >= times)).await;
        assert!(waited.is_ok(), "asked {} times of {times}", self.count());
    }

    /// How often it was asked.
    pub(super) fn count(&self) -> usize {
        *self.asked.borrow()
    }

    /// How many wrong passwords of each account it was asked about, each counted once.
    pub(super) fn guesses(&self) -> BTreeMap<String, usize> {
        let mut questions = self.questions.lock().unwrap().clone();
        questions.retain(|question| question.password != "right");
        questions.sort();
        questions.dedup_by(|one, other| {
            (&one.account, &one.password) == (&other.account, &other.password)
        });
        let mut guesses = BTreeMap::new();
        for question in questions {
            *guesses.entry(question.account).or_default() += 1;
        }
        guesses
    }

    /// How many questions came from each source.
    pub(super) fn by_source(&self) -> BTreeMap<String, usize> {
        let mut sources = BTreeMap::new();
        for question in &*self.questions.lock().unwrap() {
            *sources.entry(question.source.clone()).or_default() += 1;
        }
        sources
    }
}

#[derive(Clone)]
struct Desk {
    asked: Arc<watch::Sender<usize>>,
    questions: Arc<Mutex<Vec<Question>>>,
    answers: watch::Receiver<bool>,
}

async fn serve(listener: TcpListener, desk: Desk) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let desk = desk.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let desk = desk.clone();
                async move { Ok::<_, Infallible>(desk.answer(&request).await) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Desk {
    async fn answer(mut self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let question = Question {
            account: header("auth-user"),
            password: header("auth-pass"),
            source: header("client-ip"),
        };
        let is_right = question.password == "right" && !question.account.starts_with("no");
        self.questions.lock().unwrap().push(question);
        self.asked.send_modify(|asked| *asked += 1);
        let _ = self.answers.wait_for(|answers| *answers).await;
        let status = if is_right {
            "OK"
        } else {
            "Invalid login or password"
        };
        let response = Response::builder().header("Auth-Status", status);
        response.body(Full::default()).unwrap()
    }
}
