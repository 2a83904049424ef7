//! What the flags about `ClickHouse` mean.

use std::path::PathBuf;
use std::time::Duration;

use megaping_store::clickhouse::{Password, Server, Timeouts};
use megaping_store::upload::UploadOptions;

use super::args::{ServerArgs, UploadArgs};

/// The password itself; a flag for it would show it to everyone on this machine.
const PASSWORD: &str = "MEGAPING_CLICKHOUSE_PASSWORD";

/// A run of `megaping upload`, checked.
#[derive(Clone, PartialEq, Debug)]
pub struct SpoolUpload {
    /// The store whose spool is sent.
    pub dir: PathBuf,
    /// When to give up; none: never.
    pub within: Option<Duration>,
    /// How it is sent.
    pub options: UploadOptions,
}

pub(super) fn server(args: ServerArgs) -> Server {
    let password = match (args.clickhouse_password_file, std::env::var(PASSWORD)) {
        (Some(path), _) => Password::File(path),
        (None, Ok(value)) => Password::Value(value),
        (None, Err(_)) => Password::None,
    };
    Server { endpoints: args.clickhouse, user: args.clickhouse_user, password, ca: args.clickhouse_ca }
}

pub(super) fn upload(args: UploadArgs) -> SpoolUpload {
    SpoolUpload {
        dir: args.spool,
        within: args.within.map(Duration::from_nanos),
        options: UploadOptions {
            server: server(args.server),
            tenant: args.tenant,
            timeouts: Timeouts::default(),
            parallel: args.parallel.into(),
            bytes_per_s: args.bandwidth,
        },
    }
}
