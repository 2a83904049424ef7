//! The HTTP client that `object_store` works with: the one that talks to `ClickHouse`, too.
//!
//! Calls block. Only [`super::bucket`] makes them, one at a time, in a runtime of its own that has nothing else to do.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use ureq::Agent;

/// Name lookup, connection and TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// A body of at most [`MAX_BODY`] in either direction, and the server's work.
const WORK: Duration = Duration::from_mins(2);
/// No answer that we ask for is longer.
const MAX_BODY: u64 = 256 << 20;

/// Makes clients; all of them share connections.
#[derive(Debug)]
pub struct Connector(Agent);

impl Connector {
    pub fn new() -> Connector {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("megaping/", env!("CARGO_PKG_VERSION")))
            .allow_non_standard_methods(true)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_send_body(Some(WORK))
            .timeout_recv_response(Some(WORK))
            .timeout_recv_body(Some(WORK))
            .build();
        Connector(agent.into())
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.0.clone())))
    }
}

#[derive(Debug)]
struct Service(Agent);

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let has_body = !body.is_empty() || matches!(head.method.as_str(), "PUT" | "POST");
        let answer = if has_body {
            self.0.run(ureq::http::Request::from_parts(head, &body[..]))
        } else {
            self.0.run(ureq::http::Request::from_parts(head, ()))
        };
        let (head, mut body) = answer.map_err(failed)?.into_parts();
        let bytes = body.with_config().limit(MAX_BODY).read_to_vec().map_err(failed)?;
        Ok(HttpResponse::from_parts(head, Bytes::from(bytes).into()))
    }
}

/// The kind decides whether the request is tried again.
fn failed(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::ConnectionRefused => {
            HttpErrorKind::Connect
        }
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
