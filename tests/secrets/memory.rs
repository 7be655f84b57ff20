//! Secrets that are gone from the process's memory once what had them is dropped.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::{
    ClientCredentials, Credential, CredentialFile, JwtBearer, RefreshToken, RefreshedTokens,
    Subject,
};
use box_longpoll::transport::{TransportError, TransportRequest};
use box_longpoll::{AccessToken, HttpTransport, TokenSource as _};
use bytes::Bytes;
use http::Response;
use memchr::memchr_iter;

/// How much of the memory is looked at in one go.
const CHUNK: usize = 1 << 20;

/// The size of the allocator's arenas, and what they are aligned to.
const ARENA: usize = 64 << 20;

/// A secret that is nowhere in the memory as it is, before it is taken from here.
#[derive(Clone, Copy)]
struct Hidden([u8; 24]);

impl Hidden {
    fn new() -> Self {
        Self([(); 24].map(|()| 0x80 | fastrand::u8(b'a'..=b'z')))
    }

    fn text(self) -> String {
        self.0.map(|byte| char::from(byte & 0x7f)).iter().collect()
    }

    /// Byte by byte: an array of them would be on the stack, and stay there.
    fn append_to(&self, body: &mut Vec<u8>) {
        body.extend(self.0.iter().map(|byte| byte & 0x7f));
    }

    fn is_at_the_start_of(self, bytes: &[u8]) -> bool {
        self.0
            .iter()
            .zip(bytes)
            .all(|(hidden, byte)| hidden & 0x7f == *byte)
    }

    /// Whether it is anywhere in what the process can write, but for the stacks: the dynamic linker saves there what the
    /// registers held, which is no copy that anybody made.
    fn is_in_memory(self) -> bool {
        let mut buffer = vec![0; CHUNK];
        let own = buffer.as_ptr().addr()..buffer.as_ptr().addr() + CHUNK;
        let memory = File::open("/proc/self/mem").unwrap();
        let regions = fs::read_to_string("/proc/self/maps").unwrap();
        let address = |text| usize::from_str_radix(text, 16).unwrap();
        let mut guarded_up_to = None;
        for region in regions.lines() {
            let (range, rest) = region.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            // A thread's stack has a guard below it. So may an arena of the allocator's, which begins at a round address.
            let is_stack = region.ends_with("[stack]")
                || (guarded_up_to == Some(start) && !address(start).is_multiple_of(ARENA));
            guarded_up_to = rest.starts_with("---p").then_some(end);
            if !rest.starts_with("rw") || is_stack {
                continue;
            }
            let mut at = address(start);
            let end = address(end);
            while at < end {
                let wanted = CHUNK.min(end - at);
                // A part that is gone meanwhile can't be read.
                let read = memory
                    .read_at(&mut buffer[..wanted], at as u64)
                    .unwrap_or(0);
                let first = self.0[0] & 0x7f;
                let starts = read.saturating_sub(self.0.len() - 1);
                let mut found = memchr_iter(first, &buffer[..starts])
                    .filter(|offset| !own.contains(&(at + offset)))
                    .filter(|offset| self.is_at_the_start_of(&buffer[*offset..]));
                if found.next().is_some() {
                    return true;
                }
                // What lies across two chunks is in the second.
                at += if wanted == CHUNK {
                    CHUNK - self.0.len()
                } else {
                    wanted
                };
            }
        }
        false
    }
}

/// A token endpoint, and no HTTP library that keeps what it sent.
#[derive(Clone)]
struct Endpoint {
    access: Hidden,
    refresh: Hidden,
}

#[async_trait]
impl HttpTransport for Endpoint {
    async fn send(&self, _request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let mut body = Vec::with_capacity(4_096);
        body.extend_from_slice(br#"{"expires_in":3600,"access_token":""#);
        self.access.append_to(&mut body);
        body.extend_from_slice(br#"","refresh_token":""#);
        self.refresh.append_to(&mut body);
        body.extend_from_slice(br#""}"#);
        Ok(Response::new(body.into()))
    }

    async fn sleep(&self, _duration: Duration) -> Result<(), TransportError> {
        std::future::pending().await
    }
}

/// One test at a time: what one reads of the memory is a copy of what another holds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[track_caller]
fn assert_gone(secrets: &[(&str, Hidden)], had: impl FnOnce()) {
    had();
    for (name, secret) in secrets {
        assert!(!secret.is_in_memory(), "{name} is still in the memory");
    }
}

fn use_once(tokens: &RefreshedTokens) {
    let token = smol::block_on(tokens.token(None)).unwrap();
    smol::block_on(tokens.token(Some(&token))).unwrap();
}

#[test]
fn a_secret_that_is_held_is_found() {
    let _alone = alone();
    let secret = Hidden::new();
    assert!(!secret.is_in_memory());
    let token = AccessToken::new(secret.text()).unwrap();
    assert!(secret.is_in_memory());
    drop(token);
}

#[test]
fn what_gives_tokens_leaves_no_secret_in_the_memory() {
    let _alone = alone();
    let [secret, refresh, next, access] = [(); 4].map(|()| Hidden::new());
    let endpoint = Endpoint {
        access,
        refresh: next,
    };
    let secrets = [
        ("the client secret", secret),
        ("the refresh token", refresh),
        ("the next refresh token", next),
        ("the access token", access),
    ];
    assert_gone(&secrets, || {
        let grant = ClientCredentials::new("id", secret.text(), Subject::user("1"));
        use_once(&grant.tokens(endpoint.clone()).unwrap());
    });
    assert_gone(&secrets, || {
        let directory = tempfile::tempdir().unwrap();
        let credential = Credential::new(refresh.text()).unwrap();
        let file = CredentialFile::create(directory.path().join("file"), &credential).unwrap();
        let grant = RefreshToken::new("id", secret.text(), file);
        use_once(&grant.tokens(endpoint.clone()).unwrap());
    });
}

#[test]
fn an_application_with_a_key_leaves_no_secret_in_the_memory() {
    let _alone = alone();
    let [secret, access] = [(); 2].map(|()| Hidden::new());
    let endpoint = Endpoint {
        access,
        refresh: access,
    };
    assert_gone(
        &[("the client secret", secret), ("the access token", access)],
        || {
            let mut json = zeroize::Zeroizing::new(String::with_capacity(8_192));
            *json += r#"{"boxAppSettings":{"clientID":"id","clientSecret":""#;
            *json += &*zeroize::Zeroizing::new(secret.text());
            *json += r#"","appAuth":{"publicKeyID":"k1","passphrase":"the-passphrase-of-the-test","privateKey":"#;
            let key = &*crate::keys::FROM_CONSOLE;
            *json += &serde_json::to_string(key).unwrap();
            *json += r#"}},"enterpriseID":"1"}"#;
            let app = JwtBearer::from_json(json.as_bytes()).unwrap();
            use_once(&app.tokens(endpoint).unwrap());
        },
    );
}
