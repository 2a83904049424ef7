//! HTTPS with certificates of one's own. The server speaks HTTP alone: a few lines of Python stand before it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::ledger::Ledger;
use crate::{MEGAPING, start_with_schema};

const TLS: &str = "
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
def serve(near):
    try: near = context.wrap_socket(near, server_side=True)
    except OSError: return
    far = socket.create_connection(('127.0.0.1', int(sys.argv[3])))
    threading.Thread(target=copy, args=(far, near), daemon=True).start()
    copy(near, far)
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

/// An authority, and a certificate of it for 127.0.0.1.
const CERTIFICATES: &str = "
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=ours -days 2
openssl req -x509 $key -keyout other.key -out other.pem -subj /CN=others -days 2
openssl req $key -keyout leaf.key -out leaf.csr -subj /CN=db
echo subjectAltName=IP:127.0.0.1 > extensions
openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out leaf.pem";

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proxy(dir: &Path, to: u16) -> (Proxy, u16) {
    let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(dir).stderr(Stdio::null()).status();
    assert!(made.unwrap().success(), "openssl makes certificates; scripts/setup test installs it");
    let mut command = Command::new("python3");
    command.args(["-c", TLS, "leaf.pem", "leaf.key", &to.to_string()]).current_dir(dir);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Proxy(child), line.trim().parse().unwrap())
}

#[test]
fn https_with_a_private_authority_and_with_no_other() {
    let server = start_with_schema();
    let dir = tempfile::tempdir().unwrap();
    let (_proxy, port) = proxy(dir.path(), server.http);
    let mut ledger = Ledger::default();
    ledger.spool(dir.path(), 1_000, 2);
    let upload = |more: &[&str]| {
        let mut command = Command::new(MEGAPING);
        command
            .args(["upload", "--clickhouse", &format!("https://127.0.0.1:{port}"), "--spool"])
            .arg(dir.path());
        let output = command.args(more).output().unwrap();
        let tally: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (tally["rows_uploaded"].as_u64(), String::from_utf8(output.stderr).unwrap())
    };
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for strangers in [&["--within", "0.5"][..], &["--within", "0.5", "--clickhouse-ca", &file("other.pem")]] {
        let (rows, text) = upload(strangers);
        assert!(rows == Some(0) && text.contains("certificate"), "{text}");
    }
    let (rows, text) = upload(&["--within", "20", "--clickhouse-ca", &file("ca.pem")]);
    assert_eq!(rows, Some(1_000), "{text}");
    ledger.assert_equals(&server, "https");
    let (rows, text) = upload(&["--clickhouse-ca", &file("leaf.csr")]);
    assert!(rows.is_none() && text.contains("no certificate in it"), "{text}");
}
