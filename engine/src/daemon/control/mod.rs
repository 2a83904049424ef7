//! The control interface: HTTP on a Unix-domain socket, and on TCP where it is asked for.
//!
//! Whoever may open the socket is the operator: its mode decides. On TCP everybody needs a token, and a tenant's token
//! shows that tenant and nothing else. A thread of its own serves it; what it says was published by the main thread, and
//! what it is told it passes on to that, so that no request can hold up anything that probes.

mod auth;
pub mod body;
mod client;
mod page;
mod routes;
#[cfg(test)]
mod tests;

use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, Thread};

use tokio::sync::oneshot;

pub use auth::Caller;
use auth::Tokens;
use body::Snapshot;
pub use client::{ClientError, ControlRequest, What, run};

/// Where the interface is, and who may use it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ControlOptions {
    /// The Unix-domain socket, and its mode.
    pub socket: Option<(PathBuf, u32)>,
    /// The TCP address.
    pub listen: Option<SocketAddr>,
    /// Files with tokens, and whose they are.
    pub tokens: Vec<(PathBuf, Caller)>,
}

/// How an order ended: what was done, or why it was not.
pub type Reply = oneshot::Sender<Result<String, String>>;

/// What the main thread is told to do.
#[derive(Debug)]
#[expect(missing_docs, reason = "the routes say what they do")]
pub enum Order {
    Pause { tenant: String, reply: Reply },
    Resume { tenant: String, reply: Reply },
    Reload { reply: Reply },
    Drain { reply: Reply },
}

/// What the main thread and the interface's share.
#[derive(Debug)]
pub struct Shared {
    snapshot: Mutex<Arc<Snapshot>>,
    tokens: Mutex<Arc<Tokens>>,
    orders: Mutex<mpsc::Sender<Order>>,
    main: Thread,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.snapshot))
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&lock(&self.tokens))
    }

    fn order(&self, order: Order) {
        // Nobody receives when the process ends: the reply is dropped, which says so.
        let _ = lock(&self.orders).send(order);
        self.main.unpark();
    }
}

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ControlError {
    #[error("{}: cannot be listened on: {source}; name another control.socket, or remove what is there", .path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("{}: another megaping listens there: stop it, or name another control.socket", .0.display())]
    InUse(PathBuf),
    #[error("{address}: cannot be listened on: {source}; name another control.listen")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Token(String),
}

/// The interface, from the main thread's side. Dropping it takes the socket's name away.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    unix: Option<UnixListener>,
    tcp: Option<TcpListener>,
    path: Option<PathBuf>,
}

impl Control {
    /// Listens; nothing is served before [`Control::serve`]. By the thread that will take the orders.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn listen(options: &ControlOptions) -> Result<Control, ControlError> {
        let tokens = Tokens::read(&options.tokens).map_err(ControlError::Token)?;
        let unix = options.socket.as_ref().map(|(path, mode)| bind(path, *mode)).transpose()?;
        let tcp = options.listen.map(|address| {
            let listener = TcpListener::bind(address).and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp));
            listener.map_err(|source| ControlError::Listen { address, source })
        });
        let (orders, inbox) = mpsc::channel();
        let shared = Shared {
            snapshot: Mutex::default(),
            tokens: Mutex::new(Arc::new(tokens)),
            orders: Mutex::new(orders),
            main: thread::current(),
        };
        let path = options.socket.as_ref().map(|(path, _)| path.clone());
        Ok(Control { shared: Arc::new(shared), orders: inbox, unix, tcp: tcp.transpose()?, path })
    }

    /// Starts the thread that answers.
    ///
    /// # Errors
    /// That there is no thread to be had.
    pub fn serve(&mut self) -> io::Result<()> {
        let (unix, tcp, shared) = (self.unix.take(), self.tcp.take(), Arc::clone(&self.shared));
        if unix.is_none() && tcp.is_none() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let body = move || {
            runtime.block_on(async move {
                let tcp = tcp.and_then(|tcp| tokio::net::TcpListener::from_std(tcp).ok());
                let unix = unix.and_then(|unix| tokio::net::UnixListener::from_std(unix).ok());
                let by_tcp = routes::router(Arc::clone(&shared), None);
                let by_unix = routes::router(shared, Some(Caller::Operator));
                let one = async {
                    if let Some(tcp) = tcp {
                        drop(axum::serve(tcp, by_tcp).await);
                    }
                };
                let other = async {
                    if let Some(unix) = unix {
                        drop(axum::serve(unix, by_unix).await);
                    }
                };
                tokio::join!(one, other)
            });
        };
        // It ends with the process: no request takes longer than reading a list.
        thread::Builder::new().name("control".into()).spawn(body).map(drop)
    }

    /// Says how things are.
    pub fn publish(&self, snapshot: Snapshot) {
        *lock(&self.shared.snapshot) = Arc::new(snapshot);
    }

    /// Whose a token is, of the tenants.
    #[must_use]
    pub fn tenants(&self) -> crate::capture::Tokens {
        let shared = Arc::clone(&self.shared);
        Box::new(move |token| match shared.tokens().of(token) {
            Some(Caller::Tenant(name)) => Some(name),
            _ => None,
        })
    }

    /// Knows these tokens from now on.
    ///
    /// # Errors
    /// A sentence that names the file; those before stay known.
    pub fn learn(&self, tokens: &[(PathBuf, Caller)]) -> Result<(), String> {
        *lock(&self.shared.tokens) = Arc::new(Tokens::read(tokens)?);
        Ok(())
    }

    /// The next order, if there is one.
    #[must_use]
    pub fn order(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _gone = std::fs::remove_file(path);
        }
    }
}

/// A socket that a process left behind, which nobody listens on, is taken over.
fn bind(path: &Path, mode: u32) -> Result<UnixListener, ControlError> {
    let failed = |source| ControlError::Socket { path: path.to_owned(), source };
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
        match UnixStream::connect(path) {
            Ok(_) => return Err(ControlError::InUse(path.to_owned())),
            Err(_) => std::fs::remove_file(path).map_err(failed)?,
        }
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let set = std::fs::set_permissions(path, Permissions::from_mode(mode));
    set.and_then(|()| listener.set_nonblocking(true)).map_err(failed)?;
    Ok(listener)
}
