//! The secrets of these tests, responses that repeat them, and a search for them in a text.

use std::error::Error as StdError;

use box_longpoll::AccessToken;
use box_longpoll_testkit::{EmulatorServer, Fault};

pub(crate) const TOKEN: &str = "canary-token-7f3a91bc";
pub(crate) const CHANNEL: &str = "canary-channel-52d8e6a7";

/// The secret of an application, which is encoded differently in a form.
pub(crate) const CLIENT_SECRET: &str = "canary&client secret 6b20fd";
pub(crate) const CLIENT_SECRET_IN_A_FORM: &str = "canary%26client+secret+6b20fd";
pub(crate) const REFRESH_TOKEN: &str = "canary-refresh-token-e1d09c";

pub(crate) fn token() -> AccessToken {
    AccessToken::new(TOKEN).unwrap()
}

/// Returns a list of one realtime server, whose channel is secret.
pub(crate) fn list(server: &EmulatorServer) -> Fault {
    response(
        200,
        format!(r#"{{"entries":[{{"url":"{}"}}]}}"#, url(server)),
    )
}

/// Returns three responses with this status that repeat the secrets: as Box's error, as a proxy's
/// page, and as a page of events that is cut off.
pub(crate) fn echoes(server: &EmulatorServer, status: u16) -> [Fault; 3] {
    let url = url(server);
    let said = format!("authorization: Bearer {TOKEN} for {url}");
    [
        format!(r#"{{"type":"error","code":"{TOKEN}","message":"{said}","request_id":"{url}"}}"#),
        format!("<html>GET {said}</html>"),
        format!(r#"{{"entries":[{{"event_id":"a","name":"{said}"#),
    ]
    .map(|body| {
        let mut echo = response(status, body);
        if let Fault::Status { headers, .. } = &mut echo {
            headers.insert("location".into(), url.clone());
            headers.insert("x-echo".into(), format!("Bearer {TOKEN}"));
        }
        echo
    })
}

pub(crate) fn response(status: u16, body: String) -> Fault {
    Fault::Status {
        status,
        headers: [].into(),
        body,
    }
}

fn url(server: &EmulatorServer) -> String {
    format!(
        "{}/subscribe?channel={CHANNEL}&stream_type=all",
        server.origin()
    )
}

/// Panics if the text has any of the secrets. `place` says where the text is from.
#[track_caller]
pub(crate) fn assert_hidden(place: &str, text: &str) {
    for canary in [
        TOKEN,
        CHANNEL,
        CLIENT_SECRET,
        CLIENT_SECRET_IN_A_FORM,
        REFRESH_TOKEN,
    ] {
        if let Some(at) = text.find(canary) {
            let around = &text.as_bytes()[at.saturating_sub(300)..text.len().min(at + 100)];
            panic!("{canary} is in {place}: …{}…", around.escape_ascii());
        }
    }
}

/// Returns all texts of an error and its causes.
pub(crate) fn said(error: &dyn StdError) -> String {
    let mut said = format!("{error} {error:?} {error:#?}");
    if let Some(cause) = error.source() {
        said += &self::said(cause);
    }
    said
}
