//! The checks of the token and its rights: a token, the events of the user or of the enterprise, and
//! the realtime servers.

use std::time::Duration;

use box_longpoll::auth::TokenErrorKind;
use box_longpoll::config::RealtimeHosts;
use box_longpoll::enterprise::AdminLogsStreaming;
use box_longpoll::{Error, ErrorKind, LongPollClient, StartAt, StreamPosition, TokenSource};
use tokio::time::timeout;

use super::findings::Findings;
use super::network::{REQUEST_TIMEOUT, check_realtime_host};
use crate::account::Backend;
use crate::report::with_causes;

/// The time limit for a token: Box may be slow, and the source retries once.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Gets a token. Returns `true` if there is one.
pub(super) async fn check_token(tokens: &dyn TokenSource, findings: &mut Findings) -> bool {
    const CHECK: &str = "token";
    let error = match timeout(TOKEN_TIMEOUT, tokens.token(None)).await {
        Ok(Ok(_)) => {
            let whose = tokens.subject().map(|subject| format!(", for {subject}"));
            findings.ok(CHECK, format!("obtained{}", whose.unwrap_or_default()));
            return true;
        }
        Ok(Err(error)) => error,
        Err(_) => {
            let remedy = "try again, and see the checks of the connection";
            findings.fail(CHECK, "no token in time", remedy);
            return false;
        }
    };
    let remedy = match error.kind() {
        TokenErrorKind::InvalidClient => {
            "compare the client id and the client secret with those in Box's developer console"
        }
        TokenErrorKind::NotAuthorized => {
            "have an admin authorize the application in Box's admin console (Integrations, \
             Platform Apps Manager), again after each change of its scopes"
        }
        TokenErrorKind::InvalidGrant => {
            "check the id in --subject; with a key, check that Box's developer console has it"
        }
        TokenErrorKind::ReauthorizationRequired => {
            "have the user authorize the application again, and put the new refresh token into the \
             file"
        }
        TokenErrorKind::ClockSkew => "set the clock of this machine",
        TokenErrorKind::Transient => "try again; box-tail does so by itself",
        _ => "correct the credentials as the text says",
    };
    findings.fail(CHECK, with_causes(&error), remedy);
    false
}

/// Fetches the position of the present from the events of the user.
pub(super) async fn check_events(
    client: &LongPollClient,
    findings: &mut Findings,
) -> Option<StreamPosition> {
    let fetched = in_time(client.fetch(StartAt::Now)).await;
    match fetched {
        Ok(page) => {
            findings.ok("events", "the user's events can be read");
            page.next_position
        }
        Err(failure) => {
            let right = "give the application the right to read the user's content (a scope in \
                         Box's developer console; with --as-user, also \"Make API calls using the \
                         as-user header\"), and have an admin authorize it again";
            findings.fail("events", failure.text(), failure.remedy(right));
            None
        }
    }
}

/// Fetches the position of the present from the events of the enterprise.
pub(super) async fn check_enterprise(client: &LongPollClient, findings: &mut Findings) {
    let fetched = match client.enterprise(AdminLogsStreaming::default()) {
        Ok(client) => in_time(client.fetch(StartAt::Now)).await,
        Err(error) => Err(Failure::Error(error)),
    };
    match fetched {
        Ok(_) => findings.ok("enterprise", "the events of the enterprise can be read"),
        Err(failure) => {
            let right = "use the token of an admin, or of a co-admin who may run reports; give the \
                         application the scope \"Manage enterprise properties\", and have an admin \
                         authorize it again";
            findings.fail("enterprise", failure.text(), failure.remedy(right));
        }
    }
}

/// Lists the realtime servers, and holds a poll at one of them for a time of up to `hold`.
pub(super) async fn check_realtime(
    client: &LongPollClient,
    position: Option<&StreamPosition>,
    backend: Option<Backend>,
    hold: Duration,
    findings: &mut Findings,
) {
    let slower = "; without it, box-tail learns of events up to a minute later";
    let servers = match in_time(client.realtime_servers()).await {
        Ok(servers) => servers,
        Err(failure) => {
            let right = "the token may list no realtime servers: use one that is not downscoped";
            let text = failure.text() + slower;
            findings.fail("realtime", text, failure.remedy(right));
            return findings.skip("poll", "there is no realtime server");
        }
    };
    let (Some(server), Some(position)) = (servers.first(), position) else {
        let remedy = "try again; if this persists, something on the way changes Box's responses";
        findings.fail("realtime", format!("Box lists no server{slower}"), remedy);
        return findings.skip("poll", "there is no realtime server");
    };
    let host = server.host();
    let count = servers.len();
    findings.ok("realtime", format!("servers: {count}, the first is {host}"));
    if !check_realtime_host(host, backend, findings).await {
        return;
    }
    match timeout(hold, client.listen(server, position)).await {
        Ok(Ok(_)) => findings.ok("poll", format!("{host} sent a signal")),
        Err(_) => {
            let seconds = hold.as_secs();
            findings.ok(
                "poll",
                format!("{host} holds a poll, for {seconds} s so far"),
            );
        }
        Ok(Err(error)) => {
            let failure = Failure::Error(error);
            let remedy = format!(
                "have the firewall and the proxy permit {host}, and connections that are idle for \
                 10 minutes"
            );
            findings.fail("poll", failure.text() + slower, remedy);
        }
    }
}

/// The reason why a request to Box has failed.
enum Failure {
    Error(Error),
    Late,
}

/// Waits for the response to a request.
async fn in_time<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match timeout(REQUEST_TIMEOUT, request).await {
        Ok(outcome) => outcome.map_err(Failure::Error),
        Err(_) => Err(Failure::Late),
    }
}

impl Failure {
    fn text(&self) -> String {
        match self {
            Self::Error(error) => with_causes(error),
            Self::Late => format!("no response in {} s", REQUEST_TIMEOUT.as_secs()),
        }
    }

    /// Returns the steps that solve the problem. `right` are those after a 403.
    fn remedy(&self, right: &str) -> String {
        let Self::Error(error) = self else {
            return "try again; box-tail does so by itself".to_owned();
        };
        let steps = match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::Token => {
                "get a new access token (a developer token lives 60 minutes), or give box-tail the \
                 credentials to refresh it: see `box-tail follow --help`"
            }
            ErrorKind::Forbidden => right,
            ErrorKind::RateLimited => {
                "wait: other programs may use up the calls of this account; box-tail waits by \
                 itself"
            }
            ErrorKind::Status
                if error
                    .status()
                    .is_some_and(|status| status.is_server_error()) =>
            {
                "see https://status.box.com, and try again; box-tail does so by itself"
            }
            ErrorKind::Status | ErrorKind::UnexpectedResponse => {
                "something on the way, such as a proxy or a sign-in page of the network, may \
                 respond in place of Box: open the API's address in a browser on this machine"
            }
            ErrorKind::RealtimeRefused => {
                "Box's realtime servers are hosts of box.com and box.net: see if something on the \
                 way changes Box's responses"
            }
            ErrorKind::Transport => "see the checks of the connection, and try again",
            _ => "correct what the text says",
        };
        steps.to_owned()
    }
}

/// Returns the hosts that a fake Box may name as realtime servers.
pub(super) fn fake_hosts() -> RealtimeHosts {
    RealtimeHosts::default().allow_loopback()
}
