//! A ClickHouse server of one's own: `scripts/clickhouse-server`, which `scripts/setup test` installs.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use megaping_store::clickhouse::{Client, Endpoint, Password, Server, Timeouts};

/// A server of one's own, which ends with it.
pub struct ClickHouse {
    pub dir: tempfile::TempDir,
    pub http: u16,
    tcp: u16,
    child: Child,
}

/// A port that no other test of this program gets, and that no outgoing connection takes.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 15_000 + (std::process::id() % 160) as u16 * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(dir: &Path, http: u16, tcp: u16, shards: &[u16]) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/clickhouse-server");
    let mut command = Command::new(script);
    command
        .arg(dir)
        .args([http, tcp].iter().chain(shards).map(u16::to_string))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("python3 is there")
}

impl ClickHouse {
    pub fn start() -> ClickHouse {
        ClickHouse::start_on(free_port(), &[])
    }

    /// Two servers, each a shard of the cluster `megaping`.
    pub fn start_two() -> [ClickHouse; 2] {
        let ports = [free_port(), free_port()];
        ports.map(|tcp| ClickHouse::start_on(tcp, &ports))
    }

    fn start_on(tcp: u16, shards: &[u16]) -> ClickHouse {
        let (dir, http) = (tempfile::tempdir().unwrap(), free_port());
        let child = spawn(dir.path(), http, tcp, shards);
        let server = ClickHouse { dir, http, tcp, child };
        server.wait();
        server
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn restart(&mut self) {
        self.child = spawn(self.dir.path(), self.http, self.tcp, &[]);
        self.wait();
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.try_query("SELECT 1").is_err() {
            assert!(Instant::now() < deadline, "the server does not start; run 'scripts/setup test'");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn try_query(&self, sql: &str) -> Result<String, String> {
        self.query_as(None, sql)
    }

    /// Asks in a database.
    pub fn query_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let endpoint: Endpoint = format!("http://127.0.0.1:{}/{database}", self.http).parse().unwrap();
        Self::ask(&endpoint, None, sql)
    }

    /// Asks as somebody without a password; none: as the server's default user.
    pub fn query_as(&self, user: Option<&str>, sql: &str) -> Result<String, String> {
        let endpoint: Endpoint = format!("http://127.0.0.1:{}/default", self.http).parse().unwrap();
        Self::ask(&endpoint, user, sql)
    }

    fn ask(endpoint: &Endpoint, user: Option<&str>, sql: &str) -> Result<String, String> {
        let server = Server {
            endpoints: vec![endpoint.clone()],
            user: user.map(str::to_owned),
            password: Password::None,
            ca: None,
        };
        let client = Client::new(server, Timeouts::default()).unwrap();
        client.query(endpoint, sql).map(|text| text.trim().to_owned()).map_err(|e| e.to_string())
    }

    pub fn query(&self, sql: &str) -> String {
        self.try_query(sql).unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/megaping", self.http)
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.kill();
    }
}
