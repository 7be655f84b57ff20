//! Tests that the secrets of each grant stay hidden, even if the token endpoint repeats them.

use std::fs;

use box_longpoll::auth::{
    ClientCredentials, Credential, CredentialFile, JwtBearer, RefreshToken, RefreshedTokens,
    Subject,
};
use box_longpoll::{HttpTransport, TokenSource as _};
use box_longpoll_testkit::{Endpoint, Fault};
use rstest::rstest;
use serde_json::json;

use crate::backend::Backend;
use crate::canary::{
    CLIENT_SECRET, CLIENT_SECRET_IN_A_FORM, REFRESH_TOKEN, assert_hidden, response, said,
};
use crate::fake_box::fake_box;
use crate::keys::{FROM_CONSOLE, PASSPHRASE};
use crate::log;

#[derive(Clone, Copy, Debug)]
enum Grant {
    ClientCredentials,
    RefreshToken,
    Jwt,
}

/// Returns the tokens of the grant, and the `Debug` output of everything that they are made from.
fn tokens(
    grant: Grant,
    origin: &str,
    transport: impl HttpTransport,
    directory: &tempfile::TempDir,
) -> (RefreshedTokens, String) {
    match grant {
        Grant::ClientCredentials => {
            let grant = ClientCredentials::new("id", CLIENT_SECRET, Subject::user("1"));
            let grant = grant.api_origin(origin);
            let shown = format!("{grant:?}");
            (grant.tokens(transport).unwrap(), shown)
        }
        Grant::RefreshToken => {
            let credential = Credential::new(REFRESH_TOKEN).unwrap();
            let file = directory.path().join("credential");
            let file = CredentialFile::create(file, &credential).unwrap();
            let shown = format!("{credential:?} {file:?}");
            let grant = RefreshToken::new("id", CLIENT_SECRET, file).api_origin(origin);
            let shown = format!("{shown} {grant:?}");
            (grant.tokens(transport).unwrap(), shown)
        }
        Grant::Jwt => {
            let app = JwtBearer::from_json(configuration().to_string()).unwrap();
            let app = app.api_origin(origin);
            let shown = format!("{app:?}");
            (app.tokens(transport).unwrap(), shown)
        }
    }
}

#[test]
fn password_in_an_origin_is_not_shown_by_a_grant() {
    let origin = "https://user:password-of-a-proxy@box.example";
    let grant = ClientCredentials::new("id", CLIENT_SECRET, Subject::user("1"));
    let app = JwtBearer::from_json(configuration().to_string()).unwrap();
    let shown = format!(
        "{:?} {:?}",
        grant.api_origin(origin),
        app.api_origin(origin)
    );
    assert!(!shown.contains("password-of-a-proxy"), "{shown}");
}

fn configuration() -> serde_json::Value {
    json!({
        "boxAppSettings": {
            "clientID": "id",
            "clientSecret": CLIENT_SECRET,
            "appAuth": {
                "publicKeyID": "k1",
                "privateKey": *FROM_CONSOLE,
                "passphrase": PASSPHRASE,
            },
        },
        "enterpriseID": "801234",
    })
}

/// Returns refusals, failures and other responses that repeat all secrets of the request.
fn echoes(grant: Grant) -> Vec<Fault> {
    let mut said = format!("{CLIENT_SECRET} {CLIENT_SECRET_IN_A_FORM}");
    if let Grant::RefreshToken = grant {
        said += &format!(" {REFRESH_TOKEN}");
    }
    let refusal = json!({"error": "invalid_client", "error_description": said}).to_string();
    let in_its_code = json!({"error": said}).to_string();
    let odd = json!({"access_token": 7, "x": said}).to_string();
    vec![
        response(500, refusal.clone()),
        response(200, odd),
        response(403, said.clone()),
        response(302, said),
        Fault::CloseInBody,
        response(400, in_its_code),
        response(401, refusal),
    ]
}

#[rstest]
#[cfg_attr(feature = "reqwest", case::reqwest(Backend::Reqwest))]
#[cfg_attr(feature = "surf", case::surf(Backend::Surf))]
#[cfg_attr(feature = "isahc", case::isahc(Backend::Isahc))]
fn echo_of_a_token_endpoint_is_neither_shown_nor_logged(
    #[case] backend: Backend,
    #[values(Grant::ClientCredentials, Grant::RefreshToken, Grant::Jwt)] grant: Grant,
) {
    log::keep();
    let server = fake_box(|_| ());
    for echo in echoes(grant) {
        let directory = tempfile::tempdir().unwrap();
        server.queue_fault(Endpoint::Token, echo, 1);
        backend.runtime().block_on(async {
            let (tokens, shown) = tokens(grant, server.origin(), backend.transport(), &directory);
            let error = tokens.token(None).await.unwrap_err();
            let shown = format!("{shown} {tokens:?} {}", said(&error));
            assert_hidden("the output", &shown);
            assert!(!shown.contains(PASSPHRASE), "{shown}");
        });
        for file in fs::read_dir(directory.path()).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(name.starts_with("credential"), "{name}");
        }
    }
    let log = log::text();
    assert!(log.contains("no new access token"), "refreshes are logged");
    assert_hidden("the log", &log);
    assert!(!log.contains(PASSPHRASE));
}
