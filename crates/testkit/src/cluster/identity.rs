//! Who is who: tokens of service accounts by TokenRequest, kubeconfigs that hold them, and Pods that nobody runs.

use std::path::PathBuf;

use super::{ControlPlane, pki};

/// What a token dies with.
#[derive(Clone, Copy, Debug)]
pub enum BoundTo<'a> {
    /// The service account alone.
    Account,
    /// A Pod of the same namespace, by name.
    Pod(&'a str),
}

impl ControlPlane {
    /// A token of a service account by the TokenRequest API. Without an audience it is for the API server itself.
    ///
    /// # Panics
    /// It is refused.
    #[track_caller]
    pub fn token(
        &self,
        namespace: &str,
        account: &str,
        audience: Option<&str>,
        bound: BoundTo<'_>,
    ) -> String {
        let mut arguments = vec![
            "create".to_owned(),
            "token".to_owned(),
            account.to_owned(),
            format!("--namespace={namespace}"),
            "--duration=1h".to_owned(),
        ];
        if let Some(audience) = audience {
            arguments.push(format!("--audience={audience}"));
        }
        if let BoundTo::Pod(name) = bound {
            let uid = self
                .kubectl([
                    "get",
                    "pod",
                    name,
                    "--namespace",
                    namespace,
                    "--output=jsonpath={.metadata.uid}",
                ])
                .ok();
            arguments.extend([
                "--bound-object-kind=Pod".to_owned(),
                format!("--bound-object-name={name}"),
                format!("--bound-object-uid={uid}"),
            ]);
        }
        self.kubectl(arguments).ok().trim_end().to_owned()
    }

    /// A kubeconfig with a token of a service account, for programs that must not be administrators.
    ///
    /// # Panics
    /// The token is refused.
    #[track_caller]
    pub fn kubeconfig_for_service_account(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.token(namespace, account, None, BoundTo::Account);
        let path = self
            .shared
            .path(&format!("{namespace}.{account}.kubeconfig"));
        let text = pki::kubeconfig(&self.url(), self.ca(), &format!("token: {token}"));
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Says what a kubelet would: the Pod runs, has this address, and all of its containers are ready.
    ///
    /// # Panics
    /// There is no such Pod.
    #[track_caller]
    pub fn mark_running(&self, namespace: &str, pod: &str, address: &str) {
        let status = format!(
            r#"{{"status": {{
                "phase": "Running", "podIP": "{address}", "podIPs": [{{"ip": "{address}"}}],
                "conditions": [
                    {{"type": "PodScheduled", "status": "True"}}, {{"type": "Initialized", "status": "True"}},
                    {{"type": "ContainersReady", "status": "True"}}, {{"type": "Ready", "status": "True"}}
                ]
            }}}}"#
        );
        let patch = ["--subresource=status", "--type=merge", "--patch", &status];
        let mut arguments = vec!["patch", "pod", pod, "--namespace", namespace];
        arguments.extend(patch);
        self.kubectl(arguments).ok();
    }
}
