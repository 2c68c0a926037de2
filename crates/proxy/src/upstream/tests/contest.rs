//! Proofs that are passed on: what the upstream is asked, how often, and what its answers show of who exists.

use sekisho_smtp::sasl::{ClientFirst, Secret};

use super::login::{asking, backends};
use super::*;
use crate::auth::{Backends, Bound, Contest, Failure, FleetKey, Places, Turn};

const AUTH: &str = "250-hop\r\n250-PIPELINING\r\n250 AUTH PLAIN SCRAM-SHA-256 CRAM-MD5\r\n";
/// `r=clientSERVER%,s=MTIzNDU2Nzg5MDEy,i=4242`
const CHALLENGE: &str = "334 cj1jbGllbnRTRVJWRVIlLHM9TVRJek5EVTJOemc1TURFeSxpPTQyNDI=";
const PROOF: &str = "c=biws,r=client,p=AAAA";

struct Scene {
    hop: Hop,
    stage: Stage,
    places: Arc<Places>,
    key: FleetKey,
    backends: Backends,
}

impl Scene {
    async fn new(backends: Backends) -> Self {
        let hop = Hop::new().await;
        Self {
            stage: Stage::to(&hop),
            hop,
            places: Arc::default(),
            key: FleetKey::new([7; 32]),
            backends,
        }
    }

    /// The first message of `name`; the upstream, if it is asked, says this.
    async fn begin(&self, name: &str, said: Option<&str>) -> Result<(Contest, String), Failure> {
        let message = Secret::from(&*format!("n,,n={name},r=client"));
        let first = ClientFirst::parse(&message).unwrap();
        let asking = asking(&self.stage, &self.places, &self.key);
        let serve = async {
            let mut peer = self.hop.serve(AUTH).await;
            peer.expect_prefix("AUTH SCRAM-SHA-256 ").await;
            peer.say(said?).await;
            Some(peer)
        };
        let start = self
            .backends
            .start_scram(&first, &message, Bound::No, &asking);
        let begun = match said {
            None => start.await,
            Some(_) => tokio::join!(start, serve).0,
        };
        assert!(self.hop.is_quiet().await, "the upstream was asked");
        let (contest, challenge) = begun?;
        Ok((
            contest,
            String::from_utf8(challenge.expose().to_vec()).unwrap(),
        ))
    }

    async fn end(&self, mut contest: Contest, name: &str) -> Turn {
        let account = sekisho_policy::Account::canonical(name, Some("example.jp"));
        let response = Secret::from(PROOF);
        self.backends
            .respond(&mut contest, (name, &account), &response, in_time())
            .await
    }
}

#[tokio::test]
async fn a_stranger_is_led_through_the_exchange_that_others_have() {
    let scene = Scene::new(backends(json!(["upstream"]), None)).await;
    let (contest, challenge) = scene.begin("bob", Some("535 5.7.8 who?")).await.unwrap();
    assert!(challenge.starts_with("r=client") && challenge.ends_with(",i=15000"));
    assert!(matches!(scene.end(contest, "bob").await, Turn::Refused));
    // Once the upstream has shown what its challenges are like, it is like them.
    drop(scene.begin("aya", Some(CHALLENGE)).await.unwrap());
    let (contest, one) = scene.begin("bob", Some("535 5.7.8 who?")).await.unwrap();
    let (_, two) = scene.begin("bob", Some("535 5.7.8 who?")).await.unwrap();
    let salt = |text: &str| text.split(',').nth(1).unwrap().to_owned();
    assert_eq!((salt(&one), salt(&one).len()), (salt(&two), 2 + 16));
    assert!(one.ends_with(",i=4242") && one != two, "{one}");
    assert_eq!(one.find(','), Some("r=clientSERVER%".len()), "{one}");
    assert!(matches!(scene.end(contest, "bob").await, Turn::Refused));
    // So is somebody whom the upstream is not even asked about.
    let (contest, challenge) = scene.begin("bob@1.example", None).await.unwrap();
    assert!(challenge.ends_with(",i=4242"));
    assert!(matches!(
        scene.end(contest, "bob@1.example").await,
        Turn::Refused
    ));
}

#[tokio::test]
async fn the_upstreams_no_is_passed_on_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts");
    let aya = sekisho_policy::Account::canonical("aya@example.jp", None);
    crate::accounts_file::add(&path, &aya, b"sesame").unwrap();
    let file = json!({ "accountsFile": path });
    let scene = Scene::new(backends(json!(["upstream", file]), None)).await;
    let (contest, challenge) = scene.begin("aya", Some("535 no")).await.unwrap();
    assert!(challenge.starts_with("r=client"), "{challenge}");
    assert!(matches!(scene.end(contest, "aya").await, Turn::Refused));
    // While the upstream cannot be asked, nobody hears from a no that an account is in the file, and guesses count.
    let (contest, _) = scene.begin("aya", Some("454 later")).await.unwrap();
    assert!(matches!(scene.end(contest, "aya").await, Turn::Masked(_)));
    let (contest, _) = scene.begin("bob", Some("454 later")).await.unwrap();
    assert!(matches!(
        scene.end(contest, "bob").await,
        Turn::Unavailable(_)
    ));
}

#[tokio::test]
async fn one_source_holds_few_connections_of_the_upstream_and_gives_them_back() {
    let scene = Scene::new(backends(json!(["upstream"]), None)).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(scene.begin("aya", Some(CHALLENGE)).await.unwrap());
    }
    let crowded = scene.begin("aya", None).await.map(drop);
    assert!(matches!(crowded, Err(Failure::Crowded)), "{crowded:?}");
    let asking = asking(&scene.stage, &scene.places, &scene.key);
    assert!(scene.backends.start_cram(&asking).await.is_none());
    assert!(scene.hop.is_quiet().await, "a connection was made");
    held.pop();
    assert!(scene.begin("aya", Some(CHALLENGE)).await.is_ok());
}
