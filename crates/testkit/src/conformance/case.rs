//! A case of the suite, its rule, and the message of its failure.

use super::subject::Subject;
use super::transcript::Transcript;
use super::{cases, names};

/// One case of the suite: a rule of the [contract](box_longpoll::transport), by name.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    name: &'static str,
    pub(super) check: fn(&Subject),
}

impl Case {
    /// For `conformance_tests!`, whose names don't compile if there is no such case.
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

    /// Returns the case of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|case| case.name == name)
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Returns `true` if the client relies on the rule.
    #[must_use]
    pub fn is_required(self) -> bool {
        self.name.starts_with("required_")
    }

    /// The rule that the case puts to the test, as the documentation of the [case](cases) has it.
    #[must_use]
    pub fn rule(self) -> String {
        names::documentation(self.name).map_or_else(String::new, |text| without_links(&text))
    }

    /// Says that the case failed, by which rule, what was expected and what the servers did.
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
    fn every_case_has_a_rule_that_stands_alone() {
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
    fn a_rule_has_no_links() {
        assert_eq!(
            without_links("A [`b`] is [`c`](d::e), (f)."),
            "A `b` is `c`, (f)."
        );
    }

    #[test]
    fn a_failure_says_how_much_it_matters() {
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
