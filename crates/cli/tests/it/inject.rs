//! `sekisho inject`: what its documents become. `UPDATE_EXPECTED=1` writes tests/inject/expected.yaml anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::running::SEKISHO;

const IMAGE: [&str; 2] = ["--proxy-image", "sekisho-proxy:test"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inject")
}

fn inject(arguments: &[&str]) -> Output {
    Command::new(SEKISHO)
        .arg("inject")
        .args(arguments)
        .args(IMAGE)
        .current_dir(folder())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaint}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn written(folder: &tempfile::TempDir, text: &str) -> String {
    let file = folder.path().join("file.yaml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn workloads_get_sidecars_and_the_rest_keeps_its_text() {
    let output = text(&inject(&["-f", "input.yaml", "--objects", "gateway.yaml"]));
    let expected = folder().join("expected.yaml");
    #[expect(
        clippy::disallowed_methods,
        reason = "how a test is told to write its expectations anew"
    )]
    let update = std::env::var("UPDATE_EXPECTED").is_ok();
    if update {
        fs::write(&expected, &output).unwrap();
    }
    assert_eq!(output, fs::read_to_string(&expected).unwrap_or_default());
    let untouched = fs::read_to_string(folder().join("input.yaml")).unwrap();
    let untouched = untouched.split("apiVersion: apps/v1").next().unwrap();
    assert!(output.starts_with(untouched), "{output}");
}

#[test]
fn what_has_its_sidecar_keeps_its_text() {
    let once = text(&inject(&["-f", "input.yaml", "--objects", "gateway.yaml"]));
    let folder = tempfile::tempdir().unwrap();
    let twice = text(&inject(&[
        "-f",
        &written(&folder, &once),
        "--objects",
        "gateway.yaml",
    ]));
    assert_eq!(once, twice);
}

#[test]
fn the_gateway_can_be_in_a_file_of_its_own_or_another() {
    let apart = text(&inject(&["-f", "input.yaml", "-f", "gateway.yaml"]));
    let gateway = fs::read_to_string(folder().join("gateway.yaml")).unwrap();
    assert!(apart.ends_with(&format!("---\n{gateway}")), "{apart}");
    assert_eq!(apart.matches("name: sekisho-proxy").count(), 2, "{apart}");
}

#[test]
fn a_namespace_can_be_given_for_what_names_none() {
    let strip = |file: &str| {
        let text = fs::read_to_string(folder().join(file)).unwrap();
        text.replace(", namespace: shop", "")
    };
    let folder = tempfile::tempdir().unwrap();
    let both = format!("{}---\n{}", strip("gateway.yaml"), strip("input.yaml"));
    let file = written(&folder, &both);
    let given = text(&inject(&["-f", &file, "-n", "web"]));
    assert!(given.contains("--gateway=web/outbound"), "{given}");
    let default = text(&inject(&["-f", &file]));
    assert!(default.contains("--gateway=default/outbound"), "{default}");
}

#[test]
fn a_list_has_its_items_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: { name: a, namespace: shop, labels: { sekisho.dev/gateway: outbound } }\n  spec: { containers: [{ name: a }] }\n";
    let output = text(&inject(&[
        "-f",
        &written(&folder, list),
        "--objects",
        "gateway.yaml",
    ]));
    assert_eq!(output.matches("name: sekisho-proxy").count(), 1, "{output}");
}

#[test]
fn refusals_name_the_file_the_object_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let pod = |spec: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: a, namespace: shop, labels: {{ sekisho.dev/gateway: outbound }} }}\nspec: {spec}\n"
        )
    };
    let good = pod("{ containers: [{ name: a }] }");
    let gateway = fs::read_to_string(self::folder().join("gateway.yaml")).unwrap();
    for (input, objects, why) in [
        (
            good.clone(),
            None,
            "no MailGateway shop/outbound in the files",
        ),
        (
            format!("{good}---\n{}", gateway.replace("2587", "0")),
            None,
            "gateway.yaml",
        ),
        (
            format!("{good}---\n{}", gateway.replace("Sidecar", "Gateway")),
            None,
            "mode Gateway",
        ),
        (
            pod("{ hostNetwork: true, containers: [{ name: a }] }"),
            Some("gateway.yaml"),
            "Pod shop/a",
        ),
        (
            pod("{ containers: [{ name: a, ports: [{ containerPort: 2587 }] }] }"),
            Some("gateway.yaml"),
            "has port 2587",
        ),
        (pod("{ containers: ["), Some("gateway.yaml"), "file.yaml"),
    ] {
        let file = written(&folder, &input);
        let mut arguments = vec!["-f", file.as_str()];
        arguments.extend(objects.iter().flat_map(|objects| ["--objects", objects]));
        let output = inject(&arguments);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{input}");
        assert!(output.stdout.is_empty(), "nothing half done is printed");
        let why = if why == "gateway.yaml" { "port" } else { why };
        assert!(complaint.contains(why), "{why}: {complaint}");
        assert!(complaint.contains("file.yaml"), "{complaint}");
    }
}
