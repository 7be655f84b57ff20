//! The dates of responses, which follow the emulator's clock and its skew.

use box_longpoll_testkit::{Fault, Settings};
use rstest::rstest;

use crate::world::{APP, World, api_call, token_request};

#[rstest]
#[case(0, "Thu, 01 Jan 2026 00:00:00 GMT")]
#[case(90, "Thu, 01 Jan 2026 00:01:30 GMT")]
#[case(-3600, "Wed, 31 Dec 2025 23:00:00 GMT")]
fn all_responses_are_dated_by_the_emulators_clock(#[case] skew: i64, #[case] date: &str) {
    let mut world = World::with(Settings {
        clock_skew_seconds: skew,
        ..Settings::default()
    });
    for request in [
        api_call("made-up"),
        token_request(APP, &[("grant_type", "client_credentials")]),
        token_request(APP, &[]),
    ] {
        assert_eq!(world.response(&request).header_value("Date"), Some(date));
    }
}

#[test]
fn a_retry_after_date_uses_the_same_clock() {
    let mut world = World::with(Settings {
        clock_skew_seconds: 90,
        ..Settings::default()
    });
    let fault = Fault::RateLimitedDate { seconds: 5 };
    let endpoint = box_longpoll_testkit::Endpoint::Token;
    world.emulator.queue_fault(endpoint, fault, 1);
    let response = world.response(&token_request(APP, &[]));
    assert_eq!(
        response.header_value("Retry-After"),
        Some("Thu, 01 Jan 2026 00:01:35 GMT")
    );
}

#[test]
fn dates_can_be_left_out() {
    let mut world = World::with(Settings {
        no_date: true,
        ..Settings::default()
    });
    for request in [api_call("made-up"), token_request(APP, &[])] {
        assert_eq!(world.response(&request).header_value("Date"), None);
    }
}
