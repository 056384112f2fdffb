//! How many flows there are, all together or in each group.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use flowgate_store::Row;

use crate::assertion::{host, host_of};
use crate::limits::{GROUPS_MAX, VIOLATIONS_KEPT_MAX};
use crate::report::{FlowRef, Named, Violation, shown};

/// How many are fine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
}

/// What flows of one group have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Per {
    /// Nothing: all are one group.
    All,
    /// The host they go to.
    Host,
    /// The URL.
    Url,
    /// The method and the URL without its query.
    Endpoint,
    /// The client's address.
    Client,
}

/// Flows counted by group. A group is known by a hash of its name with a secret key: nobody can make two the same on purpose.
#[derive(Debug)]
pub(crate) struct Groups {
    per: Per,
    bounds: Bounds,
    key: RandomState,
    groups: HashMap<u64, Group>,
    /// In the order in which they came to be too many.
    too_many: Vec<u64>,
    full: bool,
}

#[derive(Debug)]
struct Group {
    name: String,
    count: u64,
    /// The first flow that was one too many.
    over: Option<FlowRef>,
}

impl Groups {
    pub(crate) fn new(bounds: Bounds, per: Per) -> Self {
        let key = RandomState::new();
        Self { per, bounds, key, groups: HashMap::new(), too_many: Vec::new(), full: false }
    }

    /// Counts a flow; gives the violation if its group is one too many by it.
    pub(crate) fn take(&mut self, row: &Row, named: Named<'_>) -> Option<Violation> {
        let name = name(self.per, row);
        let id = self.key.hash_one(&name);
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&id) {
            self.full = true;
            return None;
        }
        let group =
            self.groups.entry(id).or_insert_with(|| Group { name: shown(&name), count: 0, over: None });
        group.count += 1;
        if group.count == self.bounds.at_most.saturating_add(1) && self.too_many.len() < VIOLATIONS_KEPT_MAX {
            group.over = Some(named());
            self.too_many.push(id);
            return Some(said(self.per, self.bounds, group));
        }
        None
    }

    /// How many groups have too few or too many flows, some of them, and whether all groups were counted.
    pub(crate) fn verdict(&self) -> (u64, Vec<Violation>, bool) {
        let Bounds { at_least, at_most } = self.bounds;
        let said = |group: &Group| said(self.per, self.bounds, group);
        let empty = Group { name: String::new(), count: 0, over: None };
        let none_at_all = (self.per == Per::All && self.groups.is_empty()).then_some(&empty);
        let mut too_few: Vec<_> =
            self.groups.values().chain(none_at_all).filter(|group| group.count < at_least).collect();
        too_few.sort_by(|a, b| a.name.cmp(&b.name));
        let over = self.groups.values().filter(|group| group.count > at_most).count();
        let count = (over + too_few.len()) as u64;
        let too_many = self.too_many.iter().filter_map(|id| self.groups.get(id));
        let violations = too_many.chain(too_few).take(VIOLATIONS_KEPT_MAX).map(said).collect();
        (count, violations, !self.full)
    }
}

/// What is wrong with a group.
fn said(per: Per, bounds: Bounds, group: &Group) -> Violation {
    let times = if group.count == 1 { "flow" } else { "flows" };
    let whose = if per == Per::All { String::new() } else { format!("{}: ", group.name) };
    let allowed = match (bounds.at_least, bounds.at_most) {
        (least, most) if least == most => format!("exactly {least}"),
        (least, _) if group.count < least => format!("at least {least}"),
        (_, most) => format!("at most {most}"),
    };
    Violation { flow: group.over.clone(), text: format!("{whose}{} {times}, {allowed} asked", group.count) }
}

/// The group of a flow, as it is shown.
fn name(per: Per, row: &Row) -> Vec<u8> {
    let url =
        || row.url.clone().or_else(|| row.destination.clone().map(String::into_bytes)).unwrap_or_default();
    match per {
        Per::All => Vec::new(),
        Per::Host => host(row).unwrap_or_default().into_bytes(),
        Per::Url => url(),
        Per::Endpoint => {
            let mut name = row.method.clone().unwrap_or_default();
            let url = url();
            let path = url.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
            if !name.is_empty() {
                name.push(b' ');
            }
            name.extend_from_slice(path);
            name
        }
        Per::Client => row.source.as_deref().map(host_of).unwrap_or_default().as_bytes().to_vec(),
    }
}
