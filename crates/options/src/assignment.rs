//! The language of `--set`: `name` or `name=value`, where a repeated name collects a list.

/// One option and everything a command line gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// The option's name, not yet looked up.
    pub name: String,
    /// One entry per time the option was named; `None` where there was no `=`.
    pub given: Vec<Option<String>>,
}

/// Reads the arguments of all `--set` flags. Order is that of first naming; everything after the first `=` is value.
pub fn parse_assignments<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<Assignment> {
    let mut assignments: Vec<Assignment> = Vec::new();
    for argument in arguments {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument, None),
        };
        match assignments.iter_mut().find(|earlier| earlier.name == name) {
            Some(earlier) => earlier.given.push(value),
            None => assignments.push(Assignment { name: name.into(), given: vec![value] }),
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_entry_per_option() {
        let parsed = parse_assignments(["a=1", "b", "a=x=y", "c="]);
        let text = |value: &str| Some(value.to_owned());
        let expected = [("a", vec![text("1"), text("x=y")]), ("b", vec![None]), ("c", vec![text("")])];
        let expected = expected.map(|(name, given)| Assignment { name: name.into(), given });
        assert_eq!(parsed, expected);
    }

    proptest! {
        #[test]
        fn never_panics_and_loses_nothing(arguments in proptest::collection::vec("[ab=]{0,4}|\\PC*", 0..8)) {
            let parsed = parse_assignments(arguments.iter().map(String::as_str));
            prop_assert_eq!(parsed.iter().map(|one| one.given.len()).sum::<usize>(), arguments.len());
        }
    }
}
