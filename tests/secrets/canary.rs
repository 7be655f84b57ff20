//! The secrets, and a server that repeats them.

use std::error::Error as StdError;

use box_longpoll::AccessToken;
use box_longpoll_testkit::{EmulatorServer, Fault};

pub(crate) const TOKEN: &str = "canary-token-7f3a91bc";
pub(crate) const CHANNEL: &str = "canary-channel-52d8e6a7";

/// Of an application and its user. The first is written in another way in a form.
pub(crate) const CLIENT_SECRET: &str = "canary&client secret 6b20fd";
pub(crate) const CLIENT_SECRET_IN_A_FORM: &str = "canary%26client+secret+6b20fd";
pub(crate) const REFRESH_TOKEN: &str = "canary-refresh-token-e1d09c";

pub(crate) fn token() -> AccessToken {
    AccessToken::new(TOKEN).unwrap()
}

/// A list of one server, whose channel nobody may see.
pub(crate) fn list(server: &EmulatorServer) -> Fault {
    answer(
        200,
        format!(r#"{{"entries":[{{"url":"{}"}}]}}"#, url(server)),
    )
}

/// Answers of that status, each of which repeats the secrets in its own way: as Box's error, as a proxy's page, and as a
/// page of events that is cut.
pub(crate) fn echoes(server: &EmulatorServer, status: u16) -> [Fault; 3] {
    let url = url(server);
    let said = format!("authorization: Bearer {TOKEN} for {url}");
    [
        format!(r#"{{"type":"error","code":"{TOKEN}","message":"{said}","request_id":"{url}"}}"#),
        format!("<html>GET {said}</html>"),
        format!(r#"{{"entries":[{{"event_id":"a","name":"{said}"#),
    ]
    .map(|body| {
        let mut echo = answer(status, body);
        if let Fault::Status { headers, .. } = &mut echo {
            headers.insert("location".into(), url.clone());
            headers.insert("x-echo".into(), format!("Bearer {TOKEN}"));
        }
        echo
    })
}

pub(crate) fn answer(status: u16, body: String) -> Fault {
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

/// All that an error and its causes say.
pub(crate) fn said(error: &dyn StdError) -> String {
    let mut said = format!("{error} {error:?} {error:#?}");
    if let Some(cause) = error.source() {
        said += &self::said(cause);
    }
    said
}
