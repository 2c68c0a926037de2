//! `sekisho inject`: sidecars for the pods of YAML files, as the webhook of a cluster puts them in.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use sekisho_compile::files::{self, Loaded, Source};
use sekisho_compile::{Diagnostic, ObjectKey, State};
use sekisho_crd::{Kind, MailGatewaySpec};
use sekisho_operator::inject::{self, Injected};
use sekisho_operator::{GatewayInput, Settings};
use serde_json::Value;

use crate::args::Inject;
use crate::{Outcome, output};

/// Prints every document, those whose pods ask for a sidecar with one. Others keep their very text.
pub(crate) fn run(args: &Inject) -> Result<Outcome> {
    let sources = args.files.iter().map(|file| read(file));
    let sources: Vec<Source> = sources.collect::<Result<_>>()?;
    let work = Work {
        settings: Settings {
            namespace: args.control_namespace.clone(),
            service: args.control_service.clone(),
            proxy_image: args.proxy_image.clone(),
            pull_policy: args.proxy_pull_policy.into(),
        },
        namespace: args.namespace.as_deref(),
        gateways: [files::load_sources(&sources), files::load(&args.objects)],
    };
    let mut text = String::new();
    for source in &sources {
        for part in split(&source.text) {
            let injected = work.part(part).with_context(|| source.name.to_string())?;
            append(&mut text, part, injected.as_deref());
        }
    }
    output::print(&text)?;
    Ok(Outcome::Done)
}

fn read(file: &Path) -> Result<Source> {
    let refused = |problem: Box<Diagnostic>| anyhow!("{problem}");
    if file == Path::new("-") {
        return Source::from_reader("-", Path::new("."), io::stdin().lock()).map_err(refused);
    }
    let name = file.display().to_string();
    let opened = File::open(file).with_context(|| format!("{name} cannot be read"))?;
    Source::from_reader(&name, file.parent().unwrap_or(Path::new(".")), opened).map_err(refused)
}

/// The documents of a text with their `---` lines, as `kubectl` splits it.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut offset) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if starts_document(line) && offset > start {
            parts.push(&text[start..offset]);
            start = offset;
        }
        offset += line.len();
    }
    parts.push(&text[start..]);
    parts
}

fn starts_document(text: &str) -> bool {
    let rest = text.strip_prefix("---");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Adds a document: what it was, or what it has become.
fn append(text: &mut String, part: &str, injected: Option<&str>) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let stands_apart = match injected {
        Some(_) => text.is_empty() && !starts_document(part),
        None => text.is_empty() || starts_document(part),
    };
    if !stands_apart {
        text.push_str("---\n");
    }
    text.push_str(injected.unwrap_or(part));
}

struct Work<'a> {
    settings: Settings,
    namespace: Option<&'a str>,
    gateways: [Loaded; 2],
}

impl Work<'_> {
    /// A document with its sidecars; none if it asks for none or has them.
    fn part(&self, text: &str) -> Result<Option<String>> {
        let says_nothing = |line: &str| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        };
        if text.lines().all(says_nothing) {
            return Ok(None);
        }
        // As kubectl reads it: YAML 1.1, in which 0644 is octal and yes is true.
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let mut document: Value = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| anyhow!("{error}"))?;
        let changed = match document.get_mut("items").and_then(Value::as_array_mut) {
            Some(items) => {
                let mut changed = false;
                for item in items {
                    changed |= self.object(item)? == Some(Injected::Injected);
                }
                changed
            }
            None => self.object(&mut document)? == Some(Injected::Injected),
        };
        Ok(changed.then(|| sekisho_crd::to_yaml(&document)))
    }

    fn object(&self, object: &mut Value) -> Result<Option<Injected>> {
        let text = |object: &Value, path: &str| {
            let text = object.pointer(path).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let kind = text(object, "/kind").unwrap_or_default();
        let name = text(object, "/metadata/name").unwrap_or_default();
        let namespace = text(object, "/metadata/namespace")
            .or_else(|| self.namespace.map(str::to_owned))
            .unwrap_or_else(|| "default".to_owned());
        let Some(template) = inject::template_of(object) else {
            return Ok(None);
        };
        let Some(gateway) = inject::gateway_of(template).map(str::to_owned) else {
            return Ok(None);
        };
        let named = || format!("{kind} {namespace}/{name}");
        let spec = self.gateway(&namespace, &gateway).with_context(named)?;
        let gateway = GatewayInput {
            namespace: &namespace,
            name: &gateway,
            uid: "",
            spec,
        };
        let done = inject::inject(template, &gateway, &self.settings).with_context(named)?;
        Ok(Some(done))
    }

    /// The gateway of a namespace. Where a namespace was given for what names none, that holds for gateways too.
    fn gateway(&self, namespace: &str, name: &str) -> Result<&MailGatewaySpec> {
        let mut keys = vec![ObjectKey::new(namespace, name)];
        if self.namespace == Some(namespace) {
            keys.push(ObjectKey::new("default", name));
        }
        for (key, loaded) in keys
            .iter()
            .flat_map(|key| self.gateways.iter().map(move |l| (key, l)))
        {
            match loaded.objects.gateways.get(key).map(|object| &object.state) {
                Some(State::Valid(spec)) => return Ok(spec),
                Some(State::Invalid) => bail!("{}", why_invalid(loaded, key)),
                None => {}
            }
        }
        bail!(
            "no MailGateway {namespace}/{name} in the files; give the folder that has it with --objects"
        )
    }
}

fn why_invalid(loaded: &Loaded, key: &ObjectKey) -> String {
    let is_about = |diagnostic: &&Diagnostic| {
        diagnostic.is_error()
            && diagnostic.object.as_ref().is_some_and(|object| {
                object.kind.as_str() == Kind::MailGateway.as_str()
                    && object.namespace == key.namespace
                    && object.name == key.name
            })
    };
    let first = loaded.diagnostics.iter().find(is_about);
    first.map_or_else(
        || format!("MailGateway {}/{} is not valid", key.namespace, key.name),
        ToString::to_string,
    )
}
