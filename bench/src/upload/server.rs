//! A `ClickHouse` server that is measured: `scripts/clickhouse-server`.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use megaping_store::clickhouse::{Client, Endpoint, Password, Server, Timeouts};
use megaping_store::schema::{self, Layout};

use crate::Result;

/// Nanoseconds of a tick of /proc/PID/stat (`sysconf(_SC_CLK_TCK)` is 100 on every Linux there is).
const TICK_NS: u64 = 10_000_000;

/// It ends with this.
pub struct ClickHouse {
    child: Child,
    http: u16,
}

impl ClickHouse {
    /// Starts one with our tables.
    pub fn start(dir: &Path) -> Result<ClickHouse> {
        let port = || -> Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (http, tcp) = (port()?, port()?);
        let mut command = Command::new("scripts/clickhouse-server");
        command.arg(dir).args([http.to_string(), tcp.to_string()]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child
            .map_err(|error| format!("scripts/clickhouse-server: {error}; run this in the repository"))?;
        let server = ClickHouse { child, http };
        let begun = Instant::now();
        while server.query("default", "SELECT 1").is_err() {
            if begun.elapsed() > Duration::from_mins(1) {
                return Err("the server does not start: run 'scripts/setup test'".into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        server.make_tables("megaping")?;
        Ok(server)
    }

    /// Makes our tables in another database.
    pub fn make_tables(&self, database: &str) -> Result<()> {
        let endpoint: Endpoint = self.url(database).parse()?;
        schema::apply(&client(&endpoint)?, &endpoint, &Layout::default())?;
        Ok(())
    }

    /// Where a database of it is.
    pub fn url(&self, database: &str) -> String {
        format!("http://127.0.0.1:{}/{database}", self.http)
    }

    /// Asks it.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        let endpoint: Endpoint = self.url(database).parse()?;
        Ok(client(&endpoint)?.query(&endpoint, sql)?.trim().to_owned())
    }

    /// Posts a body as it is, as any HTTP client would.
    pub fn post(&self, target: &str, encoding: &str, body: &[u8]) -> Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.into()) }
    }

    /// Processor time that it took so far.
    pub fn cpu_ns(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name in parentheses, which may hold anything: state is the 3rd field, utime the 14th, stime the 15th.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<u64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).ok_or("/proc/PID/stat is not as proc(5) has it")?;
        Ok((user + system) * TICK_NS)
    }

    /// Fails unless it has so many results, and its rollup, too.
    pub fn expect_rows(&self, database: &str, count: u64) -> Result<()> {
        let sql = "SELECT (SELECT count() FROM results), (SELECT sum(scheduled) FROM results_1m)";
        let has = self.query(database, sql)?;
        if has == format!("{count}\t{count}") {
            Ok(())
        } else {
            Err(format!("{has} rows, and not {count}").into())
        }
    }
}

fn client(endpoint: &Endpoint) -> Result<Client> {
    let endpoints = vec![endpoint.clone()];
    Ok(Client::new(
        Server { endpoints, user: None, password: Password::None, ca: None },
        Timeouts::default(),
    )?)
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
