//! Configuration and lists from elsewhere: a bucket is the fleet's control plane, so there is nothing to run.
//!
//! ```text
//!   s3://..., https://... --(when its ETag has changed)--> signed? --> a copy in the state directory --> watched as any file
//! ```
//!
//! A node that cannot reach the bucket goes on, and starts again, by its copies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use megaping_store::place::fetch;
use minisign_verify::{PublicKey, Signature};

use crate::say::say;

/// Somebody who opts out is heard within a minute.
pub const EVERY: Duration = Duration::from_secs(20);
/// Names of copies end in it while they are written.
const PARTIAL: &str = "partial";

/// Where copies are, and whose signature they must bear.
#[derive(Clone, PartialEq, Debug)]
pub struct Remote {
    /// The directory of copies.
    pub state: PathBuf,
    /// The key that they are signed with, in the way of minisign, if they have to be.
    pub key: Option<PublicKey>,
}

/// A copy of what is elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copy {
    /// Where it is here.
    pub path: PathBuf,
    /// Why it may be old.
    pub note: Option<String>,
}

/// Reads a public key as minisign prints it.
///
/// # Errors
/// A sentence.
pub fn public_key(text: &str) -> Result<PublicKey, String> {
    PublicKey::from_base64(text)
        .map_err(|_| "a public key of minisign is wanted, the last line of minisign.pub: RW...".to_owned())
}

/// The URL that a path stands for, where it is one.
#[must_use]
pub fn url_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.contains("://"))
}

impl Remote {
    /// Fetches what has changed, and returns where the copy is; an old one where it cannot be fetched now.
    ///
    /// # Errors
    /// That there is none at all: a sentence that names the URL.
    pub fn copy(&self, url: &str) -> Result<Copy, String> {
        let path = self.place(url);
        match self.refresh(url) {
            Ok(_) => Ok(Copy { path, note: None }),
            Err(why) if path.exists() => Ok(Copy { path, note: Some(format!("{why}; the copy is used")) }),
            Err(why) => Err(why),
        }
    }

    /// Fetches what has changed; whether anything has.
    fn refresh(&self, url: &str) -> Result<bool, String> {
        let path = self.place(url);
        let etag_path = path.with_extension("etag");
        let etag = fs::read_to_string(&etag_path).ok().filter(|_| path.exists());
        let fetched = fetch(url, etag.as_deref()).map_err(|error| error.to_string())?;
        let Some(fetched) = fetched else { return Ok(false) };
        if let Some(key) = &self.key {
            let signature = format!("{url}.minisig");
            let signature = fetch(&signature, None).map_err(|error| error.to_string())?;
            let text = signature.map(|fetched| String::from_utf8_lossy(&fetched.bytes).into_owned());
            let signature = Signature::decode(&text.unwrap_or_default());
            let signed = signature.and_then(|signature| key.verify(&fetched.bytes, &signature, false));
            signed.map_err(|error| format!("{url}: not signed by the key of --signed-by: {error}"))?;
        }
        let written = self.write(&path, &fetched.bytes);
        let written = written.and_then(|()| match &fetched.etag {
            Some(etag) => self.write(&etag_path, etag.as_bytes()),
            None => Ok(()),
        });
        written.map_err(|error| {
            format!("{}: cannot be written: {error}; name another directory with --state", path.display())
        })?;
        Ok(true)
    }

    /// Never half a file; and one that says the same is left alone, so that nobody reads it again.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if fs::read(path).is_ok_and(|before| before == bytes) {
            return Ok(());
        }
        fs::create_dir_all(&self.state)?;
        let partial = path.with_extension(PARTIAL);
        fs::write(&partial, bytes)?;
        fs::rename(partial, path)
    }

    /// A name for each URL: readable, and no other's.
    fn place(&self, url: &str) -> PathBuf {
        let mut name = String::with_capacity(url.len() + 16);
        for byte in url.bytes() {
            // An escape for all that is no letter or digit: two URLs have two names.
            if byte.is_ascii_alphanumeric() {
                name.push(byte.into());
            } else {
                name.push('-');
                name.extend(char::from_digit(u32::from(byte >> 4), 16));
                name.extend(char::from_digit(u32::from(byte & 15), 16));
            }
        }
        self.state.join(name).with_extension("copy")
    }
}

/// A thread that keeps copies fresh until it is dropped.
#[derive(Debug)]
pub struct Poller {
    urls: Arc<Mutex<Option<Vec<String>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts it.
    ///
    /// # Errors
    /// That there is no thread to be had.
    pub fn start(remote: Remote, every: Duration) -> io::Result<Poller> {
        let urls: Arc<Mutex<Option<Vec<String>>>> = Arc::new(Mutex::new(Some(Vec::new())));
        let shared = Arc::clone(&urls);
        let body = move || {
            let mut told = String::new();
            loop {
                thread::park_timeout(every);
                let Some(urls) = lock(&shared).clone() else { return };
                let faults: Vec<String> = urls.iter().filter_map(|url| remote.refresh(url).err()).collect();
                let now = faults.join("\n");
                if now != told && !now.is_empty() {
                    say(format_args!("megaping: {now}; the copies are used"));
                }
                told = now;
            }
        };
        let thread = thread::Builder::new().name("remote".into()).spawn(body)?;
        Ok(Poller { urls, thread: Some(thread) })
    }

    /// Keeps these fresh from now on.
    pub fn follow(&self, urls: Vec<String>) {
        *lock(&self.urls) = Some(urls);
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        *lock(&self.urls) = None;
        // It may be in the middle of a request, which nobody should wait for.
        if let Some(thread) = self.thread.take() {
            Thread::unpark(thread.thread());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_follow_what_is_elsewhere_and_last_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (there, state) = (dir.path().join("list"), dir.path().join("state"));
        let url = format!("file://{}", there.display());
        let remote = Remote { state, key: None };
        assert!(remote.copy(&url).unwrap_err().contains("No such file"));
        fs::write(&there, "192.0.2.1\n").unwrap();
        let copy = remote.copy(&url).unwrap();
        assert_eq!((fs::read_to_string(&copy.path).unwrap().as_str(), copy.note), ("192.0.2.1\n", None));
        assert!(!remote.refresh(&url).unwrap(), "nothing has changed");
        fs::write(&there, "192.0.2.2 and more\n").unwrap();
        assert!(remote.refresh(&url).unwrap());
        assert_eq!(fs::read_to_string(&copy.path).unwrap(), "192.0.2.2 and more\n");
        fs::remove_file(&there).unwrap();
        let old = remote.copy(&url).unwrap();
        assert!(old.path == copy.path && old.note.unwrap().contains("the copy is used"));
    }

    #[test]
    fn the_poller_keeps_copies_fresh_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("list");
        fs::write(&there, "old").unwrap();
        let url = format!("file://{}", there.display());
        let remote = Remote { state: dir.path().join("state"), key: None };
        let copy = remote.copy(&url).unwrap().path;
        let poller = Poller::start(remote, Duration::from_millis(2)).unwrap();
        poller.follow(vec![url]);
        fs::write(&there, "newer").unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while fs::read(&copy).unwrap() != b"newer" {
            assert!(std::time::Instant::now() < deadline, "it was never fetched");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn what_is_not_signed_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("list");
        fs::write(&there, "test").unwrap();
        let url = format!("file://{}", there.display());
        // The example of minisign's own documentation: this key signed "test".
        let key = public_key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3").unwrap();
        let signature = "untrusted comment: signature from minisign secret key\n\
            RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
            trusted comment: timestamp:1633700835\tfile:test\tprehashed\n\
            wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==\n";
        let remote = Remote { state: dir.path().join("state"), key: Some(key) };
        assert!(remote.copy(&url).unwrap_err().contains("minisig"), "there is no signature");
        fs::write(dir.path().join("list.minisig"), signature).unwrap();
        assert_eq!(fs::read_to_string(remote.copy(&url).unwrap().path).unwrap(), "test");
        fs::write(&there, "tost").unwrap();
        let kept = remote.copy(&url).unwrap();
        assert!(kept.note.unwrap().contains("not signed by the key"));
        assert_eq!(fs::read_to_string(kept.path).unwrap(), "test");
        assert!(public_key("RWx").unwrap_err().contains("minisign.pub"));
    }

    #[test]
    fn urls_have_names_of_their_own() {
        let remote = Remote { state: "/s".into(), key: None };
        let urls = ["s3://b/a", "s3://b/A", "s3://b-/a", "s3://b/-a", "https://b/a?x=1", "https://b/a-x-1"];
        let names: std::collections::BTreeSet<PathBuf> = urls.iter().map(|url| remote.place(url)).collect();
        assert_eq!(names.len(), urls.len());
        assert_eq!(url_of(Path::new("s3://b/a")), Some("s3://b/a"));
        assert_eq!(url_of(Path::new("lists/a.txt")), None);
    }
}
