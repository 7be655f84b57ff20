//! The macro [`conformance_tests!`](crate::conformance_tests), which makes a test of each case.
//!
//! The other macros are hidden parts of it. They hold no rule; the cases are in
//! [`cases`](super::cases).

/// Defines a test for each rule of the [contract](box_longpoll::transport), for one transport.
///
/// The first argument is a closure that makes the transport: `conformance_tests!(|setup| …)`. Three
/// lists may follow it, in this order: `adds: ["header", …]`, `except: [case = "reason", …]` and
/// `skip: [case = "reason", …]`. The module [`conformance`](crate::conformance) explains them. A
/// module holds one call of this macro. The name of an unknown case does not compile:
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

/// Defines the macro that makes one case a test.
///
/// Its first argument is a dollar sign, because a macro can't write one into another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (
        ($d:tt) $make:expr,
        [$($added:literal,)*],
        [$($excepted:ident = $exception:literal,)*],
        [$($skipped:ident = $reason:literal,)*]
    ) => {
        #[allow(dead_code, reason = "unused if every test is ignored")]
        fn conformance_transport(
            setup: &$crate::conformance::Setup,
        ) -> ::std::sync::Arc<dyn $crate::conformance::HttpTransport> {
            $crate::conformance::erase(setup, $make)
        }

        #[allow(dead_code, reason = "unused if every test is ignored")]
        const CONFORMANCE_CANDIDATE: $crate::conformance::Candidate =
            $crate::conformance::Candidate::new(conformance_transport).adds(&[$($added),*]);

        #[allow(dead_code, reason = "used by tests only")]
        static CONFORMANCE_TALLY: $crate::conformance::Tally = $crate::conformance::Tally::new(
            module_path!(),
            &[$(stringify!($skipped)),*],
        );

        // An unknown name does not compile.
        const _: &[fn(&$crate::conformance::Subject)] = &[
            $($crate::conformance::cases::$excepted,)*
            $($crate::conformance::cases::$skipped,)*
        ];

        #[allow(unused_macros, reason = "the tests that it defines exist in test builds only")]
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

/// The path of a test without its crate, which is the form that `--exact` takes.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_path {
    ($($name:tt)*) => {
        $crate::conformance::without_crate(concat!(module_path!(), $($name)*))
    };
}
