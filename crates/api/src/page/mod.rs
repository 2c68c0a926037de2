//! The start page: what is running, and how to send a first message. Drawn here; the script only asks whether it changed.

mod markup;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sekisho_policy::snapshot::Enforcement;
use sekisho_runtime::health::State as Readiness;

use self::markup::Markup;
use crate::overview::{self, GatewayView, Overview, RuleView};
use crate::state::App;
use crate::tally::Counted;

/// Nothing is loaded from elsewhere, nothing inline runs, and nobody frames it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sekisho</title>
<meta name=\"viewport\" content=\"width=device-width\">
<link rel=\"stylesheet\" href=\"/page.css\"><script src=\"/page.js\" defer></script></head><body>
<header><h1>Sekisho <span lang=\"ja\">関所</span></h1></header>
<main>
";

const FOOT: &str = "</main>
<footer><a href=\"/metrics\">metrics</a> <a href=\"/readyz\">readiness</a> <a href=\"/v1/overview\">this page as JSON</a></footer>
</body></html>
";

/// `GET /`.
pub(crate) async fn show(State(app): State<App>) -> Response {
    let page = draw(&overview::draw(&app).await);
    let mut response = page.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(CONTENT_SECURITY_POLICY),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// `GET /page.css`.
pub(crate) async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("page.css"),
    )
}

/// `GET /page.js`.
pub(crate) async fn script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        include_str!("page.js"),
    )
}

fn draw(overview: &Overview) -> String {
    let mut page = Markup::default();
    page.raw(HEAD);
    health(&mut page, overview);
    if let Some(command) = &overview.first_message {
        page.raw("<h2>Send a first message</h2>\n<pre><code>")
            .text(command)
            .raw("</code></pre>\n");
    }
    transactions(&mut page, &overview.transactions);
    demo(&mut page, overview);
    for view in &overview.gateways {
        gateway(&mut page, view);
    }
    page.raw(FOOT);
    page.into_string()
}

fn health(page: &mut Markup, overview: &Overview) {
    let (class, word) = match overview.health.status {
        Readiness::Ok => ("<p class=\"ok\">", "Everything is in order."),
        Readiness::Degraded => (
            "<p class=\"degraded\">",
            "Running, with something to look at:",
        ),
        Readiness::NotReady => ("<p class=\"not-ready\">", "Not ready:"),
    };
    page.raw(class)
        .text(word)
        .raw(" Version ")
        .text(overview.version)
        .raw(".</p>\n");
    let troubled: Vec<_> = overview
        .health
        .components
        .iter()
        .filter(|c| c.status != Readiness::Ok)
        .collect();
    if !troubled.is_empty() {
        page.raw("<ul>");
        for component in troubled {
            page.raw("<li><b>")
                .text(&component.name)
                .raw("</b>: ")
                .text(&component.detail)
                .raw("</li>\n");
        }
        page.raw("</ul>\n");
    }
}

fn transactions(page: &mut Markup, counted: &Counted) {
    page.raw("<h2>Transactions since the start</h2>\n").table([
        "delivered",
        "refused by policy",
        "refused by next hop",
        "uncertain",
        "failed",
        "abandoned",
    ]);
    let counts = [
        counted.delivered,
        counted.refused_by_policy,
        counted.refused_by_next_hop,
        counted.uncertain,
        counted.failed,
        counted.abandoned,
    ]
    .map(|count| count.to_string());
    page.row(counts.each_ref().map(String::as_str)).end_table();
    if counted.latest.is_empty() {
        return;
    }
    effects(page, counted);
    page.table(["latest", "class", "end", "by"]);
    for latest in &counted.latest {
        let (id, class) = (latest.id.to_string(), format!("{:?}", latest.class));
        page.row([
            &id,
            &class,
            latest.end,
            latest.by.as_deref().unwrap_or_default(),
        ]);
    }
    page.end_table()
        .raw("<p>Ask why with <code>sekisho explain ID</code>.</p>\n");
}

/// Which way mail left, and which rules had something against it.
fn effects(page: &mut Markup, counted: &Counted) {
    if !counted.by_pool_and_class.is_empty() {
        page.table(["left by", "class", "messages"]);
        for (left, messages) in &counted.by_pool_and_class {
            let class = format!("{:?}", left.class);
            page.row([&left.pool, &class, &messages.to_string()]);
        }
        page.end_table();
    }
    if !counted.by_rule.is_empty() {
        page.table(["rule", "part", "deferred", "refused", "worsened the class"]);
        for (part, effects) in &counted.by_rule {
            let counts =
                [effects.deferred, effects.refused, effects.worsened].map(|n| n.to_string());
            page.row([&part.rule, &part.part, &counts[0], &counts[1], &counts[2]]);
        }
        page.end_table();
    }
}

fn demo(page: &mut Markup, overview: &Overview) {
    let Some(sources) = &overview.demo else {
        return;
    };
    page.raw("<h2>At the built-in relays</h2>\n");
    if sources.is_empty() {
        page.raw("<p>Nothing has arrived yet.</p>\n");
    } else {
        page.table(["arrived from", "relay", "messages"]);
        for source in sources {
            let (address, messages) =
                (source.from_address.to_string(), source.messages.to_string());
            page.row([&address, &source.relay, &messages]);
        }
        page.end_table();
    }
    page.raw("<p><a href=\"/demo/messages\">All messages as JSON</a></p>\n");
}

fn gateway(page: &mut Markup, view: &GatewayView) {
    page.raw("<h2>Gateway ")
        .text(&view.name)
        .raw("</h2>\n<p>Generation ")
        .text(view.generation.to_string());
    page.raw(", passwords checked by ")
        .text(view.backends.join(", then "));
    let upstream: Vec<_> = view.upstream.iter().map(ToString::to_string).collect();
    page.raw(", upstream ")
        .text(upstream.join(", "))
        .raw(".</p>\n");
    if let Some(proxies) = view.proxies {
        let (programmed, connected) = (proxies.programmed, proxies.connected);
        page.raw("<p>")
            .text(format!(
                "{programmed} of {connected} connected proxies enforce it."
            ))
            .raw("</p>\n");
    }
    listeners(page, view);
    page.table(["rule, in order", "what it does", "enforcement"]);
    for rule in &view.rules {
        page.row([&rule.object.to_string(), &rule.says, enforcement(rule)]);
    }
    page.end_table();
    pools(page, view);
}

fn listeners(page: &mut Markup, view: &GatewayView) {
    let elsewhere = match view.proxies {
        Some(_) => "in each proxy",
        None => "does not listen",
    };
    page.table(["listener", "address", "TLS", "open sessions"]);
    for listener in &view.listeners {
        let (tls, open) = (
            format!("{:?}", listener.tls),
            listener.open_sessions.to_string(),
        );
        page.row([
            &listener.name,
            listener.address.as_deref().unwrap_or(elsewhere),
            &tls,
            &open,
        ]);
    }
    page.end_table();
}

fn enforcement(rule: &RuleView) -> &'static str {
    match rule.enforcement {
        Enforcement::Enforce if rule.tripped => "Shadow (brake tripped)",
        Enforcement::Enforce => "Enforce",
        Enforcement::Shadow => "Shadow",
        Enforcement::Off => "Off",
    }
}

fn pools(page: &mut Markup, view: &GatewayView) {
    if !view.routes.is_empty() {
        page.table(["class", "goes to"]);
        for route in &view.routes {
            page.row([&format!("{:?}", route.class), &route.to]);
        }
        page.end_table();
    }
    if view.pools.is_empty() {
        return;
    }
    page.table(["pool", "member", "leaves from", "relay", "TLS", "weight"]);
    for pool in &view.pools {
        for member in &pool.members {
            let tls = member
                .tls
                .map_or_else(String::new, |tls| format!("{tls:?}"));
            let weight = member.weight.to_string();
            page.row([
                &pool.name,
                &member.name,
                &member.leaves_from,
                &member.relay,
                &tls,
                &weight,
            ]);
        }
    }
    page.end_table();
}
