//! Error texts about certificates, each with the remedy.
//!
//! The libraries only report that a certificate is unknown, or that they found no certificate
//! authorities. The texts here name the environment variable or the package to correct. The
//! transports over reqwest and isahc share them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use std::{env, fs};

/// The first line of a certificate in PEM.
const BEGINNING: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The detail of an error: the server's certificate is from an unknown authority.
pub(super) const UNKNOWN_AUTHORITY: &str = "the server's certificate is not trusted: if a proxy \
    inspects TLS on the way, add its certificate authority to this machine's, or name it in \
    SSL_CERT_FILE";

/// The detail of an error: the server requires a certificate of the client, or rejects it.
#[cfg(feature = "reqwest")]
pub(super) const REJECTED_BY_SERVER: &str =
    "the server ended TLS with an alert: it may require a client certificate, or reject this one";

/// The same detail for isahc, which does not distinguish a TLS alert from another end of the
/// connection.
#[cfg(feature = "isahc")]
pub(super) const MAY_BE_REJECTED: &str =
    "if each connection ends like this at once, the server may require a client certificate";

/// Returns the reason why the library found no certificate authorities on this machine.
pub(super) fn why_none() -> Cow<'static, str> {
    why_none_in(|variable| env::var_os(variable))
}

/// Returns that reason for the given environment variables.
fn why_none_in(environment: impl Fn(&str) -> Option<OsString>) -> Cow<'static, str> {
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let Some(path) = environment(variable).filter(|path| !path.is_empty()) else {
            continue;
        };
        let why = why_not(Path::new(&path));
        let path = path.display();
        return Cow::Owned(format!("{variable} names {path}, which {why}"));
    }
    Cow::Borrowed(
        "no certificate authorities on this machine: install its ca-certificates package, or name a \
         bundle in SSL_CERT_FILE",
    )
}

/// Returns the reason why the certificates in a file or directory cannot be used.
fn why_not(path: &Path) -> Cow<'static, str> {
    if path.is_dir() {
        return "holds no certificate that can be used".into();
    }
    if path.exists() && !path.is_file() {
        return "is not a file".into();
    }
    match fs::read(path) {
        Err(error) => format!("cannot be read: {error}").into(),
        Ok(text)
            if text
                .windows(BEGINNING.len())
                .any(|begin| begin == BEGINNING) =>
        {
            "holds no certificate that can be used".into()
        }
        Ok(_) => "holds no certificate: a bundle has certificates in PEM".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_names_the_variable_when_it_has_no_certificates() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("bundle");
        let why = |set: &str| {
            let value = |variable: &str| (variable == set).then(|| file.clone().into_os_string());
            why_none_in(value).into_owned()
        };
        let named = format!("SSL_CERT_FILE names {}, which ", file.display());
        let missing = why("SSL_CERT_FILE");
        assert!(
            missing.starts_with(&(named.clone() + "cannot be read: ")),
            "{missing}"
        );
        fs::write(&file, "certificates").unwrap();
        let none = why("SSL_CERT_FILE");
        assert!(
            none.starts_with(&(named.clone() + "holds no certificate: ")),
            "{none}"
        );
        fs::write(&file, BEGINNING).unwrap();
        let bad = why("SSL_CERT_FILE");
        assert!(
            bad.ends_with("holds no certificate that can be used"),
            "{bad}"
        );
        assert!(why("SSL_CERT_DIR").starts_with("SSL_CERT_DIR names "));
        assert!(why("").contains("ca-certificates"));
    }
}
