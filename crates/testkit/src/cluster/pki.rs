//! The keys of a control plane: one authority, the API server's certificate, the administrator's, and the key that signs the tokens
//! of service accounts.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

const SERVER_NAMES: [&str; 4] = [
    "localhost",
    "127.0.0.1",
    "kubernetes.default",
    "kubernetes.default.svc",
];

#[derive(Debug)]
pub(super) struct Pki {
    pub(super) ca: String,
    client: (String, String),
    folder: PathBuf,
}

impl Pki {
    /// Makes all keys anew, as files of the folder.
    pub(super) fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = named("sekisho-test-ca", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);

        let mut server = named("kube-apiserver", None);
        server.subject_alt_names = CertificateParams::new(SERVER_NAMES.map(str::to_owned))
            .unwrap()
            .subject_alt_names;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = signed(&server, &issuer);
        let mut client = named("admin", Some("system:masters"));
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = signed(&client, &issuer);
        let tokens = KeyPair::generate().unwrap();

        for (name, text) in [
            ("ca.crt", &ca),
            ("server.crt", &server.0),
            ("server.key", &server.1),
            ("tokens.key", &tokens.serialize_pem()),
            ("tokens.pub", &tokens.public_key_pem()),
        ] {
            fs::write(folder.join(name), text).unwrap();
        }
        Self {
            ca,
            client,
            folder: folder.to_owned(),
        }
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The administrator's.
    pub(super) fn kubeconfig(&self, url: &str) -> String {
        let (certificate, key) = &self.client;
        kubeconfig(
            url,
            &self.ca,
            &format!(
                "client-certificate-data: {}, client-key-data: {}",
                STANDARD.encode(certificate),
                STANDARD.encode(key)
            ),
        )
    }
}

/// A kubeconfig for one user of one cluster.
pub(super) fn kubeconfig(url: &str, ca: &str, user: &str) -> String {
    let ca = STANDARD.encode(ca);
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{ name: test, cluster: {{ server: '{url}', certificate-authority-data: {ca} }} }}]
users: [{{ name: user, user: {{ {user} }} }}]
contexts: [{{ name: test, context: {{ cluster: test, user: user }} }}]
current-context: test
"
    )
}

fn named(name: &str, organization: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params
            .distinguished_name
            .push(DnType::OrganizationName, organization);
    }
    params
}

/// Certificate and key, in PEM.
fn signed(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.pem(), key.serialize_pem())
}
