//! The filters of `dump`: which flows are read, printed and saved.
//!
//! A filter that cannot be used is an error at the start, with its column.

use flowgate_filter::{Filter, FilterError};
use flowgate_flow::Flow;
use flowgate_options::Values;
use flowgate_session::{Decoding, case_from_env};
use thiserror::Error;

/// An option's filter that cannot be used.
#[derive(Debug, Error)]
#[error("option `{option}`: {error}")]
pub struct BadFilter {
    /// The option.
    pub option: &'static str,
    /// What is wrong with it.
    pub error: FilterError,
}

/// What the options say; `None` means every flow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    read: Option<Filter>,
    print: Option<Filter>,
    save: Option<Filter>,
}

impl Filters {
    pub(crate) fn new(values: &Values) -> Result<Self, BadFilter> {
        let case = case_from_env();
        let read = |option, text: &Option<String>| {
            text.as_deref()
                .map(|text| Filter::parse(text, case).map_err(|error| BadFilter { option, error }))
                .transpose()
        };
        Ok(Self {
            read: read("readfile_filter", &values.readfile_filter)?,
            print: read("dumper_filter", &values.dumper_filter)?,
            save: read("save_stream_filter", &values.save_stream_filter)?,
        })
    }

    /// Whether a flow of a file is loaded at all.
    pub(crate) fn reads(&self, flow: &Flow) -> bool {
        matches(self.read.as_ref(), flow)
    }

    pub(crate) fn prints(&self, flow: &Flow) -> bool {
        matches(self.print.as_ref(), flow)
    }

    pub(crate) fn saves(&self, flow: &Flow) -> bool {
        matches(self.save.as_ref(), flow)
    }

    /// Whether what is printed or saved may depend on bodies.
    pub(crate) fn by_bodies(&self) -> bool {
        self.print_by_bodies() || self.save.as_ref().is_some_and(Filter::reads_bodies)
    }

    /// Whether what is printed may depend on bodies.
    pub(crate) fn print_by_bodies(&self) -> bool {
        self.print.as_ref().is_some_and(Filter::reads_bodies)
    }
}

fn matches(filter: Option<&Filter>, flow: &Flow) -> bool {
    filter.is_none_or(|filter| filter.matches(flow, &Decoding))
}
