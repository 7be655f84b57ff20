//! Certificates that are not to be trusted. surf needs the feature `surf-native-tls` for `https`; the conformance suite has
//! it then.

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

/// When the certificates of this test run out.
pub(crate) const LATE: i32 = 2200;
const LONG_AGO: i32 = 2021;

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t10_a_certificate_of_an_unknown_authority_is_sent_nothing(#[case] backend: Backend) {
    is_sent_nothing_until_renewed(backend, |_| Authority::new().certify(LATE));
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn t11_a_certificate_that_has_expired_is_sent_nothing(#[case] backend: Backend) {
    is_sent_nothing_until_renewed(backend, |known| known.certify(LONG_AGO));
}

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
        trial.is_paced_in_vain(0);
        assert_eq!(server.counters().total.requests, 0);

        gate.renew(known.certify(LATE));
        trial.is_well();
    });
}

#[cfg(feature = "reqwest")]
#[test]
fn a_server_that_wants_a_client_certificate_fails_tls() {
    let said = why_without_a_client_certificate(Backend::Reqwest);
    assert!(said.starts_with("TLS failed: "), "{said}");
    assert!(said.contains("a client certificate"), "{said}");
}

/// isahc has the same code of curl's for an alert and for a reset connection.
#[cfg(feature = "isahc")]
#[test]
fn with_isahc_the_wish_for_a_client_certificate_is_guessed() {
    let said = why_without_a_client_certificate(Backend::Isahc);
    assert!(said.contains("may require a client certificate"), "{said}");
}

#[track_caller]
fn why_without_a_client_certificate(backend: Backend) -> String {
    let server = fake_box(|_| ());
    let known = Authority::new();
    let gate = TlsGate::new(&server, known.certify_for_the_certified(LATE));
    let builder = builder(&server).api_origin(gate.origin());
    let token = Arc::new(AccessToken::new(TOKEN).unwrap());
    let transport = trusting(backend, &known.pem);
    let facade = Facade::Async;
    let mut trial = Trial::begin_over(backend, facade, &server, builder, transport, token);
    let error = trial.retries();
    assert_eq!(server.counters().total.requests, 0);
    error.source().expect("the transport's error").to_string()
}

/// A transport that trusts this authority beside those it knows.
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
        Backend::Surf => unreachable!("no case has it"),
    }
}

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

    /// A server's certificate for `localhost`, until the first day of a year.
    pub(crate) fn certify(&self, until: i32) -> Arc<ServerConfig> {
        self.certify_name("localhost", until)
    }

    /// A server's certificate for a name, until the first day of a year.
    pub(crate) fn certify_name(&self, name: &str, until: i32) -> Arc<ServerConfig> {
        self.certify_for(name, until, WebPkiClientVerifier::no_client_auth())
    }

    /// A server's certificate for `localhost`, and the demand that the client has one of this authority too.
    fn certify_for_the_certified(&self, until: i32) -> Arc<ServerConfig> {
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
        // Named, because other crates of the same program may have chosen another one.
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![chain.into()], key)
            .unwrap();
        Arc::new(config)
    }
}
