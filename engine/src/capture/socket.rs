//! The sockets of captures: for the owner and a group, and for tenants, who show a token.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::CaptureOptions;

/// Why there is no tap.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The socket.
    #[error("{}: cannot be listened on: {source}; name another --capture, or remove what is there", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{}: another megaping listens there: name another --capture", .0.display())]
    InUse(PathBuf),
}

/// A socket that is listened on, and taken away when this is dropped.
#[derive(Debug)]
struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// What is listened on.
#[derive(Debug)]
pub struct Sockets {
    operators: Socket,
    tenants: Option<Socket>,
}

impl Sockets {
    /// The next who came, and whether it has to show a token.
    pub(super) fn accept(&self) -> Option<(UnixStream, bool)> {
        let of = |socket: &Socket| socket.listener.accept().ok().map(|(stream, _)| stream);
        let operator = of(&self.operators).map(|stream| (stream, false));
        operator.or_else(|| self.tenants.as_ref().and_then(of).map(|stream| (stream, true)))
    }
}

/// Listens: for this user alone, or for a group, too; and for whoever has a tenant's token, where that is asked for.
///
/// # Errors
/// [`CaptureError`].
pub fn listen(options: &CaptureOptions) -> Result<Sockets, CaptureError> {
    let mode = if options.group.is_some() { 0o660 } else { 0o600 };
    let operators = bind(&options.socket, options.group, mode)?;
    let tenants = options.tenants.as_deref().map(|path| bind(path, None, 0o666)).transpose()?;
    Ok(Sockets { operators, tenants })
}

fn bind(path: &Path, group: Option<u32>, mode: u32) -> Result<Socket, CaptureError> {
    let failed = |source| CaptureError::Socket { path: path.to_owned(), source };
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_socket()) {
        match UnixStream::connect(path) {
            Ok(_) => return Err(CaptureError::InUse(path.to_owned())),
            Err(_) => std::fs::remove_file(path).map_err(failed)?,
        }
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let set = |mode| std::fs::set_permissions(path, Permissions::from_mode(mode));
    // The group between the two: nobody who is not meant can open it at any time.
    let ready = set(0o600).and_then(|()| chown(path, None, group)).and_then(|()| set(mode));
    ready.and_then(|()| listener.set_nonblocking(true)).map_err(failed)?;
    Ok(Socket { listener, path: path.to_owned() })
}
