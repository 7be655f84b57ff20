//! The testkit's conformance suite for the transports of the library, with a module for each.
//!
//! Each module lists the optional rules that its transport doesn't follow. `custom` tests the
//! transports of an example, and `broken` tests the suite itself.

#[cfg(feature = "reqwest")]
mod broken;
mod custom;

#[cfg(feature = "reqwest")]
mod reqwest {
    use box_longpoll::transports::ReqwestTransport;
    use box_longpoll_testkit::conformance::Setup;
    use reqwest::{Certificate, ClientBuilder};

    fn transport(setup: &Setup, builder: ClientBuilder) -> ReqwestTransport {
        let root = Certificate::from_pem(setup.ca_pem().as_bytes()).unwrap();
        let client = builder.tls_certs_merge([root]).no_proxy().build();
        ReqwestTransport::with_client(client.unwrap())
    }

    mod rustls {
        use super::ReqwestTransport;

        box_longpoll_testkit::conformance_tests!(
            |setup| super::transport(setup, ReqwestTransport::client_builder()),
            except: [
                optional_a_fresh_connection_is_opened_when_requested = "a client of the user has one pool",
                optional_works_inside_a_blocked_runtime = "the runtime that drives its sockets is blocked",
            ],
        );
    }

    #[cfg(feature = "reqwest-native-tls")]
    mod native_tls {
        use super::ReqwestTransport;

        box_longpoll_testkit::conformance_tests!(
            |setup| super::transport(setup, ReqwestTransport::client_builder().tls_backend_native()),
            except: [
                optional_a_fresh_connection_is_opened_when_requested = "a client of the user has one pool",
                optional_works_inside_a_blocked_runtime = "the runtime that drives its sockets is blocked",
            ],
            skip: [
                optional_a_body_cut_out_of_tls_is_an_error = "depends on the platform: OpenSSL does not notice it",
                required_responses_may_be_held_for_minutes = "the suite tests the same client with rustls",
            ],
        );
    }
}

#[cfg(feature = "isahc")]
mod isahc {
    use box_longpoll::transports::IsahcTransport;
    use box_longpoll_testkit::conformance::Setup;
    use isahc::config::Configurable;
    use isahc::tls::{TlsConfig, TrustStore};

    fn transport(setup: &Setup) -> IsahcTransport {
        let roots = TrustStore::builder().certificate_from_pem(setup.ca_pem());
        let tls = TlsConfig::builder().trust_store(roots.build()).build();
        let client = IsahcTransport::client_builder().tls_config(tls).proxy(None);
        IsahcTransport::with_client(client.build().unwrap())
    }

    box_longpoll_testkit::conformance_tests!(
        transport,
        except: [
            optional_a_fresh_connection_is_opened_when_requested = "curl chooses the connection",
            optional_a_get_is_never_sent_twice = "curl resends a request without a body",
            optional_dropping_a_request_closes_its_connection_at_once = "isahc notices the drop when something arrives",
            optional_headers_beyond_ascii_are_sent_as_given = "isahc sends visible ASCII only",
            required_nothing_else_is_sent_with_a_post = "a POST without a Content-Type gets an empty one",
            required_the_path_is_sent_byte_for_byte = "isahc refuses a path that curl would capitalize",
        ],
        skip: [
            optional_a_body_cut_out_of_tls_is_an_error = "depends on timing: if TCP ends right after a response, curl may lose it",
            required_a_complete_body_needs_no_end_of_tls = "depends on timing: if TCP ends right after a response, curl may lose it",
        ],
    );
}

#[cfg(feature = "surf-native-tls")]
mod surf {
    use box_longpoll::transports::SurfTransport;
    use box_longpoll_testkit::conformance::Setup;

    fn transport(setup: &Setup) -> SurfTransport {
        SurfTransport::with_root_certificates([setup.ca_pem().as_bytes()]).unwrap()
    }

    box_longpoll_testkit::conformance_tests!(
        transport,
        except: [
            optional_interim_responses_are_skipped = "async-h1 takes the first response for the final one",
            optional_long_headers_come_back = "async-h1 stops at 8 KB",
            optional_reuses_connections = "surf would give a dropped request's connection to the next one",
            optional_the_version_of_a_response_is_reported = "async-h1 supports HTTP/1.1 only",
            optional_a_body_cut_out_of_tls_is_an_error = "async-h1 reads no body that ends with the connection",
            required_a_body_may_end_with_tls = "async-h1 reads no such body; the error is Interrupted",
            required_a_body_may_end_with_the_connection = "async-h1 reads no such body; the error is Interrupted",
            required_chunks_may_have_extensions_and_trailers = "async-h1 supports no extensions",
            required_a_header_that_is_no_utf8_comes_back = "async-h1 refuses it",
            required_an_unknown_status_is_a_response = "http-types accepts known statuses only",
            optional_headers_beyond_ascii_are_sent_as_given = "http-types holds ASCII only",
            required_http_1_0_is_understood = "async-h1 supports HTTP/1.1 only",
            required_the_cap_holds_for_a_body_without_a_length = "async-h1 reads no such body; the error is Interrupted",
        ],
    );
}

#[cfg(all(feature = "surf", not(feature = "surf-native-tls")))]
mod surf {
    use box_longpoll::transports::SurfTransport;
    use box_longpoll_testkit::conformance::Setup;

    fn transport(_: &Setup) -> SurfTransport {
        SurfTransport::new().unwrap()
    }

    box_longpoll_testkit::conformance_tests!(
        transport,
        except: [
            optional_interim_responses_are_skipped = "async-h1 takes the first response for the final one",
            optional_long_headers_come_back = "async-h1 stops at 8 KB",
            optional_reuses_connections = "surf would give a dropped request's connection to the next one",
            optional_the_version_of_a_response_is_reported = "async-h1 supports HTTP/1.1 only",
            required_a_body_may_end_with_the_connection = "async-h1 reads no such body; the error is Interrupted",
            required_chunks_may_have_extensions_and_trailers = "async-h1 supports no extensions",
            required_a_header_that_is_no_utf8_comes_back = "async-h1 refuses it",
            required_an_unknown_status_is_a_response = "http-types accepts known statuses only",
            optional_headers_beyond_ascii_are_sent_as_given = "http-types holds ASCII only",
            required_http_1_0_is_understood = "async-h1 supports HTTP/1.1 only",
            required_the_cap_holds_for_a_body_without_a_length = "async-h1 reads no such body; the error is Interrupted",
        ],
        skip: [
            optional_a_body_cut_out_of_tls_is_an_error = "needs the feature surf-native-tls",
            required_a_certificate_of_another_name_is_refused = "needs the feature surf-native-tls",
            required_a_given_root_is_trusted = "needs the feature surf-native-tls",
            required_a_handshake_cut_short_is_no_interruption = "needs the feature surf-native-tls",
            required_a_server_without_tls_is_an_error_of_tls = "needs the feature surf-native-tls",
            required_an_expired_certificate_is_refused = "needs the feature surf-native-tls",
            required_an_unknown_authority_is_refused = "needs the feature surf-native-tls",
            required_an_unknown_host_is_an_error_of_connecting = "needs the feature surf-native-tls",
            required_failures_over_tls_have_the_same_kinds = "needs the feature surf-native-tls",
            required_a_body_may_end_with_tls = "needs the feature surf-native-tls",
            required_a_complete_body_needs_no_end_of_tls = "needs the feature surf-native-tls",
            required_complete_bodies_over_tls_are_read = "needs the feature surf-native-tls",
        ],
    );
}
