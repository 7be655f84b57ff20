//! The certificate authority of a case, and the certificates of its TLS servers.
//!
//! Each test has an authority of its own, which the transport under test must trust. The
//! certificates here include invalid ones, which it must refuse. Start from [`Setup`].

use std::fmt;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;

/// The input from which a transport under test is made.
pub struct Setup {
    authority: Authority,
}

impl Setup {
    pub(super) fn new() -> Self {
        Self {
            authority: Authority::new("the trusted authority"),
        }
    }

    /// Returns the certificate, in PEM, of an authority that the transport must trust in addition
    /// to its own.
    ///
    /// Each test has a new authority, which issues certificates for `localhost`.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.authority.pem
    }

    /// Returns the configuration of a TLS server that has a certificate of this kind.
    pub(super) fn server_config(&self, certificate: Certificate) -> Arc<ServerConfig> {
        match certificate {
            Certificate::OfUnknownAuthority => {
                Authority::new("an unknown authority").server_config(certificate)
            }
            _ => self.authority.server_config(certificate),
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").finish_non_exhaustive()
    }
}

/// The kind of a server's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    Good,
    OfUnknownAuthority,
    Expired,
    OfAnotherName,
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    fn server_config(&self, certificate: Certificate) -> Arc<ServerConfig> {
        let name = match certificate {
            Certificate::OfAnotherName => "elsewhere.example",
            _ => "localhost",
        };
        let mut params = CertificateParams::new([name.to_owned()]).expect("a host's name");
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match certificate {
            Certificate::Expired => date_time_ymd(2021, 1, 1),
            _ => date_time_ymd(2200, 1, 1),
        };
        let key = KeyPair::generate().expect("a key");
        let chain = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in DER");
        // The provider is explicit, because another crate of the program may have installed a
        // different default.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .with_no_client_auth()
            .with_single_cert(vec![chain.into()], key)
            .expect("a certificate and its key");
        Arc::new(config)
    }
}
