/// Makes a test of each rule of the [contract](box_longpoll::transport), for a transport.
///
/// `conformance_tests!(|setup| …)`, and after it, if need be, `adds: ["header", …]`, `except: [case = "reason", …]` and
/// `skip: [case = "reason", …]`, in this order; see [`conformance`](crate::conformance). A module holds one call. A name that is no case
/// does not compile:
///
/// ```compile_fail,E0425
/// # use std::sync::Arc;
/// # fn transport() -> Arc<dyn box_longpoll::HttpTransport> { unimplemented!("a doc test runs none of the cases") }
/// box_longpoll_testkit::conformance_tests!(|_| transport(), skip: [required_unknown = "no such case"]);
/// ```
#[cfg_attr(docsrs, doc(cfg(feature = "conformance")))]
#[macro_export]
macro_rules! conformance_tests {
    (
        $make:expr
        $(, adds: [$($added:literal),* $(,)?])?
        $(, except: [$($excepted:ident = $exception:literal),* $(,)?])?
        $(, skip: [$($skipped:ident = $reason:literal),* $(,)?])?
        $(,)?
    ) => {
        $crate::__conformance_tests!(
            ($) $make, [$($($added,)*)?], [$($($excepted = $exception,)*)?], [$($($skipped = $reason,)*)?]
        );
    };
}

/// Defines the macro that makes one case a test. Its first argument is a dollar sign, which one macro can't write into
/// another.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (
        ($d:tt) $make:expr,
        [$($added:literal,)*],
        [$($excepted:ident = $exception:literal,)*],
        [$($skipped:ident = $reason:literal,)*]
    ) => {
        #[allow(dead_code, reason = "there may be no test that is not ignored")]
        fn conformance_transport(
            setup: &$crate::conformance::Setup,
        ) -> ::std::sync::Arc<dyn $crate::conformance::HttpTransport> {
            $crate::conformance::erase(setup, $make)
        }

        #[allow(dead_code, reason = "there may be no test that is not ignored")]
        const CONFORMANCE_CANDIDATE: $crate::conformance::Candidate =
            $crate::conformance::Candidate::new(conformance_transport).adds(&[$($added),*]);

        #[allow(dead_code, reason = "outside tests nothing counts")]
        static CONFORMANCE_TALLY: $crate::conformance::Tally = $crate::conformance::Tally::new(
            module_path!(),
            &[$(stringify!($skipped)),*],
        );

        // An unknown name does not compile.
        const _: &[fn(&$crate::conformance::Subject)] = &[
            $($crate::conformance::cases::$excepted,)*
            $($crate::conformance::cases::$skipped,)*
        ];

        #[allow(unused_macros, reason = "outside tests nothing is left of what it makes")]
        macro_rules! conformance_test {
            $(($excepted) => {
                mod $excepted {
                    #[test]
                    fn excepted() {
                        $crate::conformance::must_fail(
                            &super::CONFORMANCE_TALLY,
                            $crate::__conformance_case!($excepted),
                            $crate::__conformance_path!("::excepted"),
                            super::CONFORMANCE_CANDIDATE,
                            $exception,
                        );
                    }
                }
            };)*
            $(($skipped) => {
                #[test]
                #[ignore = $reason]
                fn $skipped() {
                    $crate::__conformance_test!($skipped);
                }
            };)*
            ($d name:ident) => {
                #[test]
                fn $d name() {
                    $crate::__conformance_test!($d name);
                }
            };
        }

        $crate::__conformance_cases!(conformance_test);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_test {
    ($name:ident) => {
        $crate::conformance::must_pass(
            &CONFORMANCE_TALLY,
            $crate::__conformance_case!($name),
            $crate::__conformance_path!("::", stringify!($name)),
            CONFORMANCE_CANDIDATE,
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_case {
    ($name:ident) => {
        $crate::conformance::Case::new(stringify!($name), $crate::conformance::cases::$name)
    };
}

/// A test's path as its program is told it: without the crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_path {
    ($($name:tt)*) => {
        $crate::conformance::without_crate(concat!(module_path!(), $($name)*))
    };
}
