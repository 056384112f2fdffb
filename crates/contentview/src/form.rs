//! The views `query` and `url-encoded`: names and values, those under one name together, as YAML.
//!
//! `a=1&b=2&a=3` is a form of two names. Percent signs and plus signs are decoded (WHATWG URL section 5.1); what is then not
//! printable is escaped again, in a form byte by byte.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode;

use crate::escape;
use crate::page::{Full, Page};
use crate::yaml;

/// Which of the two views.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// The query of a URL: UTF-8 stays as it is.
    Query,
    /// A body: all but printable ASCII is escaped.
    Body,
}

/// Shows a query or form of at most `fields_max` fields; [`Full`] if there were more.
pub(crate) fn render(encoded: &[u8], source: Source, fields_max: usize, page: &mut Page) -> Result<(), Full> {
    let mut fields = Fields::default();
    let mut pieces = encoded.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    for piece in pieces.by_ref().take(fields_max) {
        let mut parts = piece.splitn(2, |byte| *byte == b'=');
        let name = decoded(parts.next().unwrap_or_default(), source);
        let value = decoded(parts.next().unwrap_or_default(), source);
        fields.add(name, value);
    }
    fields.push_to(page)?;
    if pieces.next().is_some() { Err(Full) } else { Ok(()) }
}

/// Names in the order in which they came first, and their values.
#[derive(Default)]
pub(crate) struct Fields {
    places: HashMap<String, usize>,
    fields: Vec<(String, Vec<String>)>,
}

impl Fields {
    pub(crate) fn add(&mut self, name: String, value: String) {
        // Differs from mitmproxy: an empty value is not overwritten by the next one under its name.
        let at = *self.places.entry(name).or_insert_with_key(|name| {
            self.fields.push((name.clone(), Vec::new()));
            self.fields.len() - 1
        });
        if let Some((_, values)) = self.fields.get_mut(at) {
            values.push(value);
        }
    }

    /// A line for each value.
    pub(crate) fn push_to(&self, page: &mut Page) -> Result<(), Full> {
        for (name, values) in &self.fields {
            yaml::key(name, page)?;
            match values.as_slice() {
                [value] => {
                    page.push(" ")?;
                    yaml::value(value, page)?;
                    page.push("\n")?;
                }
                several => {
                    page.push("\n")?;
                    for value in several {
                        page.push("- ")?;
                        yaml::value(value, page)?;
                        page.push("\n")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether there is at least one field.
pub(crate) fn has_fields(encoded: &[u8]) -> bool {
    encoded.iter().any(|byte| *byte != b'&')
}

fn decoded(encoded: &[u8], source: Source) -> String {
    let spaced: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Cow<'_, [u8]> = percent_decode(&spaced).into();
    let mut text = String::with_capacity(bytes.len());
    match source {
        Source::Body => escape::push_bytes(&mut text, &bytes),
        Source::Query => {
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                escape::push_hex(&mut text, chunk.invalid());
            }
        }
    }
    text
}
