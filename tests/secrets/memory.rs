//! Tests that secrets are gone from the process's memory when the values that held them are
//! dropped.
//!
//! Each test searches all writable memory of its own process, except for the stacks.

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

/// The number of bytes that are read and searched at a time.
const CHUNK: usize = 1 << 20;

/// The size of the allocator's arenas in bytes, which is also their alignment.
const ARENA: usize = 64 << 20;

/// A masked secret. This value leaves no plain copy in the memory before the secret is taken from
/// it.
#[derive(Clone, Copy)]
struct Hidden([u8; 24]);

impl Hidden {
    fn new() -> Self {
        Self([(); 24].map(|()| 0x80 | fastrand::u8(b'a'..=b'z')))
    }

    fn text(self) -> String {
        self.0.map(|byte| char::from(byte & 0x7f)).iter().collect()
    }

    /// Appends the secret byte by byte, because an array would leave a copy on the stack.
    fn append_to(&self, body: &mut Vec<u8>) {
        body.extend(self.0.iter().map(|byte| byte & 0x7f));
    }

    fn is_at_the_start_of(self, bytes: &[u8]) -> bool {
        self.0
            .iter()
            .zip(bytes)
            .all(|(hidden, byte)| hidden & 0x7f == *byte)
    }

    /// Returns `true` if the secret is in any writable memory of the process, except for the
    /// stacks. The dynamic linker saves registers there, which are no copies that the library made.
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
            // A thread's stack has a guard page below it. An arena of the allocator may have one
            // too, but begins at an aligned address.
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
                // A region that was unmapped meanwhile can't be read.
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
                // The chunks overlap, so that a secret across their border is in the second one.
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

/// A transport that makes the responses of a token endpoint itself. An HTTP library might keep
/// copies of a request.
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

/// Lets one test run at a time. A test that reads the memory makes copies of the secrets that
/// another one holds.
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
fn held_secret_is_found_in_the_memory() {
    let _alone = alone();
    let secret = Hidden::new();
    assert!(!secret.is_in_memory());
    let token = AccessToken::new(secret.text()).unwrap();
    assert!(secret.is_in_memory());
    drop(token);
}

#[test]
fn dropped_grants_leave_no_secret_in_the_memory() {
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
fn dropped_jwt_application_leaves_no_secret_in_the_memory() {
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
