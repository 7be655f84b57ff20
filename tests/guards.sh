#!/bin/sh
# Proves that each guard in the adapters has a test. The script copies the tree, removes one guard
# at a time from the copy, and runs the test that is named for the guard, which must fail. The tests
# of the tree itself must pass before. The script fails if it does not find a guard, or if a test
# passes without its guard.
#
#   tests/guards.sh [WORD]      only the guards with this word in the file or in the test
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
word=${1:-}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -C "$root" --exclude ./target --exclude ./.git -cf - . | tar -C "$copy" -xf -
cd "$copy"
# The copy has its own target directory. Cargo does not distinguish two copies of a workspace, and
# the programs that are built here are broken on purpose.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/guards" RUST_BACKTRACE=0

verdict=0

# guard FILE PERL BINARY TEST: removes a guard from FILE with the expression PERL, and expects that
# TEST in the test program BINARY fails.
guard() {
    case "$1 $4" in *"$word"*) ;; *) return 0 ;; esac
    file=transports/$1
    cp "$file" original
    perl -0pi -e "$2" "$file"
    if cmp -s original "$file"; then
        outcome='NOT FOUND' verdict=1
    elif ! cargo test --quiet --locked --features full --test "$3" --no-run >log 2>&1; then
        outcome='DOES NOT COMPILE' verdict=1
        tail -n 20 log >&2
    elif cargo test --quiet --locked --features full --test "$3" -- --exact "$4" >log 2>&1; then
        grep -q 'running 1 test' log && outcome='NOT MISSED' || outcome='NO SUCH TEST'
        verdict=1
    else
        outcome=missed
    fi
    mv original "$file"
    printf '%-12s %-16s %s\n' "$1" "$outcome" "$4"
}

reqwest=reqwest::rustls
guard reqwest.rs 's/\s*\.redirect\(reqwest::redirect::Policy::none\(\)\)//' \
    backends conformance::$reqwest::required_never_follows_redirects
guard reqwest.rs 's/\w+\.is_some_and\(\|\w+\| \*\w+ != .*?\)\) \{/false {/' \
    reqwest client_that_follows_redirects_is_refused
guard reqwest.rs 's/announced > max_body as u64/false/' \
    backends conformance::$reqwest::required_the_cap_holds_for_a_length
guard reqwest.rs 's/if body\.len\(\) \+ chunk\.len\(\) > max_body/if false/' \
    backends conformance::$reqwest::required_the_cap_holds_for_chunks
guard reqwest.rs 's/tcp_keepalive\(KEEPALIVE\)/tcp_keepalive(None)/' \
    backends conformance::$reqwest::optional_a_silent_connection_is_probed
guard reqwest.rs 's/\s*\.connect_timeout\(CONNECT_TIMEOUT\)//' \
    backends conformance::$reqwest::required_a_silent_connection_is_given_up
guard reqwest.rs 's/\s*\.http1_only\(\)//' \
    reqwest only_http_1_is_offered
guard reqwest.rs 's/!is_same\(&target, request\.url\(\)\)/false/' \
    backends conformance::$reqwest::required_an_unusual_target_is_sent_as_given_or_refused
guard reqwest.rs 's/\s*\.pool_idle_timeout\(None\)//' \
    backends aged_connections::connection_is_used_again_after_two_quiet_minutes::case_1_reqwest
guard reqwest.rs 's/\s*\.pool_max_idle_per_host\(MAX_IDLE_PER_HOST\)//' \
    backends aged_connections::few_connections_stay_open_when_many_polls_end_at_once::case_1_reqwest
guard reqwest.rs 's/error\.is_timeout\(\) && !is_socket_error/error.is_timeout()/' \
    backends aged_connections::connection_ends_when_nobody_takes_data_for_a_minute::case_1_reqwest
guard reqwest.rs 's/\.pool_max_idle_per_host\(0\)//g' \
    reqwest default_client_keeps_the_contract::case_7_fresh
guard reqwest.rs 's/error\.with_connection_reused\(false\)/error/' \
    reqwest only_a_fresh_connection_is_known_not_to_be_reused

guard body.rs 's/length > max_body - body\.len\(\)/false/' \
    backends conformance::surf::required_the_cap_holds_for_chunks
guard body.rs 's/length > max_body - body\.len\(\)/false/' \
    backends conformance::isahc::required_the_cap_holds_for_chunks
guard body.rs 's/length != body\.len\(\) as u64/false/' \
    backends conformance::surf::required_a_body_shorter_than_its_length_is_an_error

guard surf.rs 's/Timer::after\(CONNECT_TIMEOUT\)/Timer::never()/' \
    backends conformance::surf::required_a_silent_connection_is_given_up
guard surf.rs 's/\.with_time\(KEEPALIVE\)//' \
    backends conformance::surf::optional_a_silent_connection_is_probed
guard surf.rs 's/set_tcp_user_timeout\(Some\(USER_TIMEOUT\)\)/set_tcp_user_timeout(None)/' \
    backends aged_connections::connection_ends_when_nobody_takes_data_for_a_minute::case_2_surf
guard surf.rs 's/\w+\.length > MAX_HEAD\w*/false/' \
    backends conformance::surf::required_headers_without_end_are_an_error
guard surf.rs 's/url\.path\(\) != uri\.path\(\) \|\| url\.query\(\) != uri\.query\(\)/false/' \
    backends conformance::surf::required_an_unusual_target_is_sent_as_given_or_refused
guard surf.rs 's/Poll::Pending => Pin::new\(&mut self\.0\)\.poll_read\(cx, chunk\)/Poll::Pending => Poll::Pending/' \
    surf a_chunked_body_may_end_in_two_pieces
guard surf.rs 's/length\.is_none\(\) && !chunked/false/' \
    surf unreadable_response_is_an_interruption::case_1_close_delimited
guard surf.rs 's/\s*\.map_err\(\|error\| error\.with_connection_reused\(false\)\)//' \
    surf error_says_that_the_connection_was_not_reused

guard isahc.rs 's/\s*\.redirect_policy\(RedirectPolicy::None\)//' \
    isahc a_client_that_follows_redirects_follows_none
guard isahc.rs 's/\s*\.timeout\(timeout\)//' \
    backends conformance::isahc::required_a_dropped_request_ends_with_its_timeout
guard isahc.rs 's/\s*\.connect_timeout\(CONNECT_TIMEOUT\)//' \
    backends conformance::isahc::required_a_silent_connection_is_given_up
guard isahc.rs 's/\s*\.tcp_keepalive\(KEEPALIVE_INTERVAL\)//' \
    backends conformance::isahc::optional_a_silent_connection_is_probed
guard isahc.rs 's/\s*\.connection_cache_ttl\(UNLIMITED\)//' \
    backends aged_connections::connection_is_used_again_after_two_quiet_minutes::case_2_isahc
guard isahc.rs 's/AsyncBody::from_reader_sized\(Once\(body\), length as u64\)/{ let _ = length; AsyncBody::from(body.to_vec()) }/' \
    backends conformance::isahc::required_a_post_is_never_sent_twice
guard isahc.rs 's/if \w*would_change\(parts\.uri\.path\(\)\)/if false/' \
    backends conformance::isahc::required_an_unusual_target_is_sent_as_given_or_refused
guard isahc.rs 's/if !(\w+) && (may_be_\w+\()/if false \&\& !$1 \&\& $2/' \
    backends conformance::isahc::required_an_end_inside_the_headers_is_an_interruption
guard isahc.rs 's/request\.method\(\) == Method::POST && /false \&\& request.method() == Method::POST \&\& /' \
    isahc post_body_gets_no_content_type_of_a_form
exit $verdict
