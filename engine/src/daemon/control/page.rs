//! A status page that needs nothing but a browser: made here, one request, no script.

use std::fmt::Write as _;

use super::body::{Ends, Snapshot, Tenant};
use crate::output::human_count;

/// Plain, readable on a phone, dark where the reader wants it dark.
const STYLE: &str = "\
:root{color-scheme:light dark;--fg:#1a1c1e;--bg:#fdfdfc;--dim:#5c6166;--line:#d9dcdf;--bad:#b3261e;--bar:#2f6f4f}\
@media(prefers-color-scheme:dark){:root{--fg:#e3e5e8;--bg:#16181a;--dim:#a0a6ac;--line:#33373b;--bad:#ff8a80;--bar:#69c296}}\
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:70rem;\
margin:0 auto;padding:1rem}h1{font-size:1.4rem;margin:0}h2{font-size:1.1rem;margin:1.5rem 0 .5rem}p{color:var(--dim);\
margin:.2rem 0}dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1rem 0}\
dl div{border:1px solid var(--line);border-radius:.4rem;padding:.5rem .75rem}dt{color:var(--dim);font-size:.85rem}\
dd{margin:0;font-size:1.25rem;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}table{border-collapse:collapse;\
width:100%;font-variant-numeric:tabular-nums}th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;\
white-space:nowrap}th:first-child,td:first-child{text-align:left}th{color:var(--dim);font-weight:600}.bad{color:var(--bad)}\
meter{width:6rem;vertical-align:middle}";

/// The page; of a tenant, what is its own.
pub(super) fn render(snapshot: &Snapshot, tenant: Option<&str>) -> String {
    let status = &snapshot.status;
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"refresh\" content=\"5\"><title>megaping on {0}</title>\
         <style>{STYLE}</style></head><body><header><h1>megaping on {0}</h1>",
        escaped(&status.node)
    );
    // Writing to a text cannot fail.
    let _ = match tenant {
        Some(name) => write!(page, "<p>Tenant {}</p></header><main>", escaped(name)),
        None => write!(
            page,
            "<p>{} &times; {}, up {}{}</p></header><main>",
            escaped(&status.backend),
            status.shards,
            since(status.uptime_s),
            if status.draining { ", <strong>draining</strong>" } else { "" }
        ),
    };
    if tenant.is_none() {
        node(&mut page, snapshot);
    }
    let is_shown = |one: &str| tenant.is_none_or(|name| name == one);
    tenants(&mut page, snapshot.tenants.iter().filter(|tenant| is_shown(&tenant.name)));
    let _ = write!(
        page,
        "<section aria-labelledby=\"m\"><h2 id=\"m\">Measurements</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>\
         <th scope=\"col\">Measurement</th><th scope=\"col\">Targets</th><th scope=\"col\">Interval</th>\
         <th scope=\"col\">Scheduled</th><th scope=\"col\">Answered</th><th scope=\"col\">Loss</th></tr></thead><tbody>"
    );
    for one in snapshot.measurements.iter().filter(|one| is_shown(&one.tenant)).take(ROWS) {
        let _ = write!(
            page,
            "<tr><td>{}/{}</td><td>{}</td><td>{:.2}&nbsp;s</td><td>{}</td><td>{}</td>{}</tr>",
            escaped(&one.tenant),
            escaped(&one.name),
            human_count(one.targets),
            one.interval_s,
            human_count(one.ends.scheduled),
            human_count(one.ends.answered),
            loss_cell(&one.ends),
        );
    }
    page.push_str("</tbody></table></div></section></main></body></html>");
    page
}

/// More rows than this nobody reads.
const ROWS: usize = 500;

fn node(page: &mut String, snapshot: &Snapshot) {
    let (status, ledger) = (&snapshot.status, &snapshot.status.ledger);
    let figures = [
        ("sent a second", format!("{:.0}", status.sent_pps)),
        ("answered a second", format!("{:.0}", status.answered_pps)),
        ("asked for a second", format!("{:.0}", status.demand_pps)),
        ("limit a second", format!("{:.0}", status.max_pps)),
        ("targets", human_count(status.targets)),
        ("reloads", format!("{} ({} refused)", status.reloads, status.refused_reloads)),
    ];
    page.push_str("<section aria-label=\"Rates\"><dl>");
    for (name, value) in figures {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    page.push_str("</dl></section><section aria-labelledby=\"l\"><h2 id=\"l\">Where every probe is</h2><dl>");
    let unsent: u64 = ledger.unsent.values().sum();
    let places = [
        ("scheduled", ledger.scheduled),
        ("answered", ledger.answered),
        ("errors", ledger.errors),
        ("lost", ledger.lost),
        ("unsent", unsent),
        ("in flight", ledger.in_flight),
    ];
    for (name, count) in places {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", human_count(count));
    }
    page.push_str("</dl>");
    if let Some(why) = &status.last_refusal {
        let _ = write!(
            page,
            "<p class=\"bad\" role=\"alert\">The last configuration was refused: {}</p>",
            escaped(why)
        );
    }
    page.push_str("</section>");
}

fn tenants<'a>(page: &mut String, tenants: impl Iterator<Item = &'a Tenant>) {
    page.push_str(
        "<section aria-labelledby=\"t\"><h2 id=\"t\">Tenants</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>\
         <th scope=\"col\">Tenant</th><th scope=\"col\">Asks/s</th><th scope=\"col\">Share</th><th scope=\"col\">Scheduled</th>\
         <th scope=\"col\">Answered</th><th scope=\"col\">Unsent</th><th scope=\"col\">Loss</th></tr></thead><tbody>",
    );
    for tenant in tenants.take(ROWS) {
        let percent = tenant.share * 100.0;
        let _ = write!(
            page,
            "<tr><td>{}{}</td><td>{:.1}</td><td><meter min=\"0\" max=\"100\" value=\"{percent:.1}\" aria-label=\"share\">\
             </meter> {percent:.0}&nbsp;%</td><td>{}</td><td>{}</td><td>{}</td>{}</tr>",
            escaped(&tenant.name),
            if tenant.paused { " (paused)" } else { "" },
            tenant.demand_pps,
            human_count(tenant.ends.scheduled),
            human_count(tenant.ends.answered),
            human_count(tenant.ends.unsent),
            loss_cell(&tenant.ends),
        );
    }
    page.push_str("</tbody></table></div></section>");
}

fn loss_cell(ends: &Ends) -> String {
    let sent = ends.scheduled - ends.unsent;
    if sent == 0 {
        return "<td>&ndash;</td>".into();
    }
    let percent = (ends.errors + ends.lost) as f64 * 100.0 / sent as f64;
    let class = if percent >= 5.0 { " class=\"bad\"" } else { "" };
    format!("<td{class}>{percent:.2}&nbsp;%</td>")
}

fn since(seconds: f64) -> String {
    let seconds = seconds as u64;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
