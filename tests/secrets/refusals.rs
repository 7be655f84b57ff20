//! Tests that settings refuse line breaks and other control characters, which could end a header or
//! a line of a log. The error names the setting, and does not repeat its value.

use box_longpoll::config::RealtimeHosts;
use box_longpoll::{AccessToken, Error, ErrorKind, LongPollClient, LongPollClientBuilder};
use rstest::rstest;

use crate::canary::said;

fn config(builder: LongPollClientBuilder) -> Result<(), Error> {
    builder.config().map(drop)
}

fn token(text: &str) -> Result<(), Error> {
    AccessToken::new(text).map(drop)
}

fn as_user(text: &str) -> Result<(), Error> {
    let config = LongPollClient::builder().config()?;
    config.as_user(text).map(drop)
}

fn user_agent(text: &str) -> Result<(), Error> {
    config(LongPollClient::builder().user_agent(text))
}

fn realtime_host(text: &str) -> Result<(), Error> {
    config(LongPollClient::builder().realtime_hosts(RealtimeHosts::default().allow(text)))
}

#[rstest]
#[case::token(token, "token")]
#[case::as_user(as_user, "user to act as")]
#[case::user_agent(user_agent, "user agent")]
#[case::realtime_host(realtime_host, "realtime host")]
fn control_character_is_an_error_that_names_only_the_setting(
    #[case] take: fn(&str) -> Result<(), Error>,
    #[case] name: &str,
    #[values("canary\n", "canary\r\nx-evil: 1", "\ncanary", "can\rary", "can\0ary")] text: &str,
) {
    let error = take(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(name), "{error}");
    let said = said(&error);
    assert!(!said.contains("canary") && !said.contains("evil"), "{said}");
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
}
