//! TLS for the server, with a certificate authority of its own.
//!
//! Both are made when the server starts, and no file holds their keys. A client trusts the
//! authority by its certificate in PEM. Start from [`Tls`].

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::line::{Connected, Line};

/// A second address of loopback, by which the realtime servers can differ from the API, as at Box.
const SECOND_LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The server's side of TLS.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    authority_pem: String,
}

impl Tls {
    /// Makes an authority, and a certificate for the loopback addresses, `localhost` and the
    /// address on which the server listens.
    pub(crate) fn new(address: IpAddr) -> io::Result<Self> {
        let mut params = CertificateParams::default();
        // With a name of its own, a client that trusts another authority reports an unknown issuer
        // and not a wrong signature.
        let name = format!("authority {:016x} of box-emulator", fastrand::u64(..));
        params.distinguished_name = named(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let (chain, key) =
            certificate_for(address, &Issuer::new(params, key)).map_err(io::Error::other)?;
        // The provider is explicit, because another crate of the program may have installed a
        // different default.
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![chain], key)
            })
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: Arc::new(config).into(),
            authority_pem: certificate.pem(),
        })
    }

    pub(crate) fn authority_pem(&self) -> &str {
        &self.authority_pem
    }

    /// Shakes hands with a client.
    pub(crate) async fn accept(&self, line: Line) -> io::Result<TlsStream<Line>> {
        self.acceptor.accept(line).await
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Connected for TlsStream<Line> {
    const SCHEME: &'static str = "https";

    fn reset_at_the_end(&mut self) -> io::Result<()> {
        self.get_mut().0.reset_at_the_end()
    }
}

/// Makes the server's certificate and its key.
fn certificate_for(
    address: IpAddr,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
    let addresses = BTreeSet::from([
        Ipv4Addr::LOCALHOST.into(),
        SECOND_LOOPBACK.into(),
        Ipv6Addr::LOCALHOST.into(),
        address,
    ]);
    let addresses = addresses.iter().map(IpAddr::to_string);
    let names: Vec<_> = addresses.chain(["localhost".to_owned()]).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("box-emulator");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2200, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok((certificate.into(), key))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}
