use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::calendar::http_date;
use crate::emulator::{Call, Emulator};
use crate::events_api;
use crate::{Answer, Delivery, Endpoint, Fault, Reply};

impl Emulator {
    /// Lets a request meet a fault.
    pub(crate) fn fail(&mut self, call: &Call<'_>, fault: &Fault) -> Reply {
        let mut answer = match fault {
            Fault::Silence => return self.never_answer(call),
            Fault::LostAnswer => self.token(call).delivered(Delivery::Reset),
            Fault::WithheldAnswer => {
                self.token(call);
                return self.never_answer(call);
            }
            Fault::Status {
                status,
                headers,
                body,
            } => custom(*status, headers, body),
            Fault::CloseBeforeHeaders => self
                .at_once(call, fault)
                .delivered(Delivery::CloseBeforeHeaders),
            Fault::Reset => self.at_once(call, fault).delivered(Delivery::Reset),
            Fault::CloseInHeaders => self.at_once(call, fault).delivered(Delivery::CutHeaders),
            Fault::CloseInBody => self.at_once(call, fault).delivered(Delivery::CutBody),
            Fault::ResetInBody => self.at_once(call, fault).delivered(Delivery::ResetBody),
            Fault::CloseInChunk => self.at_once(call, fault).delivered(Delivery::CutChunk),
            Fault::NeverClose => self
                .at_once(call, fault)
                .closing()
                .delivered(Delivery::NeverClose),
            Fault::EndlessBody => self.at_once(call, fault).delivered(Delivery::Endless),
            Fault::Drip { interval_ms } => {
                let interval = Duration::from_millis(*interval_ms);
                self.at_once(call, fault)
                    .delivered(Delivery::Drip { interval })
            }
            Fault::Garbage => {
                let bytes: Vec<u8> = (0..256).map(|_| self.rng.u8(..)).collect();
                Answer::new(200, "application/octet-stream", bytes)
            }
            Fault::Html => Answer::new(
                200,
                "text/html",
                "<!doctype html><title>Sign in</title><p>Welcome to the hotel",
            ),
            Fault::TruncatedJson => {
                let mut answer = self.at_once(call, fault);
                answer.body.truncate(answer.body.len() / 2);
                answer
            }
            Fault::HugeBody { bytes } => {
                let mut answer = self.at_once(call, fault);
                // In front, so that it has to be read before anything is known.
                answer.body = [vec![b' '; *bytes], answer.body].concat();
                answer
            }
            Fault::CompressedBody { bytes } => {
                let mut answer = self.at_once(call, fault);
                answer.body = compressed(*bytes, &answer.body);
                answer.header("content-encoding", "gzip")
            }
            Fault::WrongTypes | Fault::EmptyList | Fault::NoEntries => self.misshapen(call, fault),
            Fault::MissingPosition
            | Fault::NullPosition
            | Fault::ZeroPosition
            | Fault::NowPosition
            | Fault::EmptyPosition
            | Fault::FloatPosition
            | Fault::StalePage => events_api::page(self, call, Some(fault)),
            Fault::Redirect { location } => Answer::empty(302).header("location", location),
            Fault::NoContent => Answer::empty(204),
            Fault::Unauthorized => Answer::unauthorized(true),
            Fault::UnauthorizedEmpty => Answer::unauthorized(false),
            Fault::Forbidden => refusal(
                403,
                "access_denied_insufficient_permissions",
                "Access denied",
            ),
            Fault::NotFound => refusal(404, "not_found", "Not Found"),
            Fault::RateLimited { seconds } => Answer::rate_limited(&seconds.to_string()),
            Fault::RateLimitedDate { seconds } => Answer::rate_limited(&http_date(
                self.unix(call.now).saturating_add_unsigned(*seconds),
            )),
            Fault::ServerError => refusal(500, "internal_server_error", "Internal Server Error"),
            Fault::Unavailable => refusal(503, "unavailable", "Unavailable"),
            Fault::BadPosition => Answer::invalid_parameter(
                "stream_position",
                &call.request.query("stream_position").unwrap_or_default(),
            ),
            Fault::Signal { message } => self.signal(call.record, 200, message),
            Fault::UnknownSignal => self.signal(call.record, 200, "change_of_plan"),
            Fault::GarbageSignal => Answer::json(200, "new_change, most likely"),
        };
        // The realtime servers close their connections with or without a fault.
        answer.close |= call.endpoint == Endpoint::Realtime;
        Reply::Answer(answer)
    }

    /// What the request would be answered, a poll with `new_change` at once.
    fn at_once(&mut self, call: &Call<'_>, fault: &Fault) -> Answer {
        match call.endpoint {
            // Nobody will see this answer, and the request is to be as if it had never come.
            Endpoint::Token if matches!(fault, Fault::Reset | Fault::CloseBeforeHeaders) => {
                Answer::empty(503)
            }
            Endpoint::Token => self.token(call),
            Endpoint::Options => self.realtime_servers(call),
            Endpoint::Realtime => self.signal(call.record, 200, "new_change"),
            Endpoint::Events | Endpoint::Other => events_api::page(self, call, Some(fault)),
        }
    }

    /// JSON that isn't what it should be.
    fn misshapen(&mut self, call: &Call<'_>, fault: &Fault) -> Answer {
        let body = match (call.endpoint, fault) {
            (Endpoint::Realtime, _) => r#"{"message":{"new":7}}"#,
            (Endpoint::Options, Fault::EmptyList) => r#"{"chunk_size":0,"entries":[]}"#,
            (Endpoint::Options, Fault::NoEntries) => r#"{"chunk_size":0}"#,
            (Endpoint::Options, _) => {
                r#"{"chunk_size":"1","entries":[{"type":7,"url":{},"ttl":[],"max_retries":false}]}"#
            }
            (Endpoint::Token, _) => {
                r#"{"access_token":7,"expires_in":"soon","refresh_token":[],"token_type":{}}"#
            }
            _ => return events_api::page(self, call, Some(fault)),
        };
        Answer::json(200, body)
    }
}

fn custom<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a String, &'a String)>,
    body: &str,
) -> Answer {
    let mut answer = Answer::empty(status);
    answer.body = body.into();
    for (name, value) in headers {
        answer = answer.header(&name.to_lowercase(), value);
    }
    if body.is_empty() || answer.header_value("content-type").is_some() {
        answer
    } else {
        answer.header("content-type", "application/json")
    }
}

/// So many spaces and then the body. gzip's files may have several parts, so that the padding need be compressed once only.
fn compressed(padding: usize, body: &[u8]) -> Vec<u8> {
    const PART: usize = 16 << 10;
    let mut compressed = gzip(&[b' '; PART]).repeat(padding.div_ceil(PART));
    compressed.extend(gzip(body));
    compressed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("a vector takes what is written")
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    Answer::box_error(status, code, message, &Value::Null)
}
