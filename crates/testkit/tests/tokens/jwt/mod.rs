//! The JWT grant: the assertions that the emulator accepts, and the refusals of all others.

mod claims;
mod keys;

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use box_longpoll_testkit::Application;
use serde_json::{Value, json};

use crate::world::{APP, SECRET, World, assert_refused};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The time at which every world starts, in seconds since 1970: 2026-01-01.
const NOW: i64 = 1_767_225_600;

static KEY: LazyLock<KeyPair> = LazyLock::new(new_key);
static ANOTHER_KEY: LazyLock<KeyPair> = LazyLock::new(new_key);

fn new_key() -> KeyPair {
    KeyPair::generate(KeySize::Rsa2048).expect("a key")
}

/// Writes a public key as `openssl pkey -pubout` does.
fn pem(key: &KeyPair) -> String {
    let der = key.public_key().as_der().expect("DER");
    let base64 = BASE64_STANDARD.encode(der.as_ref());
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    )
}

/// An assertion that Box would accept. Each test changes the part that it tests.
struct Assertion {
    header: Value,
    claims: Value,
    key: &'static LazyLock<KeyPair>,
    encoding: &'static dyn RsaEncoding,
}

impl Assertion {
    fn new() -> Self {
        Self {
            header: json!({"alg": "RS256", "kid": "k1", "typ": "JWT"}),
            claims: json!({
                "iss": APP,
                "sub": "42",
                "box_sub_type": "enterprise",
                "aud": "https://api.box.com/oauth2/token",
                "jti": "0123456789abcdef",
                "exp": NOW + 30,
            }),
            key: &KEY,
            encoding: &RSA_PKCS1_SHA256,
        }
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims[name] = value.into();
        self
    }

    fn signed(&self) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&self.header), encode(&self.claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                self.encoding,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .expect("a signature");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn world_with_key() -> World {
    let mut world = World::new();
    let application = Application::new(APP, SECRET, "42").public_key("k1", &pem(&KEY));
    world.emulator.register(application);
    world
}

#[track_caller]
/// Sends a token request with an assertion.
fn show(world: &mut World, assertion: &str) -> Result<Value, Value> {
    let form = [("grant_type", GRANT_TYPE), ("assertion", assertion)];
    world.log_in(APP, &form)
}

#[track_caller]
fn assert_assertion_refused(assertion: &Assertion, description: &str) {
    let outcome = show(&mut world_with_key(), &assertion.signed());
    assert_refused(outcome, "invalid_grant", description);
}
