//! The list of all cases, and the lookup of their documentation.
//!
//! The list is a macro, because `conformance_tests!` makes a test of each name. A test checks that
//! it contains every case.

/// Calls a macro with the name of each case, one at a time.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($case:ident) => {
        $case!(required_a_refused_connection_is_an_error_of_connecting);
        $case!(required_a_silent_connection_is_given_up);
        $case!(required_an_end_before_the_response_is_an_interruption);
        $case!(required_an_end_inside_the_headers_is_an_interruption);
        $case!(required_an_end_inside_the_body_is_an_error);
        $case!(required_a_canceled_request_leaves_the_next_alone);
        $case!(required_the_rest_of_a_refused_body_is_dropped);
        $case!(required_a_post_is_never_sent_twice);
        $case!(required_a_stale_connection_is_replaced);
        $case!(required_a_server_may_close_after_each_response);
        $case!(required_a_kept_connection_that_closes_is_replaced);
        $case!(required_a_kept_connection_that_resets_is_replaced);
        $case!(required_a_reused_connection_is_never_called_fresh);
        $case!(optional_a_get_is_never_sent_twice);
        $case!(optional_a_fresh_connection_is_opened_when_requested);
        $case!(optional_reuses_connections);
        $case!(optional_a_silent_connection_is_probed);
        $case!(required_two_hundred_requests_are_held_at_once);
        $case!(required_a_body_with_a_length_is_whole);
        $case!(required_a_body_shorter_than_its_length_is_an_error);
        $case!(required_bytes_after_a_response_are_no_response);
        $case!(required_a_chunked_body_is_whole);
        $case!(required_chunks_may_have_extensions_and_trailers);
        $case!(required_a_chunked_body_cut_short_is_an_error);
        $case!(required_a_chunk_of_no_size_is_an_error);
        $case!(required_a_body_may_end_with_the_connection);
        $case!(required_204_and_304_have_no_body);
        $case!(required_a_length_said_twice_is_never_a_wrong_body);
        $case!(required_a_length_that_cannot_be_is_an_error);
        $case!(required_chunks_win_over_a_length);
        $case!(required_a_response_in_single_bytes_is_complete);
        $case!(optional_interim_responses_are_skipped);
        $case!(required_a_body_of_the_greatest_length_is_taken);
        $case!(required_the_cap_holds_for_a_length);
        $case!(required_the_cap_holds_for_chunks);
        $case!(required_the_cap_holds_for_a_body_without_a_length);
        $case!(required_headers_without_end_are_an_error);
        $case!(required_the_cap_is_that_of_the_request);
        $case!(required_compression_and_its_header_go_together);
        $case!(required_the_cap_holds_for_a_decompressed_body);
        $case!(required_a_cut_gzip_stream_is_never_a_body);
        $case!(required_options_is_sent);
        $case!(required_headers_are_sent_as_given);
        $case!(optional_headers_beyond_ascii_are_sent_as_given);
        $case!(required_nothing_else_is_sent);
        $case!(required_nothing_else_is_sent_with_a_post);
        $case!(required_a_body_is_sent_as_given);
        $case!(required_a_request_shows_nothing_of_the_one_before);
        $case!(required_the_query_is_sent_byte_for_byte);
        $case!(required_the_path_is_sent_byte_for_byte);
        $case!(required_an_unusual_target_is_sent_as_given_or_refused);
        $case!(required_a_fragment_is_never_sent);
        $case!(required_never_follows_redirects);
        $case!(required_a_status_is_a_response);
        $case!(required_an_unknown_status_is_a_response);
        $case!(required_headers_of_a_response_come_back);
        $case!(required_a_header_that_is_no_utf8_comes_back);
        $case!(optional_long_headers_come_back);
        $case!(required_http_1_0_is_understood);
        $case!(optional_the_version_of_a_response_is_reported);
        $case!(required_responses_may_be_held_for_minutes);
        $case!(required_a_slow_response_is_complete);
        $case!(required_silence_does_not_stop_the_timer);
        $case!(required_a_dropped_request_ends_with_its_timeout);
        $case!(optional_dropping_a_request_closes_its_connection_at_once);
        $case!(required_a_sleep_and_a_request_go_on_together);
        $case!(required_a_sleep_is_never_early);
        $case!(required_a_sleep_can_be_given_up);
        $case!(required_a_given_root_is_trusted);
        $case!(required_an_unknown_authority_is_refused);
        $case!(required_an_expired_certificate_is_refused);
        $case!(required_a_certificate_of_another_name_is_refused);
        $case!(required_a_server_without_tls_is_an_error_of_tls);
        $case!(required_a_handshake_cut_short_is_no_interruption);
        $case!(required_failures_over_tls_have_the_same_kinds);
        $case!(required_complete_bodies_over_tls_are_read);
        $case!(required_a_body_may_end_with_tls);
        $case!(required_a_complete_body_needs_no_end_of_tls);
        $case!(optional_a_body_cut_out_of_tls_is_an_error);
        $case!(required_works_anywhere_or_says_where_not);
        $case!(optional_works_inside_a_blocked_runtime);
        $case!(required_can_be_dropped_anywhere);
        $case!(required_block_on_drives_send_and_sleep);
        $case!(required_uses_no_cpu_while_a_request_is_held);
        $case!(required_an_unknown_host_is_an_error_of_connecting);
        $case!(required_another_scheme_is_an_invalid_request);
        $case!(required_a_url_without_a_host_is_an_invalid_request);
        $case!(required_what_is_no_http_is_an_interruption);
        $case!(required_an_error_shows_no_secret);
        $case!(required_unusual_requests_do_no_harm);
    };
}

/// The sources of the cases. The rule of a case is its documentation, so it is written only once.
const SOURCES: [&str; 9] = [
    include_str!("cases/connection.rs"),
    include_str!("cases/kept_connections.rs"),
    include_str!("cases/framing.rs"),
    include_str!("cases/limits.rs"),
    include_str!("cases/semantics.rs"),
    include_str!("cases/time.rs"),
    include_str!("cases/tls.rs"),
    include_str!("cases/runtime.rs"),
    include_str!("cases/errors.rs"),
];

/// Returns the documentation of a case, in one line.
pub(super) fn documentation(case: &str) -> Option<String> {
    let signature = format!("\npub fn {case}(");
    let before = SOURCES
        .iter()
        .find_map(|source| source.split_once(&signature))?
        .0;
    let comment = before
        .lines()
        .rev()
        .skip_while(|line| line.starts_with("#["))
        .map_while(|line| line.strip_prefix("///"));
    let mut lines: Vec<_> = comment.map(str::trim).collect();
    lines.reverse();
    Some(lines.join(" "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_names_every_case() {
        let defined: BTreeSet<_> = SOURCES
            .iter()
            .flat_map(|source| source.lines())
            .filter_map(|line| line.strip_prefix("pub fn ")?.split('(').next())
            .collect();
        let mut called = BTreeSet::new();
        macro_rules! call {
            ($name:ident) => {
                called.insert(stringify!($name));
            };
        }
        crate::__conformance_cases!(call);
        assert_eq!(called, defined);
    }
}
