//! One request to one server.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, SendBody};

use super::{Endpoint, Failure, Server, SetupError};

/// An answer is read up to here: more is no answer to what we ask.
const MAX_ANSWER: u64 = 64 << 20;
/// Of a refusal, so much is read.
const MAX_REFUSAL: u64 = 64 << 10;

/// How long each step of a request may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Name lookup, connection and TLS handshake together.
    pub connect: Duration,
    /// Sending the body.
    pub send: Duration,
    /// The server's work, from the end of the body to the end of its answer.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            send: Duration::from_mins(2),
            answer: Duration::from_mins(2),
        }
    }
}

/// Speaks to the servers of one service; safe to share.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    server: Server,
}

/// A statement, its settings, and what goes with it.
pub struct Request<'a> {
    /// The statement.
    pub sql: &'a str,
    /// Settings and parameters, as the server's URL takes them.
    pub settings: &'a [(&'a str, &'a str)],
    /// The rows of an insert, in a zstd stream; and how many bytes they are.
    pub body: Option<(&'a mut dyn Read, u64)>,
}

/// What a server answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// Rows that it read of the body, as its own words have it; none: it did not say.
    pub read_rows: Option<u64>,
    /// Rows that it wrote, into tables and by views together; none: it did not say.
    pub written_rows: Option<u64>,
    /// The result of a query.
    pub text: String,
}

impl Client {
    /// A client that has sent nothing yet.
    ///
    /// # Errors
    /// [`SetupError::Ca`] when the certificates to trust cannot be read.
    pub fn new(server: Server, timeouts: Timeouts) -> Result<Client, SetupError> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &server.ca {
            let certificates =
                certificates(path).map_err(|reason| SetupError::Ca { path: path.clone(), reason })?;
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let agent = Agent::config_builder()
            .tls_config(tls.build())
            // The server's words are in the answer, whatever its status.
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("megaping/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(timeouts.connect))
            .timeout_connect(Some(timeouts.connect))
            .timeout_send_body(Some(timeouts.send))
            .timeout_recv_response(Some(timeouts.answer))
            .timeout_recv_body(Some(timeouts.answer))
            .build()
            .into();
        Ok(Client { agent, server })
    }

    /// The servers.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.server.endpoints
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// [`Failure`], sorted by what helps.
    pub fn send(&self, endpoint: &Endpoint, request: Request<'_>) -> Result<Answer, Failure> {
        let name = endpoint.to_string();
        let unreachable = |reason: String| Failure::Unreachable { endpoint: endpoint.to_string(), reason };
        // A file that is being replaced is there again in a moment.
        let password = self.server.password.read().map_err(|error| unreachable(error.to_string()))?;
        let mut post = self.agent.post(&endpoint.origin).query("database", &endpoint.database);
        if let Some(user) = &self.server.user {
            post = post.header("X-ClickHouse-User", user);
        }
        if let Some(password) = &password {
            post = post.header("X-ClickHouse-Key", password);
        }
        for (key, value) in request.settings {
            post = post.query(key, value);
        }
        let answer = match request.body {
            None => post.send(request.sql),
            Some((body, length)) => post
                .query("query", request.sql)
                .header("Content-Encoding", "zstd")
                .header("Content-Length", length.to_string())
                // Who is refused anyway is told so before the body is sent.
                .header("Expect", "100-continue")
                .send(SendBody::from_reader(body)),
        };
        let mut answer = answer.map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let code = header("X-ClickHouse-Exception-Code").and_then(|code| code.parse().ok());
        let read_rows = header("X-ClickHouse-Summary").and_then(|summary| field(summary, "read_rows"));
        let written_rows = header("X-ClickHouse-Summary").and_then(|summary| field(summary, "written_rows"));
        let is_success = status == 200 && code.is_none();
        let limit = if is_success { MAX_ANSWER } else { MAX_REFUSAL };
        let text = answer.body_mut().with_config().limit(limit).lossy_utf8(true).read_to_string();
        if is_success {
            // An answer that breaks off is none.
            let text = text.map_err(|error| unreachable(error.to_string()))?;
            return Ok(Answer { read_rows, written_rows, text });
        }
        Err(Failure::of_answer(&name, status, code, &text.unwrap_or_default()))
    }

    /// Asks a query, without a body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn query(&self, endpoint: &Endpoint, sql: &str) -> Result<String, Failure> {
        self.send(endpoint, Request { sql, settings: &[], body: None }).map(|answer| answer.text)
    }
}

/// A number in the flat JSON object of `X-ClickHouse-Summary`, whose values are numbers in quotes.
fn field(summary: &str, name: &str) -> Option<u64> {
    let rest = summary.split_once(&format!("\"{name}\":"))?.1.trim_start().trim_start_matches('"');
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let items =
        ureq::tls::parse_pem(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| if let PemItem::Certificate(found) = item { Some(found) } else { None })
        .collect();
    if certificates.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(certificates) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_header_is_read() {
        let summary = r#"{"read_rows":"7","read_bytes":"29921828","written_rows":"400000"}"#;
        assert_eq!(field(summary, "read_rows"), Some(7));
        assert_eq!(field(summary, "written_rows"), Some(400_000));
        assert_eq!((field(summary, "rows"), field(r#"{"read_rows":""}"#, "read_rows")), (None, None));
    }

    #[test]
    fn certificates_that_are_none_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(certificates(&path).unwrap_err().contains("No such file"));
        std::fs::write(&path, "not PEM").unwrap();
        assert_eq!(certificates(&path).unwrap_err(), "no certificate in it");
    }
}
