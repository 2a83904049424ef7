//! What can be asked, and how it is answered.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use utoipa::OpenApi;

use super::auth::Caller;
use super::body::{Done, Ends, Ledger, Measurement, Refusal, Status, Tenant};
use super::{Order, Shared, page};

/// The interface's description, made of the code below.
#[derive(OpenApi)]
#[openapi(
    info(title = "megaping control", description = "Watches and steers a running `megaping run`."),
    paths(status, tenants, tenant, measurements, pause, resume, reload, drain),
    components(schemas(Status, Ledger, Ends, Tenant, Measurement, Done, Refusal))
)]
pub struct Description;

type Refused = (StatusCode, Json<Refusal>);
type Answer<T> = Result<Json<T>, Refused>;

fn refusal(status: StatusCode, error: impl Into<String>) -> Refused {
    (status, Json(Refusal { error: error.into() }))
}

/// All routes. `otherwise` is who asks without a token; nobody may where there is none.
pub(super) fn router(shared: Arc<Shared>, otherwise: Option<Caller>) -> Router {
    let ask = move |State(shared): State<Arc<Shared>>, mut request: Request, next: Next| {
        let caller = shared.tokens().caller(request.headers(), otherwise.as_ref());
        async move {
            match caller {
                Some(caller) => {
                    request.extensions_mut().insert(caller);
                    next.run(request).await
                }
                None => refusal(StatusCode::UNAUTHORIZED, "give a token, as 'Authorization: Bearer TOKEN'")
                    .into_response(),
            }
        }
    };
    Router::new()
        .route("/", get(root))
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/status", get(status))
        .route("/v1/tenants", get(tenants))
        .route("/v1/tenants/{name}", get(tenant))
        .route("/v1/tenants/{name}/pause", post(pause))
        .route("/v1/tenants/{name}/resume", post(resume))
        .route("/v1/measurements", get(measurements))
        .route("/v1/reload", post(reload))
        .route("/v1/drain", post(drain))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "no such route: see /v1/openapi.json") })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), ask))
        .with_state(shared)
}

async fn root(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Response {
    match caller {
        Caller::Operator => Html(page::render(&shared.snapshot(), None)).into_response(),
        Caller::Tenant(name) => Html(page::render(&shared.snapshot(), Some(&name))).into_response(),
    }
}

async fn openapi() -> Response {
    Json(Description::openapi()).into_response()
}

/// Whether the operator asks.
fn operator(caller: &Caller) -> Result<(), Refused> {
    match caller {
        Caller::Operator => Ok(()),
        Caller::Tenant(name) => {
            Err(refusal(StatusCode::FORBIDDEN, format!("this is the operator's to ask, not {name}'s")))
        }
    }
}

/// Whether this tenant is there, and the caller's to ask for: what is another's is not there.
fn find(shared: &Shared, caller: &Caller, name: &str) -> Result<Tenant, Refused> {
    let is_theirs = match caller {
        Caller::Operator => true,
        Caller::Tenant(own) => own == name,
    };
    match shared.snapshot().tenants.iter().find(|tenant| is_theirs && tenant.name == name) {
        Some(tenant) => Ok(tenant.clone()),
        None => Err(refusal(StatusCode::NOT_FOUND, format!("there is no tenant {name:?}"))),
    }
}

/// The whole node
#[utoipa::path(get, path = "/v1/status", responses(
    (status = 200, body = Status), (status = 401, body = Refusal), (status = 403, body = Refusal)
))]
async fn status(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Answer<Status> {
    operator(&caller)?;
    Ok(Json(shared.snapshot().status.clone()))
}

/// Every tenant; of a tenant's token, that one
#[utoipa::path(get, path = "/v1/tenants", responses(
    (status = 200, body = [Tenant]), (status = 401, body = Refusal)
))]
async fn tenants(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Answer<Vec<Tenant>> {
    let snapshot = shared.snapshot();
    let is_theirs =
        |tenant: &&Tenant| caller == Caller::Operator || caller == Caller::Tenant(tenant.name.clone());
    Ok(Json(snapshot.tenants.iter().filter(is_theirs).cloned().collect()))
}

/// One tenant
#[utoipa::path(get, path = "/v1/tenants/{name}", params(("name" = String, Path, description = "the tenant")), responses(
    (status = 200, body = Tenant), (status = 401, body = Refusal), (status = 404, body = Refusal)
))]
async fn tenant(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Tenant> {
    find(&shared, &caller, &name).map(Json)
}

/// Every measurement; of a tenant's token, its own
#[utoipa::path(get, path = "/v1/measurements", responses(
    (status = 200, body = [Measurement]), (status = 401, body = Refusal)
))]
async fn measurements(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Answer<Vec<Measurement>> {
    let snapshot = shared.snapshot();
    let is_theirs =
        |one: &&Measurement| caller == Caller::Operator || caller == Caller::Tenant(one.tenant.clone());
    Ok(Json(snapshot.measurements.iter().filter(is_theirs).cloned().collect()))
}

/// A tenant's measurements rest, until they are resumed or the process ends
#[utoipa::path(post, path = "/v1/tenants/{name}/pause", params(("name" = String, Path, description = "the tenant")), responses(
    (status = 200, body = Done), (status = 401, body = Refusal), (status = 404, body = Refusal), (status = 409, body = Refusal)
))]
async fn pause(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Done> {
    find(&shared, &caller, &name)?;
    give(&shared, |reply| Order::Pause { tenant: name, reply }).await
}

/// They go on, in phase
#[utoipa::path(post, path = "/v1/tenants/{name}/resume", params(("name" = String, Path, description = "the tenant")), responses(
    (status = 200, body = Done), (status = 401, body = Refusal), (status = 404, body = Refusal), (status = 409, body = Refusal)
))]
async fn resume(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Answer<Done> {
    find(&shared, &caller, &name)?;
    give(&shared, |reply| Order::Resume { tenant: name, reply }).await
}

/// Reads the configuration anew
#[utoipa::path(post, path = "/v1/reload", responses(
    (status = 200, body = Done), (status = 401, body = Refusal), (status = 403, body = Refusal), (status = 409, body = Refusal)
))]
async fn reload(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Answer<Done> {
    operator(&caller)?;
    give(&shared, |reply| Order::Reload { reply }).await
}

/// Sends nothing more, waits for what is under way, writes it down, and ends
#[utoipa::path(post, path = "/v1/drain", responses(
    (status = 200, body = Done), (status = 401, body = Refusal), (status = 403, body = Refusal), (status = 409, body = Refusal)
))]
async fn drain(State(shared): State<Arc<Shared>>, Extension(caller): Extension<Caller>) -> Answer<Done> {
    operator(&caller)?;
    give(&shared, |reply| Order::Drain { reply }).await
}

/// Has the main thread do something; what it says is the answer.
async fn give(shared: &Shared, order: impl FnOnce(super::Reply) -> Order) -> Answer<Done> {
    let (reply, answer) = tokio::sync::oneshot::channel();
    shared.order(order(reply));
    match answer.await {
        Ok(Ok(done)) => Ok(Json(Done { done })),
        Ok(Err(error)) => Err(refusal(StatusCode::CONFLICT, error)),
        Err(_) => Err(refusal(StatusCode::CONFLICT, "the engine is ending")),
    }
}
