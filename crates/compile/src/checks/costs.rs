//! Bounds of what clients may cost that cannot hold, or are never reached.

use sekisho_crd::{ByteSize, GatewayLimits, MailGatewaySpec, TarpitMode};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Objects, Platform};
use crate::view::{View, valid};

/// What a proxy in a cluster may take where nothing is said.
const UNSAID_MEMORY: u64 = 512 << 20;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<MailGatewaySpec>(objects) {
        memory(view, objects.platform, out);
        durations(view, out);
        tarpit(view, out);
    }
}

/// A proxy needs memory beside what it keeps of messages; one that may fill its container is killed with all its sessions.
fn memory(view: View<'_, MailGatewaySpec>, platform: Platform, out: &mut Vec<Diagnostic>) {
    let resources = view
        .spec
        .pods
        .as_ref()
        .and_then(|pods| pods.resources.as_ref());
    let asked = resources.and_then(|resources| resources.requests.memory.as_ref());
    let limit = resources.and_then(|resources| resources.limits.memory.as_ref());
    let limit = match (limit, platform) {
        (Some(limit), _) => limit.as_bytes(),
        (None, Platform::Cluster) => asked.map_or(0, ByteSize::as_bytes).max(UNSAID_MEMORY),
        (None, Platform::Any | Platform::Standalone) => return,
    };
    let Some(buffered) = &view.spec.limits.max_buffered_bytes else {
        return;
    };
    if buffered.as_bytes() > limit / 4 * 3 {
        let limit = limit >> 20;
        let message =
            format!("{buffered} leave too little of the {limit}Mi of memory that a proxy may take");
        let diagnostic = view.warning(Code::OutOfBounds, "limits.maxBufferedBytes", message);
        out.push(diagnostic.mend("use three quarters of pods.resources.limits.memory at most"));
    }
}

fn durations(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    let limits = &view.spec.limits;
    if limits.max_message_duration.as_millis() > limits.max_session_duration.as_millis() {
        let message = format!("{} are never reached", limits.max_message_duration);
        let diagnostic = view.warning(Code::NeverTriggers, "limits.maxMessageDuration", message);
        out.push(diagnostic.mend(format!(
            "a session ends after {}",
            limits.max_session_duration
        )));
    }
}

fn tarpit(view: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    let limits = &view.spec.limits;
    if limits.tarpit.mode == TarpitMode::Delay && errors_at_most(limits) < limits.tarpit.after {
        let message = format!("{} errors are never reached", limits.tarpit.after);
        let diagnostic = view.warning(Code::NeverTriggers, "limits.tarpit.after", message);
        out.push(
            diagnostic.mend("a session ends before: make it smaller, or use tarpit.mode Never"),
        );
    }
}

/// How many errors a session can have whose reply could wait: the last one of a kind ends the session.
fn errors_at_most(limits: &GatewayLimits) -> u32 {
    (limits.max_errors - 1)
        + (limits.max_auth_attempts - 1)
        + (limits.max_refused_recipients - 1) / 10
}
