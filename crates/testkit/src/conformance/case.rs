//! The cases of the suite as values: the name, the rule, and the message of a failure.
//!
//! The rule of a case is the documentation of its function in [`cases`], so each rule is written
//! once. Running a case is not part of this module. Start from [`Case`].

use super::driver::Subject;
use super::transcript::Transcript;
use super::{cases, names};

/// One case of the suite: a rule of the [contract](box_longpoll::transport), by name.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    pub(super) check: fn(&Subject),
}

impl Case {
    /// Makes a case for `conformance_tests!`, which does not compile if it names an unknown case.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, check: fn(&Subject)) -> Self {
        Self { name, check }
    }

    /// Returns every case.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        macro_rules! add {
            ($name:ident) => {
                all.push(Self::new(stringify!($name), cases::$name));
            };
        }
        crate::__conformance_cases!(add);
        all
    }

    /// Returns the case with this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|case| case.name == name)
    }

    /// Returns the name, such as `required_options_is_sent`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Returns `true` if the client relies on the rule.
    #[must_use]
    pub fn is_required(self) -> bool {
        self.name.starts_with("required_")
    }

    /// Returns the rule that the case tests, which is the documentation of the [case](cases).
    #[must_use]
    pub fn rule(self) -> String {
        names::documentation(self.name).map_or_else(String::new, |text| without_links(&text))
    }

    /// Returns the message of a failed case: the rule, the `reason`, and the transcript of its
    /// servers.
    pub(super) fn failure(self, reason: &str, transcript: &Transcript) -> String {
        let weight = if self.is_required() {
            "the client relies on its rule"
        } else {
            "the client can do without its rule: name the case in `except`, with the reason"
        };
        format!(
            "{} failed; {weight}\nrule: {}\n{reason}\nwhat the server did:\n{transcript}",
            self.name,
            self.rule()
        )
    }
}

/// Turns ``[`name`](target)`` and ``[`name`]`` into `` `name` ``.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((name, after)) = link.split_once(']') else {
            break;
        };
        plain.push_str(before);
        plain.push_str(name);
        let target = after
            .strip_prefix('(')
            .and_then(|after| after.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_self_contained_rule() {
        for case in Case::all() {
            let rule = case.rule();
            assert!(rule.ends_with('.'), "{}: {rule}", case.name);
            assert!(!rule.contains(['[', ']']), "{}: {rule}", case.name);
            for beginning in ["So ", "Nor ", "It ", "One "] {
                assert!(!rule.starts_with(beginning), "{}: {rule}", case.name);
            }
        }
    }

    #[test]
    fn links_in_a_rule_become_plain_text() {
        assert_eq!(
            without_links("A [`b`] is [`c`](d::e), (f)."),
            "A `b` is `c`, (f)."
        );
    }

    #[test]
    fn a_failure_says_if_the_client_relies_on_the_rule() {
        let failure = |name| {
            let case = Case::named(name).expect("a case");
            case.failure("expected: 1\ngot: 2", &Transcript::default())
        };
        let required = failure("required_options_is_sent");
        assert_eq!(
            required,
            "required_options_is_sent failed; the client relies on its rule\n\
             rule: `OPTIONS` is sent like any other method.\n\
             expected: 1\ngot: 2\n\
             what the server did:\n  no server got a connection"
        );
        assert!(failure("optional_reuses_connections").contains("can do without"));
    }
}
