//! `map_local`: requests answered from files. The rules, and which files a URL may mean; what of a file is sent stands in
//! `served`.
//!
//! Invariant: only regular files inside the folder of a rule are opened, whatever the URL says and wherever links lead.

mod media_type;
mod served;

use std::io;
use std::path::{Path, PathBuf};

use flowgate_filter::Case;
use flowgate_flow::{Body, Flow, FlowKind, Headers, HostFrom};
use flowgate_options::{Level, expand_home};
use flowgate_pattern::Finder;
use flowgate_proxy::{HookFuture, LiveFlow};
use percent_encoding::percent_decode_str;

use crate::error::{FeatureError, FeatureFault};
use crate::log::Log;
use crate::on_request::RequestFeature;
use crate::spec::{Condition, Entry};

use served::serve;

const EXPECTED: &str = "`[/filter]/url-regex/file-or-folder`";

/// The rules of `map_local`.
#[derive(Clone, Debug)]
pub(crate) struct MapLocal {
    rules: Vec<Rule>,
    log: Log,
}

#[derive(Clone, Debug)]
struct Rule {
    condition: Condition,
    pattern: Finder,
    /// Without links.
    place: PathBuf,
}

/// A rule about a request: where its file may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lookup {
    /// The file or folder of the rule, without links.
    place: PathBuf,
    /// What follows the match in the URL, decoded; empty for the folder itself, `None` if it would leave the folder.
    below: Option<String>,
}

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Found {
    /// This file.
    File(PathBuf),
    /// Nothing: it could have been these.
    Nothing(Vec<PathBuf>),
    /// No rule is about it.
    NotAsked,
}

impl MapLocal {
    pub(crate) fn parse(
        texts: &[String],
        case: Case,
        home: Option<&Path>,
        log: Log,
    ) -> Result<Self, FeatureError> {
        let rule = |entry: Entry<'_>| {
            let (condition, subject, place) = entry.three(case, EXPECTED)?;
            let pattern = entry.text_pattern(subject)?;
            let path = expand_home(place.text, home)
                .ok_or_else(|| entry.error(place.column, FeatureFault::NoHome))?;
            let place = path
                .canonicalize()
                .map_err(|why| entry.error(place.column, FeatureFault::File { path, why }))?;
            Ok(Rule { condition, pattern, place })
        };
        let rules = Entry::all("map_local", texts).map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, log })
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Where the file for a request may be, in the order of the rules. A search that is given up finds nothing.
    pub(crate) fn lookups(&self, flow: &Flow) -> Vec<Lookup> {
        let FlowKind::Http(http) = &flow.kind else { return Vec::new() };
        let url = String::from_utf8_lossy(&http.request.url(HostFrom::Header)).into_owned();
        let lookup = |rule: &Rule| {
            if !rule.condition.holds(flow) {
                return None;
            }
            let spans = rule.pattern.find(url.as_bytes(), 0).ok().flatten()?;
            // The first group if there are groups, else what follows the match, without query.
            let suffix = if rule.pattern.groups() > 0 {
                spans.group(1).and_then(|span| url.get(span)).unwrap_or_default()
            } else {
                let behind = url.get(spans.whole().end..).unwrap_or_default();
                behind.split('?').next().unwrap_or_default().trim_matches('/')
            };
            Some(Lookup {
                place: rule.place.clone(),
                below: below(&percent_decode_str(suffix).decode_utf8_lossy()),
            })
        };
        self.rules.iter().filter_map(lookup).collect()
    }
}

impl RequestFeature for MapLocal {
    fn name(&self) -> &str {
        "map_local"
    }

    fn reads_bodies(&self) -> bool {
        self.rules.iter().any(|rule| rule.condition.reads_bodies())
    }

    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let lookups = self.lookups(flow.flow());
        if lookups.is_empty() {
            return HookFuture::DONE;
        }
        HookFuture::new(async move {
            let request = flow.request().clone();
            let served = tokio::task::spawn_blocking(move || match find(&lookups) {
                Found::File(path) => serve(&path, &request)
                    .map(|response| Some((response, Vec::new())))
                    .map_err(|error| (path, error)),
                Found::Nothing(tried) => {
                    let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
                    Ok(Some((LiveFlow::response_of(404, Headers::new(), Body::EMPTY), tried)))
                }
                Found::NotAsked => Ok(None),
            });
            match served.await {
                Ok(Ok(Some((response, tried)))) => {
                    crate::answer(flow, response);
                    if !tried.is_empty() {
                        let tried = tried.join(", ");
                        self.log.line(
                            Level::Info,
                            flow,
                            format_args!("map_local: none of these is there: {tried}"),
                        );
                    }
                }
                Ok(Err((path, error))) => {
                    let path = path.display();
                    self.log.line(Level::Warn, flow, format_args!("map_local: cannot read {path}: {error}"));
                    crate::answer(flow, LiveFlow::response_of(500, Headers::new(), Body::EMPTY));
                }
                Ok(Ok(None)) | Err(_) => {}
            }
        })
    }
}

/// Looks for the first file that is there. Blocks.
pub(crate) fn find(lookups: &[Lookup]) -> Found {
    let mut tried = Vec::new();
    for lookup in lookups {
        if lookup.place.is_file() {
            return Found::File(lookup.place.clone());
        }
        for candidate in lookup.candidates() {
            if let Ok(file) = inside(&lookup.place, &candidate) {
                return Found::File(file);
            }
            tried.push(candidate);
        }
    }
    if tried.is_empty() { Found::NotAsked } else { Found::Nothing(tried) }
}

impl Lookup {
    /// In the order in which they are tried.
    fn candidates(&self) -> Vec<PathBuf> {
        let Some(below) = &self.below else { return Vec::new() };
        if below.is_empty() {
            return vec![self.place.join("index.html")];
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.=(),/".contains(c);
        let plain: String = below.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let mut names = vec![below.as_str()];
        if plain != *below {
            names.push(&plain);
        }
        let both = |name: &str| [self.place.join(name), self.place.join(name).join("index.html")];
        names.into_iter().flat_map(both).collect()
    }
}

/// The regular file that a path means, without links, if it lies in the folder.
fn inside(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    if !real.starts_with(folder) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if !real.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(real)
}

/// A path below a folder, its parts divided by `/`; `None` if it may lead anywhere else.
fn below(path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // Also what other systems take for a way up, a device or another share.
            ".." => return None,
            part if part.contains(['\0', '\\']) => return None,
            part if cfg!(windows) && part.contains(':') => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
