//! The commands that ask a running engine, over its socket.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::body::{Done, Ends, Measurement, Refusal, Status, Tenant};
use crate::output::human_count;

/// An answer takes no longer, unless a configuration of millions of targets is read.
const PATIENCE: Duration = Duration::from_mins(1);
/// `--watch` looks so often.
const WATCH: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the commands' help says it")]
pub enum What {
    Status { watch: bool },
    Tenants,
    Targets,
    Pause(String),
    Resume(String),
    Reload,
    Drain,
}

/// A question to a running engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlRequest {
    /// Its socket.
    pub via: PathBuf,
    /// What is asked.
    pub what: What,
    /// Whether the answer is printed as it came.
    pub json: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ClientError {
    #[error("{}: no engine answers: {source}; is 'megaping run' running, with this control.socket?", .path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Refused(String),
    #[error("{}: the answer cannot be read: {what}", .path.display())]
    Answer { path: PathBuf, what: String },
    #[error("standard output cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// Asks, and prints the answer.
///
/// # Errors
/// [`ClientError`], whose message is for the user.
pub fn run(request: &ControlRequest) -> Result<ExitCode, ClientError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| ClientError::Connect { path: request.via.clone(), source })?;
    loop {
        let text = runtime.block_on(ask(request))?;
        let mut out = io::stdout().lock();
        match io::Write::write_all(&mut out, text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.map_err(ClientError::Output)?,
        }
        if request.what != (What::Status { watch: true }) {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(WATCH);
    }
}

async fn ask(request: &ControlRequest) -> Result<String, ClientError> {
    let (get, post) = (Method::GET, Method::POST);
    let segment = |name: &str| name.replace(['/', '?', '#', '%', ' '], "_");
    match &request.what {
        What::Status { watch } => {
            let text = say(request, get, "/v1/status", |status: Status| status_text(&status)).await?;
            // On a terminal the next one takes its place.
            Ok(if *watch && !request.json { format!("\x1b[H\x1b[2J{text}") } else { text })
        }
        What::Tenants => {
            say(request, get, "/v1/tenants", |tenants: Vec<Tenant>| tenants_text(&tenants)).await
        }
        What::Targets => {
            say(request, get, "/v1/measurements", |all: Vec<Measurement>| measurements_text(&all)).await
        }
        What::Pause(name) => {
            say(request, post, &format!("/v1/tenants/{}/pause", segment(name)), |done| done_text(&done)).await
        }
        What::Resume(name) => {
            say(request, post, &format!("/v1/tenants/{}/resume", segment(name)), |done| done_text(&done))
                .await
        }
        What::Reload => say(request, post, "/v1/reload", |done| done_text(&done)).await,
        What::Drain => say(request, post, "/v1/drain", |done| done_text(&done)).await,
    }
}

async fn say<T: DeserializeOwned>(
    request: &ControlRequest,
    method: Method,
    route: &str,
    text: impl Fn(T) -> String,
) -> Result<String, ClientError> {
    let answer = tokio::time::timeout(PATIENCE, exchange(request, method, route)).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer within a minute");
    let bytes = answer
        .map_err(late)
        .map_err(|source| ClientError::Connect { path: request.via.clone(), source })??;
    if request.json {
        return Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n");
    }
    let body = serde_json::from_slice(&bytes);
    body.map(text).map_err(|error| ClientError::Answer { path: request.via.clone(), what: error.to_string() })
}

async fn exchange(request: &ControlRequest, method: Method, route: &str) -> Result<Vec<u8>, ClientError> {
    let path = || request.via.clone();
    let stream = UnixStream::connect(&request.via).await;
    let stream = stream.map_err(|source| ClientError::Connect { path: path(), source })?;
    let broken = |error: hyper::Error| ClientError::Answer { path: path(), what: error.to_string() };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let question =
        Request::builder().method(method).uri(route).header("host", "localhost").body(Body::empty());
    let question = question.map_err(|error| ClientError::Answer { path: path(), what: error.to_string() })?;
    let answer = sender.send_request(question).await.map_err(broken)?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await.map_err(broken)?.to_bytes().to_vec();
    if status == StatusCode::OK {
        return Ok(bytes);
    }
    let refusal = serde_json::from_slice(&bytes).map(|refusal: Refusal| refusal.error);
    Err(ClientError::Refused(refusal.unwrap_or_else(|_| status.to_string())))
}

fn done_text(done: &Done) -> String {
    format!("{}\n", done.done)
}

fn status_text(status: &Status) -> String {
    let ledger = &status.ledger;
    let unsent: u64 = ledger.unsent.values().sum();
    let reasons: Vec<String> =
        ledger.unsent.iter().map(|(name, count)| format!("{name} {}", human_count(*count))).collect();
    let mut text = format!(
        "megaping {} on {}: {} x {}, up {:.0} s{}\n",
        status.version,
        status.node,
        status.backend,
        status.shards,
        status.uptime_s,
        if status.draining { ", draining" } else { "" },
    );
    let rows = [
        (
            "tenants",
            format!(
                "{}, {} measurements, {} targets",
                status.tenants,
                status.measurements,
                human_count(status.targets)
            ),
        ),
        (
            "probes/s",
            format!(
                "sent {:.0}, answered {:.0}, asked for {:.0}, at most {:.0}",
                status.sent_pps, status.answered_pps, status.demand_pps, status.max_pps
            ),
        ),
        ("scheduled", human_count(ledger.scheduled)),
        ("  answered", human_count(ledger.answered)),
        ("  errors", human_count(ledger.errors)),
        ("  lost", human_count(ledger.lost)),
        ("  unsent", format!("{}  {}", human_count(unsent), reasons.join(", ")).trim_end().to_owned()),
        ("  in flight", human_count(ledger.in_flight)),
        (
            "beside",
            format!(
                "duplicates {}, late {}, invalid {}, foreign {}, dropped here {}",
                ledger.duplicates, ledger.late, ledger.invalid, ledger.foreign, ledger.rx_dropped
            ),
        ),
        ("reloads", format!("{}, refused {}", status.reloads, status.refused_reloads)),
    ];
    for (name, value) in rows {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:<12}{value}");
    }
    if let Some(why) = &status.last_refusal {
        let _ = writeln!(text, "last refusal: {why}");
    }
    text
}

fn loss(ends: &Ends) -> String {
    let sent = ends.scheduled - ends.unsent;
    if sent == 0 {
        "-".into()
    } else {
        format!("{:.2} %", (ends.errors + ends.lost) as f64 * 100.0 / sent as f64)
    }
}

fn tenants_text(tenants: &[Tenant]) -> String {
    let mut text = format!(
        "{:<24} {:>6} {:>10} {:>7} {:>12} {:>12} {:>12} {:>9}\n",
        "tenant", "weight", "asks/s", "share", "scheduled", "answered", "unsent", "loss"
    );
    for tenant in tenants {
        let state = if tenant.paused { "  paused" } else { "" };
        let _ = writeln!(
            text,
            "{:<24} {:>6} {:>10.1} {:>5.1} % {:>12} {:>12} {:>12} {:>9}{state}",
            tenant.name,
            tenant.weight,
            tenant.demand_pps,
            tenant.share * 100.0,
            human_count(tenant.ends.scheduled),
            human_count(tenant.ends.answered),
            human_count(tenant.ends.unsent),
            loss(&tenant.ends),
        );
    }
    text
}

fn measurements_text(all: &[Measurement]) -> String {
    let mut text = format!(
        "{:<40} {:>9} {:>9} {:>12} {:>12} {:>12} {:>9}\n",
        "tenant/measurement", "targets", "interval", "scheduled", "answered", "unsent", "loss"
    );
    for one in all {
        let _ = writeln!(
            text,
            "{:<40} {:>9} {:>7.2} s {:>12} {:>12} {:>12} {:>9}",
            format!("{}/{}", one.tenant, one.name),
            one.targets,
            one.interval_s,
            human_count(one.ends.scheduled),
            human_count(one.ends.answered),
            human_count(one.ends.unsent),
            loss(&one.ends),
        );
    }
    text
}
