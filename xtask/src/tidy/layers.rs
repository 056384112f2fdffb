//! Which crate may depend on which: an arrow down is allowed, an arrow up or sideways is not.
//!
//! The table mirrors the picture in ARCHITECTURE. Two members stand beside it: `testkit` may be used by every crate, but
//! only by its tests; `xtask` is used by none.

use super::Finding;
use super::crates::Packages;
use crate::workspace::{Dependency, Package, short};

/// From the ground up; crates of one layer do not know each other.
const LAYERS: [&[&str]; 9] = [
    &["flow", "pattern"],
    &["wire", "filter", "options"],
    &["policy", "tls", "net", "contentview"],
    &["proxy", "logins"],
    &["addons", "formats"],
    &["store"],
    &["session", "check"],
    &["console", "dump", "web", "script"],
    &["flowgate"],
];

/// Members beside the layers.
const TEST_ONLY: &str = "testkit";
const CHORES: &str = "xtask";

pub(super) fn check(packages: &Packages<'_>) -> Vec<Finding> {
    let members: Vec<&str> = packages.iter().map(Package::short_name).collect();
    let mut findings = Vec::new();
    for package in packages.iter() {
        let ours =
            package.dependencies.iter().filter(|dependency| members.contains(&short(&dependency.name)));
        if !is_beside(package.short_name()) && layer(package.short_name()).is_none() {
            let what = format!("{} stands in no layer", package.name);
            let mend =
                "add it to the table in xtask/src/tidy/layers.rs and to the picture in ARCHITECTURE.md";
            findings.push(packages.finding(package, "name", what, mend.to_owned()));
        }
        for dependency in ours {
            if let Some((what, mend)) = judge(package, dependency) {
                findings.push(packages.finding(package, &dependency.name, what, mend));
            }
        }
    }
    findings
}

/// What is wrong with one arrow, and how to mend it.
fn judge(package: &Package, dependency: &Dependency) -> Option<(String, String)> {
    let (from, to) = (package.short_name(), short(&dependency.name));
    if to == TEST_ONLY {
        let what = format!("{from} uses {to} outside its tests");
        return (!dependency.dev).then(|| (what, "move it to `[dev-dependencies]`".to_owned()));
    }
    if to == CHORES || is_beside(from) {
        let what = format!("{from} must not depend on {to}");
        return Some((
            what,
            format!("`{TEST_ONLY}` and `{CHORES}` stand apart from the product: take the line out"),
        ));
    }
    // A member without a layer has its own finding.
    let (above, below) = (layer(from)?, layer(to)?);
    let direction = match below.cmp(&above) {
        std::cmp::Ordering::Less => return None,
        std::cmp::Ordering::Equal => "sideways",
        std::cmp::Ordering::Greater => "up",
    };
    let what = format!("{from} depends on {to}, which is an arrow {direction}");
    let mend =
        format!("move what is shared below both, or turn the arrow round: {to} may not be known to {from}");
    Some((what, mend))
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

fn is_beside(name: &str) -> bool {
    name == TEST_ONLY || name == CHORES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, dev: bool) -> Option<String> {
        let dependency = Dependency { name: to.to_owned(), dev };
        let package = Package {
            name: from.to_owned(),
            description: None,
            manifest: "Cargo.toml".into(),
            dependencies: Vec::new(),
            roots: Vec::new(),
        };
        judge(&package, &dependency).map(|(what, _)| what)
    }

    #[test]
    fn arrows_go_down_only() {
        for (from, to, dev, expected) in [
            ("flowgate-wire", "flowgate-flow", false, None),
            ("flowgate", "flowgate-wire", false, None),
            ("flowgate-flow", "flowgate-wire", false, Some("flow depends on wire, which is an arrow up")),
            (
                "flowgate-tls",
                "flowgate-policy",
                false,
                Some("tls depends on policy, which is an arrow sideways"),
            ),
            (
                "flowgate-tls",
                "flowgate-policy",
                true,
                Some("tls depends on policy, which is an arrow sideways"),
            ),
            ("flowgate-proxy", "flowgate-testkit", true, None),
            ("flowgate-proxy", "flowgate-testkit", false, Some("proxy uses testkit outside its tests")),
            ("flowgate-testkit", "flowgate-flow", false, Some("testkit must not depend on flow")),
            ("flowgate-flow", "xtask", true, Some("flow must not depend on xtask")),
        ] {
            assert_eq!(arrow(from, to, dev).as_deref(), expected, "{from} -> {to}");
        }
    }
}
