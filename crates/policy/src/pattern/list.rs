//! The patterns of one option, and what they say of the names known so far.

use super::{Engine, Fault, Pattern, compile, search};
use crate::candidates::Candidate;

/// The patterns of one option, compiled.
#[derive(Debug, Default)]
pub(crate) struct PatternList {
    patterns: Vec<Pattern>,
    sets: Vec<Set>,
    /// Indices of the patterns that backtrack.
    alone: Vec<usize>,
    /// Some pattern needs one name only, so that a name still to come may hit.
    any_is_enough: bool,
}

/// Patterns searched in one go.
#[derive(Debug)]
struct Set {
    regexes: regex::RegexSet,
    /// Which patterns they are.
    indices: Vec<usize>,
}

/// What a list says of the candidates known so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Pattern `index` has hit candidate number `candidate`; no further name changes that.
    Hit { index: usize, candidate: usize },
    /// No pattern hits, whatever names follow.
    Miss,
    /// A name still to come may change the answer.
    Open,
}

impl PatternList {
    /// Compiles patterns; on failure says which one is at fault, and at which character.
    pub(crate) fn compile(texts: &[String]) -> Result<Self, (usize, usize, Fault)> {
        let mut list = Self::default();
        let mut linear = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let (pattern, spelled) = compile(text).map_err(|(position, fault)| (index, position, fault))?;
            match spelled {
                Some(spelled) => linear.push((index, spelled)),
                None => list.alone.push(index),
            }
            list.any_is_enough |= !pattern.holds_for_all();
            list.patterns.push(pattern);
        }
        add_sets(&linear, &mut list.sets).map_err(|index| (index, 0, Fault::TooComplex))?;
        Ok(list)
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Asks all patterns. `more` says whether further names may come; `gave_up` gets the index of a pattern whose
    /// search ended at the step limit.
    pub(crate) fn ask<'c>(
        &self,
        candidates: impl Iterator<Item = Candidate<'c>> + Clone,
        more: bool,
        gave_up: &mut Option<usize>,
    ) -> Outcome {
        for set in &self.sets {
            let mut numbered = candidates.clone().enumerate();
            if let Some((candidate, found)) =
                numbered.find(|(_, candidate)| set.regexes.is_match(candidate.text))
            {
                // Which one is asked only after a hit: it costs an allocation.
                let first = set.regexes.matches(found.text).iter().next();
                let index = first.and_then(|first| set.indices.get(first)).copied().unwrap_or_default();
                return Outcome::Hit { index, candidate };
            }
        }
        let mut open = more && self.any_is_enough;
        for index in self.alone.iter().copied() {
            match self.ask_alone(index, candidates.clone(), more, gave_up) {
                Outcome::Miss => {}
                Outcome::Open => open = true,
                hit @ Outcome::Hit { .. } => return hit,
            }
        }
        if open { Outcome::Open } else { Outcome::Miss }
    }

    fn ask_alone<'c>(
        &self,
        index: usize,
        mut candidates: impl Iterator<Item = Candidate<'c>> + Clone,
        more: bool,
        gave_up: &mut Option<usize>,
    ) -> Outcome {
        let Some(Pattern { engine: Engine::Backtracking { whole, guard }, .. }) = self.patterns.get(index)
        else {
            return Outcome::Miss;
        };
        let mut limit_hit = false;
        let mut found = |regex, candidate: Candidate<'_>| search(regex, candidate.text, &mut limit_hit);
        let outcome = match guard {
            Some(guard) if !candidates.clone().all(|candidate| found(guard, candidate)) => Outcome::Miss,
            // The next name may break the guard, so there is no hit before the last one.
            Some(_) if more => Outcome::Open,
            _ => match candidates.position(|candidate| found(whole, candidate)) {
                Some(candidate) => Outcome::Hit { index, candidate },
                None => Outcome::Miss,
            },
        };
        if limit_hit {
            gave_up.get_or_insert(index);
        }
        outcome
    }
}

/// Compiles patterns into one set, or into several where one would be too big. Fails with the index of a pattern that
/// is too big alone.
fn add_sets(spelled: &[(usize, String)], sets: &mut Vec<Set>) -> Result<(), usize> {
    const SET_BYTES_MAX: usize = 32 << 20;
    let [(first, _), ..] = spelled else { return Ok(()) };
    let built = regex::RegexSetBuilder::new(spelled.iter().map(|(_, text)| text))
        .case_insensitive(true)
        .size_limit(SET_BYTES_MAX)
        .build();
    match built {
        Ok(regexes) => {
            sets.push(Set { regexes, indices: spelled.iter().map(|(index, _)| *index).collect() });
            Ok(())
        }
        Err(_) if spelled.len() > 1 => {
            let (front, back) = spelled.split_at(spelled.len() / 2);
            add_sets(front, sets)?;
            add_sets(back, sets)
        }
        Err(_) => Err(*first),
    }
}
