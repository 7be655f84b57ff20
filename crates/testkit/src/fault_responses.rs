//! The responses of requests that meet a fault.
//!
//! Most faults take the regular response and change its body or delivery. Faults are queued in
//! `fault`, and the broken deliveries are sent in `wire`. Start from `Emulator::fail`.

use std::time::Duration;

use serde_json::Value;

use crate::clock::http_date;
use crate::emulator::{Call, Emulator};
use crate::events_api;
use crate::gzip::gzip;
use crate::{Delivery, Endpoint, FakeResponse, Fault, Reply};

impl Emulator {
    /// Responds to a request as the fault demands, or holds it.
    pub(crate) fn fail(&mut self, call: &Call<'_>, fault: &Fault) -> Reply {
        let mut response = match fault {
            Fault::Silence => return self.hold_forever(call),
            Fault::LostResponse => self.token(call).delivered(Delivery::Reset),
            Fault::WithheldResponse => {
                self.token(call);
                return self.hold_forever(call);
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
                FakeResponse::new(200, "application/octet-stream", bytes)
            }
            Fault::Html => FakeResponse::new(
                200,
                "text/html",
                "<!doctype html><title>Sign in</title><p>Welcome to the hotel",
            ),
            Fault::TruncatedJson => {
                let mut response = self.at_once(call, fault);
                response.body.truncate(response.body.len() / 2);
                response
            }
            Fault::HugeBody { bytes } => {
                let mut response = self.at_once(call, fault);
                // The padding comes first, so a client must read it before the page.
                response.body = [vec![b' '; *bytes], response.body].concat();
                response
            }
            Fault::CompressedBody { .. }
            | Fault::TruncatedGzip
            | Fault::WrongGzipLength
            | Fault::NotGzip => self.compressed(call, fault),
            Fault::WrongTypes | Fault::EmptyList | Fault::NoEntries => self.misshapen(call, fault),
            Fault::MissingPosition
            | Fault::NullPosition
            | Fault::ZeroPosition
            | Fault::NowPosition
            | Fault::EmptyPosition
            | Fault::FloatPosition
            | Fault::StalePage => events_api::page(self, call, Some(fault)),
            Fault::Redirect { location } => FakeResponse::empty(302).header("location", location),
            Fault::NoContent => FakeResponse::empty(204),
            Fault::Unauthorized => FakeResponse::unauthorized(true),
            Fault::UnauthorizedEmpty => FakeResponse::unauthorized(false),
            Fault::Forbidden => refusal(
                403,
                "access_denied_insufficient_permissions",
                "Access denied",
            ),
            Fault::NotFound => refusal(404, "not_found", "Not Found"),
            Fault::RateLimited { seconds } => FakeResponse::rate_limited(&seconds.to_string()),
            Fault::RateLimitedDate { seconds } => FakeResponse::rate_limited(&http_date(
                self.unix(call.now).saturating_add_unsigned(*seconds),
            )),
            Fault::ServerError => refusal(500, "internal_server_error", "Internal Server Error"),
            Fault::Unavailable => refusal(503, "unavailable", "Unavailable"),
            Fault::BadPosition => FakeResponse::invalid_parameter(
                "stream_position",
                &call.request.query("stream_position").unwrap_or_default(),
            ),
            Fault::Signal { message } => self.signal(call.record, 200, message),
            Fault::UnknownSignal => self.signal(call.record, 200, "change_of_plan"),
            Fault::GarbageSignal => FakeResponse::json(200, "new_change, most likely"),
        };
        // The realtime servers close the connection after each response, with or without a fault.
        response.close |= call.endpoint == Endpoint::Realtime;
        Reply::Respond(response)
    }

    /// Returns the regular response. A poll gets `new_change` at once.
    fn at_once(&mut self, call: &Call<'_>, fault: &Fault) -> FakeResponse {
        match call.endpoint {
            // No byte of this response is sent, and the request must have no effect.
            Endpoint::Token if matches!(fault, Fault::Reset | Fault::CloseBeforeHeaders) => {
                FakeResponse::empty(503)
            }
            Endpoint::Token => self.token(call),
            Endpoint::Options => self.realtime_servers(call),
            Endpoint::Realtime => self.signal(call.record, 200, "new_change"),
            Endpoint::Events | Endpoint::Other => events_api::page(self, call, Some(fault)),
        }
    }

    /// Returns the regular response as gzip, or as something that only claims to be gzip.
    fn compressed(&mut self, call: &Call<'_>, fault: &Fault) -> FakeResponse {
        let mut response = self.at_once(call, fault);
        let stream = gzip(&response.body);
        response.body = match fault {
            Fault::CompressedBody { bytes } => [padding(*bytes), stream].concat(),
            Fault::TruncatedGzip => stream[..stream.len() / 2].to_vec(),
            Fault::WrongGzipLength => with_a_wrong_length(stream),
            _ => response.body,
        };
        response.header("content-encoding", "gzip")
    }

    /// Returns JSON with wrong types, or without entries.
    fn misshapen(&mut self, call: &Call<'_>, fault: &Fault) -> FakeResponse {
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
        FakeResponse::json(200, body)
    }
}

/// Makes the response of [`Fault::Status`]. A body is JSON unless a header says otherwise.
fn custom<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a String, &'a String)>,
    body: &str,
) -> FakeResponse {
    let mut response = FakeResponse::empty(status);
    response.body = body.into();
    for (name, value) in headers {
        response = response.header(&name.to_lowercase(), value);
    }
    if body.is_empty() || response.header_value("content-type").is_some() {
        response
    } else {
        response.header("content-type", "application/json")
    }
}

/// Compresses `length` spaces or a few more. A gzip stream may have several members, so one
/// compressed part of the padding is repeated.
fn padding(length: usize) -> Vec<u8> {
    const PART: usize = 16 << 10;
    gzip(&[b' '; PART]).repeat(length.div_ceil(PART))
}

/// Changes the length of the content, which is at the end of a gzip stream.
fn with_a_wrong_length(mut stream: Vec<u8>) -> Vec<u8> {
    if let Some(last) = stream.last_mut() {
        *last ^= 1;
    }
    stream
}

/// Makes an error response in Box's format.
fn refusal(status: u16, code: &str, message: &str) -> FakeResponse {
    FakeResponse::box_error(status, code, message, &Value::Null)
}
