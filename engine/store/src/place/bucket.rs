//! Files in a bucket of S3, Google Cloud Storage or Azure.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{
    Error, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use super::fetch::Fetched;
use super::http::Connector;
use super::{Entry, PlaceUrl, Put};
use crate::StoreError;

/// What is longer goes up in parts of this length; S3 wants at least 5 MiB of each but the last.
const PART: usize = 8 << 20;
/// An object below the prefix by which the store is tried: it is made once and stays.
const PROBE: &str = "_megaping/probe";
/// A request is tried again for this long; then the archiver tells, and begins anew.
const RETRY: Duration = Duration::from_secs(30);

/// A prefix in a bucket.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Key,
    runtime: Runtime,
    url: PlaceUrl,
    conditional: OnceLock<bool>,
}

impl Bucket {
    /// A bucket that nothing was asked of yet. Credentials come from the environment, as the cloud's own tools take
    /// them, or from the machine's role.
    pub fn new(url: &PlaceUrl) -> Result<Bucket, StoreError> {
        let failed =
            |source| StoreError::Place { operation: "open", url: url.to_string(), source: Box::new(source) };
        let retry = RetryConfig { retry_timeout: RETRY, max_retries: 6, ..RetryConfig::default() };
        let text = url.to_string();
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            ObjectStoreScheme::AmazonS3 => {
                let allow_http = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
                    .iter()
                    .any(|name| std::env::var(name).is_ok_and(|value| value.starts_with("http://")));
                let builder = AmazonS3Builder::from_env().with_url(text).with_retry(retry);
                let builder = builder.with_http_connector(Connector::new()).with_allow_http(allow_http);
                Arc::new(builder.build().map_err(failed)?)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(text).with_retry(retry);
                Arc::new(builder.with_http_connector(Connector::new()).build().map_err(failed)?)
            }
            _ => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(text).with_retry(retry);
                Arc::new(builder.with_http_connector(Connector::new()).build().map_err(failed)?)
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(StoreError::io("start a runtime for", Path::new(".")))?;
        Ok(Bucket {
            store,
            prefix: url.prefix().clone(),
            runtime,
            url: url.clone(),
            conditional: OnceLock::new(),
        })
    }

    fn key(&self, name: &str) -> Key {
        self.prefix.parts().chain(Key::from(name).parts()).collect()
    }

    fn failed<'a>(&'a self, operation: &'static str, name: &'a str) -> impl Fn(Error) -> StoreError + 'a {
        move |source| StoreError::Place {
            operation,
            url: format!("{}/{name}", self.url),
            source: Box::new(source),
        }
    }

    /// Whether the store refuses to overwrite when it is asked to: tried on it, never assumed. Two attempts to make
    /// the same object, of which the second has to fail.
    pub fn is_conditional(&self) -> Result<bool, StoreError> {
        if let Some(&known) = self.conditional.get() {
            return Ok(known);
        }
        let mut honoured = false;
        for _ in 0..2 {
            match self.create(PROBE, b"megaping looks here whether this store honours conditional writes\n") {
                Ok(()) => {}
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => honoured = true,
                Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => break,
                Err(error) => return Err(self.failed("try to write", PROBE)(error)),
            }
        }
        Ok(*self.conditional.get_or_init(|| honoured))
    }

    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let payload = PutPayload::from(Bytes::copy_from_slice(bytes));
        let options = PutOptions::from(PutMode::Create);
        self.runtime.block_on(self.store.put_opts(&self.key(name), payload, options)).map(drop)
    }

    /// Makes an object that only one process can make; false: there is one.
    pub fn claim(&self, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        match self.create(name, bytes) {
            Ok(()) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed("write", name)(error)),
        }
    }

    /// Every object below the prefix whose name begins with `under`, a whole number of path elements.
    pub fn list(&self, under: &str) -> Result<Vec<Entry>, StoreError> {
        let from = self.key(under);
        let mut entries = Vec::new();
        let mut pages = self.store.list(Some(&from));
        loop {
            let next = self.runtime.block_on(std::future::poll_fn(|cx| pages.as_mut().poll_next(cx)));
            let Some(meta) = next.transpose().map_err(self.failed("list", under))? else { break };
            let Some(rest) = meta.location.prefix_match(&self.prefix) else { continue };
            let name = rest.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
            let modified = u64::try_from(meta.last_modified.timestamp()).unwrap_or(0);
            entries.push(Entry { name, bytes: meta.size, modified_s: modified });
        }
        entries.sort();
        Ok(entries)
    }

    /// Puts a file there, whole or not at all. One of the same name and length is the same: names follow from content.
    pub fn put(&self, name: &str, path: &Path) -> Result<Put, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        let len = file.metadata().map_err(StoreError::io("read", path))?.len();
        if len > PART as u64 {
            if self.len(name)? == Some(len) {
                return Ok(Put::Present);
            }
            return self.put_parts(name, &mut file, path).map(|()| Put::Made);
        }
        let mut bytes = Vec::with_capacity(len as usize);
        file.read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
        let mode = if self.is_conditional()? { PutMode::Create } else { PutMode::Overwrite };
        let key = self.key(name);
        let put = self.store.put_opts(&key, PutPayload::from(bytes), PutOptions::from(mode));
        match self.runtime.block_on(put) {
            Ok(_) => Ok(Put::Made),
            Err(error @ (Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                match self.len(name)? {
                    Some(there) if there == len => Ok(Put::Present),
                    _ => Err(self.failed("write", name)(error)),
                }
            }
            Err(error) => Err(self.failed("write", name)(error)),
        }
    }

    fn put_parts(&self, name: &str, file: &mut File, path: &Path) -> Result<(), StoreError> {
        let failed = self.failed("write", name);
        let mut upload = self.runtime.block_on(self.store.put_multipart(&self.key(name))).map_err(&failed)?;
        let sent = self.parts(upload.as_mut(), file, path, &failed);
        if sent.is_err() {
            // Else its parts stay, and cost, until the bucket's own rules remove them.
            let _ = self.runtime.block_on(upload.abort());
        }
        sent
    }

    fn parts(
        &self,
        upload: &mut dyn MultipartUpload,
        file: &mut File,
        path: &Path,
        failed: &impl Fn(Error) -> StoreError,
    ) -> Result<(), StoreError> {
        loop {
            let mut part = Vec::with_capacity(PART);
            file.take(PART as u64).read_to_end(&mut part).map_err(StoreError::io("read", path))?;
            if part.is_empty() {
                break;
            }
            self.runtime.block_on(upload.put_part(PutPayload::from(part))).map_err(failed)?;
        }
        self.runtime.block_on(upload.complete()).map(drop).map_err(failed)
    }

    /// The object that the prefix itself names, unless it has this `ETag`.
    pub fn fetch(&self, etag: Option<&str>, longest: u64) -> Result<Option<Fetched>, StoreError> {
        let options = GetOptions { if_none_match: etag.map(str::to_owned), ..GetOptions::default() };
        let failed = |source| StoreError::Place {
            operation: "read",
            url: self.url.to_string(),
            source: Box::new(source),
        };
        let got = self.runtime.block_on(self.store.get_opts(&self.prefix, options));
        let got = match got {
            Err(Error::NotModified { .. }) => return Ok(None),
            got => got.map_err(failed)?,
        };
        if got.meta.size > longest {
            let source = format!("{} bytes, and at most {longest} are read", got.meta.size).into();
            return Err(failed(Error::Generic { store: "object", source }));
        }
        let etag = got.meta.e_tag.clone();
        let bytes = self.runtime.block_on(got.bytes()).map_err(failed)?;
        Ok(Some(Fetched { bytes, etag }))
    }

    /// Length of an object; none where there is none.
    pub fn len(&self, name: &str) -> Result<Option<u64>, StoreError> {
        match self.runtime.block_on(self.store.head(&self.key(name))) {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look at", name)(error)),
        }
    }

    /// Bytes of an object.
    pub fn range(&self, name: &str, from: u64, len: u64) -> Result<Bytes, Error> {
        self.runtime.block_on(self.store.get_range(&self.key(name), from..from + len))
    }

    /// Removes an object; one that is gone already is fine.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.runtime.block_on(self.store.delete(&self.key(name))) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("remove", name)(error)),
        }
    }
}
