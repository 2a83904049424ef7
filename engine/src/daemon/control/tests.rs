use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use utoipa::OpenApi;

use super::body::{Measurement, Status, Tenant};
use super::routes::Description;
use super::*;

const OPERATOR: &str = "operator-operator-operator";
const ACME: &str = "acme-acme-acme-acme-acme";

fn interface() -> (tempfile::TempDir, Control) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, token).unwrap();
        path
    };
    let acme = Caller::Tenant("acme".into());
    let tokens = vec![(file("o", OPERATOR), Caller::Operator), (file("a", ACME), acme)];
    let control = Control::listen(&ControlOptions { tokens, ..ControlOptions::default() }).unwrap();
    let tenant = |name: &str| Tenant { name: name.into(), ..Tenant::default() };
    let measurement =
        |of: &str| Measurement { tenant: of.into(), name: "<web>".into(), ..Measurement::default() };
    control.publish(Snapshot {
        status: Status { node: "fra1".into(), ..Status::default() },
        tenants: vec![tenant("acme"), tenant("globex")],
        measurements: vec![measurement("acme"), measurement("globex")],
    });
    (dir, control)
}

/// Asks, while another thread does as a main thread does.
fn ask(
    control: Control,
    otherwise: Option<Caller>,
    asked: Vec<(Method, String, Option<&str>)>,
) -> Vec<(StatusCode, String)> {
    let router = routes::router(Arc::clone(&control.shared), otherwise);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let main = thread::spawn(move || {
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            match control.order() {
                Some(Order::Pause { tenant, reply } | Order::Resume { tenant, reply }) => {
                    drop(reply.send(Ok(tenant)));
                }
                Some(Order::Reload { reply }) => drop(reply.send(Err("m.toml:1:1: no".into()))),
                Some(Order::Drain { reply }) => drop(reply.send(Ok("draining".into()))),
                None => thread::sleep(std::time::Duration::from_millis(1)),
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(async {
        let mut answers = Vec::new();
        for (method, route, token) in asked {
            let mut question = Request::builder().method(method).uri(route);
            if let Some(token) = token {
                question = question.header("authorization", format!("Bearer {token}"));
            }
            let question = question.body(Body::empty()).unwrap();
            let answer = tower_service_call(router.clone(), question).await;
            let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap().to_bytes());
            answers.push((status, String::from_utf8(body.to_vec()).unwrap()));
        }
        answers
    });
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    main.join().unwrap();
    answers
}

async fn tower_service_call(mut router: axum::Router, question: Request<Body>) -> axum::response::Response {
    use tower_service::Service;
    router.call(question).await.unwrap()
}

/// Every route of the description, with its methods.
fn described() -> Vec<(Method, String)> {
    let description = serde_json::to_value(Description::openapi()).unwrap();
    let paths: BTreeMap<String, serde_json::Value> =
        serde_json::from_value(description["paths"].clone()).unwrap();
    let methods = |(path, methods): (String, serde_json::Value)| {
        let names: Vec<String> =
            methods.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        names.into_iter().map(move |name| (name.parse().unwrap(), path.clone()))
    };
    paths.into_iter().flat_map(methods).collect()
}

#[test]
fn every_described_route_answers_its_own_and_refuses_strangers() {
    let routes = described();
    assert!(routes.len() >= 8, "{routes:?}");
    let of = |tenant: &str| -> Vec<(Method, String)> {
        routes.iter().map(|(method, route)| (method.clone(), route.replace("{name}", tenant))).collect()
    };
    let with = |routes: Vec<(Method, String)>, token: Option<&'static str>| {
        routes.into_iter().map(|(method, route)| (method, route, token)).collect::<Vec<_>>()
    };
    let (_dir, control) = interface();
    for ((_, route), (status, body)) in
        of("globex").iter().zip(ask(control, None, with(of("globex"), Some(OPERATOR))))
    {
        let expected = if route == "/v1/reload" { StatusCode::CONFLICT } else { StatusCode::OK };
        assert_eq!(status, expected, "{route}: {body}");
        assert!(route != "/v1/tenants" || body.contains("acme") && body.contains("globex"), "{body}");
    }
    for token in [None, Some("acme-acme-acme-acme-acmf")] {
        let (_dir, control) = interface();
        for (status, body) in ask(control, None, with(of("acme"), token)) {
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
        }
    }
    // Another tenant is not there, the node is not theirs, and of lists they see their own.
    let (_dir, control) = interface();
    for ((_, route), (status, body)) in
        of("globex").iter().zip(ask(control, None, with(of("globex"), Some(ACME))))
    {
        let expected = match route.as_str() {
            "/v1/tenants" | "/v1/measurements" => StatusCode::OK,
            route if route.contains("globex") => StatusCode::NOT_FOUND,
            _ => StatusCode::FORBIDDEN,
        };
        assert_eq!(status, expected, "{route}: {body}");
        assert!(
            expected != StatusCode::OK || body.contains("acme") && !body.contains("globex"),
            "{route}: {body}"
        );
    }
    let (_dir, control) = interface();
    let own = of("acme").into_iter().filter(|(_, route)| route.contains("acme")).collect();
    for (status, body) in ask(control, None, with(own, Some(ACME))) {
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

#[test]
fn the_page_shows_what_is_the_callers_and_no_name_is_markup() {
    let (_dir, control) = interface();
    let page = |token| (Method::GET, "/".to_owned(), token);
    let answers = ask(
        control,
        Some(Caller::Operator),
        vec![page(None), page(Some(ACME)), (Method::GET, "/x".into(), None)],
    );
    assert!(
        answers[0].1.contains("globex")
            && answers[0].1.contains("&lt;web&gt;")
            && !answers[0].1.contains("<web>")
    );
    assert!(answers[1].1.contains("acme") && !answers[1].1.contains("globex"), "{}", answers[1].1);
    assert_eq!(answers[2].0, StatusCode::NOT_FOUND);
}

#[test]
fn a_socket_that_was_left_behind_is_taken_over_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("run/control.sock");
    let options = ControlOptions { socket: Some((socket.clone(), 0o600)), ..ControlOptions::default() };
    let first = Control::listen(&options).unwrap();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Control::listen(&options), Err(ControlError::InUse(_))));
    // As after SIGKILL: the name stays, and nobody listens.
    let mut first = first;
    first.path = None;
    drop(first);
    drop(Control::listen(&options).unwrap());
    assert!(!socket.exists(), "taken away at the end");
}
