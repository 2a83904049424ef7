//! Single objects by their URL, fetched again only when they have changed.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use bytes::Bytes;
use ureq::Agent;

use super::PlaceUrl;
use super::bucket::Bucket;

/// No list and no configuration is longer.
const LONGEST: u64 = 256 << 20;
/// Of a whole request to a web server.
const PATIENCE: Duration = Duration::from_mins(1);

/// An object, and what tells this state of it from another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// What it says.
    pub bytes: Bytes,
    /// Its `ETag`; none where the server gives none.
    pub etag: Option<String>,
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{url}: cannot be fetched: {why}")]
pub struct FetchError {
    url: String,
    why: String,
}

/// Fetches `url` (`file://`, `http(s)://`, `s3://`, `gs://`, `az://`), unless it is the one with this `ETag` still: then
/// none.
///
/// # Errors
/// [`FetchError`]
pub fn fetch(url: &str, etag: Option<&str>) -> Result<Option<Fetched>, FetchError> {
    let failed = |why: &dyn std::fmt::Display| FetchError { url: url.to_owned(), why: why.to_string() };
    if url.starts_with("http://") || url.starts_with("https://") {
        return from_web(url, etag).map_err(|error| failed(&error));
    }
    let place: PlaceUrl = url
        .parse()
        .map_err(|_| failed(&"it is no URL that is known: file://, https://, s3://, gs:// and az:// are"))?;
    let Some(path) = place.dir() else {
        let fetched = Bucket::new(&place).and_then(|bucket| bucket.fetch(etag, LONGEST));
        return fetched.map_err(|error| failed(&error));
    };
    let meta = std::fs::metadata(&path).map_err(|error| failed(&error))?;
    let now = format!("{}.{}-{}-{}", meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino());
    if etag == Some(now.as_str()) {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(|error| failed(&error))?;
    Ok(Some(Fetched { bytes: bytes.into(), etag: Some(now) }))
}

fn from_web(url: &str, etag: Option<&str>) -> Result<Option<Fetched>, String> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("megaping/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let mut request = agent.get(url);
    if let Some(etag) = etag {
        request = request.header("If-None-Match", etag);
    }
    let mut answer = request.call().map_err(|error| error.to_string())?;
    match answer.status().as_u16() {
        200 => {}
        // RFC 9110, section 15.4.5.
        304 => return Ok(None),
        status => return Err(format!("the server says {status}")),
    }
    let etag = answer.headers().get("ETag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let bytes = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
    Ok(Some(Fetched { bytes: bytes.map_err(|error| error.to_string())?.into(), etag }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_fetched_once_and_again_when_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, "192.0.2.1\n").unwrap();
        let url = format!("file://{}", path.display());
        let first = fetch(&url, None).unwrap().unwrap();
        assert_eq!(&first.bytes[..], b"192.0.2.1\n");
        assert_eq!(fetch(&url, first.etag.as_deref()).unwrap(), None);
        std::fs::write(&path, "192.0.2.1\n192.0.2.2\n").unwrap();
        assert!(fetch(&url, first.etag.as_deref()).unwrap().is_some());
        for wrong in ["ftp://x/y", "list", "s3://"] {
            let why = fetch(wrong, None).unwrap_err().to_string();
            assert!(why.starts_with(wrong) && why.contains("s3://"), "{why}");
        }
        assert!(fetch("file:///nowhere/list", None).unwrap_err().to_string().contains("No such file"));
    }
}
