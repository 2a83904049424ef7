//! What a user says about a `ClickHouse` service.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ureq::http::Uri;

/// The database that is used where the URL names none.
const DATABASE: &str = "megaping";

/// A `ClickHouse` service: one or more servers with the same data, and our account there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Tried in turn; never empty.
    pub endpoints: Vec<Endpoint>,
    /// The account; none: the server's default user.
    pub user: Option<String>,
    /// Its password.
    pub password: Password,
    /// A PEM file of certificates to trust instead of the public ones.
    pub ca: Option<PathBuf>,
}

/// Where a password comes from. Never from the command line, which every user of a machine can read.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Password {
    /// There is none.
    #[default]
    None,
    /// The value itself, as an environment variable holds it.
    Value(String),
    /// The first line of a file, read anew for every request: a password can be changed without a restart.
    File(PathBuf),
}

/// One server: `http[s]://HOST[:PORT][/DATABASE]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Scheme, host and port, without a slash behind them.
    pub origin: String,
    /// The database.
    pub database: String,
}

/// A URL that is no endpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum EndpointError {
    #[error(
        "'{0}' is no URL of a ClickHouse server: http://HOST:8123/DATABASE or https://HOST:8443/DATABASE"
    )]
    NoUrl(String),
    #[error(
        "a URL with a name or password in it is seen by everyone on this machine: set MEGAPING_CLICKHOUSE_USER \
         and MEGAPING_CLICKHOUSE_PASSWORD in the environment, or name a file with --clickhouse-password-file"
    )]
    Credentials,
    #[error("'{0}' is no name of a database: letters, digits and _")]
    Database(String),
}

/// A service that cannot even be asked.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SetupError {
    #[error("cannot read the certificates in {}: {reason}", .path.display())]
    Ca { path: PathBuf, reason: String },
    #[error("cannot read the password file {}: {reason}", .path.display())]
    Password { path: PathBuf, reason: String },
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Password::None => f.write_str("None"),
            Password::Value(_) => f.write_str("Value(..)"),
            Password::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Password {
    /// The password as of now.
    ///
    /// # Errors
    /// [`SetupError::Password`] when its file cannot be read.
    pub fn read(&self) -> Result<Option<String>, SetupError> {
        match self {
            Password::None => Ok(None),
            Password::Value(value) => Ok(Some(value.clone())),
            Password::File(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some(text.lines().next().unwrap_or_default().to_owned())),
                Err(error) => Err(SetupError::Password { path: path.clone(), reason: error.to_string() }),
            },
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let no_url = || EndpointError::NoUrl(text.to_owned());
        if text.split_once("://").is_some_and(|(_, rest)| rest.contains('@')) {
            // Not repeated in the message, since it may hold a password.
            return Err(EndpointError::Credentials);
        }
        let uri: Uri = text.parse().map_err(|_| no_url())?;
        let scheme =
            uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or_else(no_url)?;
        let authority = uri.authority().filter(|a| !a.host().is_empty()).ok_or_else(no_url)?;
        if uri.query().is_some() {
            return Err(no_url());
        }
        let database = match uri.path().trim_matches('/') {
            "" => DATABASE,
            name if is_identifier(name) => name,
            name => return Err(EndpointError::Database(name.to_owned())),
        };
        let port = match (authority.port_u16(), scheme) {
            (Some(port), _) => port,
            (None, "https") => 8443,
            (None, _) => 8123,
        };
        let origin = format!("{scheme}://{}:{port}", authority.host());
        Ok(Endpoint { origin, database: database.to_owned() })
    }
}

/// Whether a name can stand in a statement without quotes.
fn is_identifier(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_its_defaults() {
        for (text, origin, database) in [
            ("http://db", "http://db:8123", "megaping"),
            ("https://db.example.net/", "https://db.example.net:8443", "megaping"),
            ("http://[::1]:9000/icmp", "http://[::1]:9000", "icmp"),
            ("https://192.0.2.1:443/a_1", "https://192.0.2.1:443", "a_1"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.origin.as_str(), endpoint.database.as_str()), (origin, database));
        }
    }

    #[test]
    fn a_wrong_url_is_told_with_what_would_be_right() {
        for (text, words) in [
            ("db:8123", "http://HOST:8123/DATABASE"),
            ("ftp://db", "http://HOST:8123/DATABASE"),
            ("http://", "http://HOST:8123/DATABASE"),
            ("http://db?x=1", "http://HOST:8123/DATABASE"),
            ("http://me:secret@db", "MEGAPING_CLICKHOUSE_PASSWORD"),
            ("http://db/a-b", "letters, digits"),
            ("http://db/a/b", "letters, digits"),
            ("http://db/1a", "letters, digits"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_file_is_read_anew_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        let password = Password::File(path.clone());
        assert!(password.read().unwrap_err().to_string().contains("password file"));
        for word in ["first", "second"] {
            std::fs::write(&path, format!("{word}\n")).unwrap();
            assert_eq!(password.read().unwrap().as_deref(), Some(word));
        }
        assert_eq!(format!("{:?}", Password::Value("secret".into())), "Value(..)");
    }
}
