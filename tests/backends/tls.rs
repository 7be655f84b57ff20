//! Certificates that are not to be trusted. surf needs the feature `surf-native-tls` for `https`; the conformance suite has
//! it then.

use std::sync::Arc;

use box_longpoll::{AccessToken, HttpTransport, TransportErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rstest::rstest;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::backend::Backend;
use crate::fake_box::{TOKEN, builder, fake_box};
use crate::gate::TlsGate;
use crate::tcp::transport_kind;
use crate::trial::{Trial, append, by_each_facade};

/// When the certificates of this test run out.
const LATE: i32 = 2200;
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

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A server's certificate for `localhost`, until the first day of a year.
    fn certify(&self, until: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap();
        let key = key.serialize_der().try_into().unwrap();
        // Named, because other crates of the same program may have chosen another one.
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain.into()], key)
            .unwrap();
        Arc::new(config)
    }
}
