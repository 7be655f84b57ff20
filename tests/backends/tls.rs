//! Certificates that a client must not trust: the faults T10 and T11.
//!
//! surf is left out, because it needs the feature `surf-native-tls` for `https`. With that feature,
//! the conformance suite proves the same for it.

use std::error::Error as _;
use std::sync::Arc;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll::{AccessToken, HttpTransport};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rstest::rstest;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::follower::Facade;
use crate::gate::TlsGate;
use crate::tcp::transport_kind;
use crate::trial::{Trial, append, by_each_facade};

/// The year in which a valid certificate expires.
pub(crate) const VALID_UNTIL: i32 = 2200;
/// The year in which an expired certificate has expired.
const EXPIRED: i32 = 2021;

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t10_a_server_of_an_unknown_authority_is_sent_nothing(#[case] backend: Backend) {
    is_sent_nothing_until_renewed(backend, |_| Authority::new().certify(VALID_UNTIL));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t11_a_server_with_an_expired_certificate_is_sent_nothing(#[case] backend: Backend) {
    is_sent_nothing_until_renewed(backend, |known| known.certify(EXPIRED));
}

/// Asserts that a stream sends nothing while the server presents the bad certificate, retries at
/// its pace, and recovers when the certificate is replaced.
#[track_caller]
fn is_sent_nothing_until_renewed(backend: Backend, bad: fn(&Authority) -> Arc<ServerConfig>) {
    by_each_facade(|facade| {
        let server = fake_box(|_| ());
        append(&server, 3);
        let own = server.origin().to_owned();
        server.change_settings(|settings| settings.realtime_origins = vec![own]);
        let known = Authority::new();
        let gate = TlsGate::new(&server, bad(&known));
        let builder = builder(&server).api_origin(gate.origin());
        let token = Arc::new(AccessToken::new(TOKEN).unwrap());
        let transport = trusting(backend, &known.pem);
        let mut trial = Trial::begin_over(backend, facade, &server, builder, transport, token);

        assert_eq!(transport_kind(&trial.retries()), TransportErrorKind::Tls);
        trial.until("six attempts", |trial| {
            trial.transport.failures(TransportErrorKind::Tls) >= 6
        });
        trial.assert_paced_after(0);
        assert_eq!(server.counters().total.requests, 0);

        gate.renew(known.certify(VALID_UNTIL));
        trial.recovers();
    });
}

#[cfg(feature = "reqwest")]
#[test]
fn tls_fails_when_the_server_wants_a_client_certificate() {
    let message = error_without_a_client_certificate(Backend::Reqwest);
    assert!(message.starts_with("TLS failed: "), "{message}");
    assert!(message.contains("a client certificate"), "{message}");
}

/// Proves that the error only guesses. isahc cannot distinguish a TLS alert from a reset
/// connection, because curl reports both with the same code.
#[cfg(feature = "isahc")]
#[test]
fn isahc_guesses_that_a_client_certificate_is_required() {
    let message = error_without_a_client_certificate(Backend::Isahc);
    assert!(
        message.contains("may require a client certificate"),
        "{message}"
    );
}

/// Returns the message of the transport error when the client has no certificate.
#[track_caller]
fn error_without_a_client_certificate(backend: Backend) -> String {
    let server = fake_box(|_| ());
    let known = Authority::new();
    let gate = TlsGate::new(&server, known.certify_requiring_clients(VALID_UNTIL));
    let builder = builder(&server).api_origin(gate.origin());
    let token = Arc::new(AccessToken::new(TOKEN).unwrap());
    let transport = trusting(backend, &known.pem);
    let facade = Facade::Async;
    let mut trial = Trial::begin_over(backend, facade, &server, builder, transport, token);
    let error = trial.retries();
    assert_eq!(server.counters().total.requests, 0);
    error.source().expect("the error has a source").to_string()
}

/// Returns a transport that trusts this authority in addition to its usual ones.
fn trusting(backend: Backend, pem: &str) -> Arc<dyn HttpTransport> {
    match backend {
        #[cfg(feature = "reqwest")]
        Backend::Reqwest => {
            use box_longpoll::transports::ReqwestTransport;

            let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
            let builder = ReqwestTransport::client_builder().tls_certs_merge([root]);
            let client = builder.no_proxy().build().unwrap();
            Arc::new(ReqwestTransport::with_client(client))
        }
        #[cfg(feature = "isahc")]
        Backend::Isahc => {
            use box_longpoll::transports::IsahcTransport;
            use isahc::config::Configurable;
            use isahc::tls::{TlsConfig, TrustStore};

            let roots = TrustStore::builder().certificate_from_pem(pem).build();
            let tls = TlsConfig::builder().trust_store(roots).build();
            let builder = IsahcTransport::client_builder().tls_config(tls).proxy(None);
            Arc::new(IsahcTransport::with_client(builder.build().unwrap()))
        }
        #[cfg(feature = "surf")]
        Backend::Surf => unreachable!("surf has no case in this file"),
    }
}

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Returns the TLS settings of a server with a certificate for `localhost`. It is valid until
    /// the first day of the year `until`.
    pub(crate) fn certify(&self, until: i32) -> Arc<ServerConfig> {
        self.certify_name("localhost", until)
    }

    /// Returns the same settings for another host name.
    pub(crate) fn certify_name(&self, name: &str, until: i32) -> Arc<ServerConfig> {
        self.certify_for(name, until, WebPkiClientVerifier::no_client_auth())
    }

    /// Returns the same settings for a server that also requires a client certificate of this
    /// authority.
    fn certify_requiring_clients(&self, until: i32) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        let own = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        roots.add(own).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        self.certify_for("localhost", until, clients.build().unwrap())
    }

    fn certify_for(
        &self,
        name: &str,
        until: i32,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap();
        let key = key.serialize_der().try_into().unwrap();
        // The provider is named, because other crates of this program may have installed another
        // default.
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![chain.into()], key)
            .unwrap();
        Arc::new(config)
    }
}
