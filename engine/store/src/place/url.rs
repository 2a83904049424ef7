//! Where an archive is, in a user's words.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use object_store::ObjectStoreScheme;
use object_store::path::Path as Key;

/// A URL of a directory or of a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceUrl {
    text: String,
    scheme: ObjectStoreScheme,
    prefix: Key,
}

/// Not a URL of a place.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a place is file:///DIRECTORY, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or az://CONTAINER/PREFIX with the account \
     in AZURE_STORAGE_ACCOUNT_NAME"
)]
pub struct NotAPlace;

impl PlaceUrl {
    /// The URL of a local directory.
    #[must_use]
    pub fn of_dir(dir: &Path) -> PlaceUrl {
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        PlaceUrl {
            text: format!("file://{}", absolute.display()),
            scheme: ObjectStoreScheme::Local,
            prefix: Key::default(),
        }
    }

    /// The directory, where it is one.
    #[must_use]
    pub fn dir(&self) -> Option<PathBuf> {
        self.text.strip_prefix("file://").map(PathBuf::from)
    }

    pub(super) fn scheme(&self) -> &ObjectStoreScheme {
        &self.scheme
    }

    pub(super) fn prefix(&self) -> &Key {
        &self.prefix
    }
}

impl FromStr for PlaceUrl {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<PlaceUrl, NotAPlace> {
        let text = text.trim_end_matches('/').to_owned();
        if let Some(path) = text.strip_prefix("file://") {
            // Taken as it is: a path with a percent sign is a path with a percent sign.
            return if path.starts_with('/') {
                Ok(PlaceUrl::of_dir(Path::new(path)))
            } else {
                Err(NotAPlace)
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or(NotAPlace)?;
        let scheme = match scheme {
            "s3" => ObjectStoreScheme::AmazonS3,
            "gs" => ObjectStoreScheme::GoogleCloudStorage,
            "az" => ObjectStoreScheme::MicrosoftAzure,
            _ => return Err(NotAPlace),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_bucket = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_bucket) {
            return Err(NotAPlace);
        }
        let prefix = Key::parse(prefix).map_err(|_| NotAPlace)?;
        Ok(PlaceUrl { text, scheme, prefix })
    }
}

impl fmt::Display for PlaceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_from_what_is_none() {
        for good in ["file:///var/lib/megaping", "s3://bucket", "s3://b.c-d/a/b", "gs://b/x", "az://c/x"] {
            assert_eq!(good.parse::<PlaceUrl>().unwrap().to_string(), good);
        }
        for bad in
            ["", "/var/lib", "file://relative", "s3://", "s3:///x", "ftp://x/y", "s3://b/../x", "s3://b?x/y"]
        {
            assert!(bad.parse::<PlaceUrl>().is_err(), "{bad}");
        }
        assert_eq!("s3://b/x/".parse::<PlaceUrl>().unwrap().prefix().as_ref(), "x");
        assert_eq!("file:///a/".parse::<PlaceUrl>().unwrap().dir(), Some(PathBuf::from("/a")));
    }
}
