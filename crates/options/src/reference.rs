//! The reference page of options, in Markdown. A test keeps `docs/reference/options.md` equal to it.

use std::fmt::Write;

use crate::kind::Kind;
use crate::registry::{Flag, OPTIONS, OptionSpec, Tools};
use crate::value::Value;

const HEAD: &str = "\
# Options

<!-- Generated from the registry (crates/options/src/table.rs); to write it anew:
     UPDATE_REFERENCE=1 cargo test -p flowgate-options --test reference -->

An option gets its value from the strongest of these: its own flag, `--set NAME=VALUE`, the config file
(`config.yaml`, then `config.yml`, in the directory `confdir`), its default. A value that does not fit is an error and
changes nothing. `flowgate dump --options` prints all defaults as a config file.
";

/// The page: a table for each group of options.
pub fn reference_markdown() -> String {
    let mut page = String::from(HEAD);
    let mut group = "";
    for option in OPTIONS {
        if option.group != group {
            group = option.group;
            // Writing to a `String` cannot fail.
            let _ = write!(
                page,
                "\n## {group}\n\n| Option | Type | Default | Flag | What it does |\n|---|---|---|---|---|\n"
            );
        }
        page += &row(option);
    }
    page
}

fn row(option: &OptionSpec) -> String {
    let flag = option.flag.map_or_else(|| "-".into(), |flag| flag_cell(option, flag));
    let default = match option.default() {
        Value::Null => "none".into(),
        Value::Bool(on) => format!("`{on}`"),
        Value::Int(number) => format!("`{number}`"),
        Value::Text(text) if text.is_empty() => "empty".into(),
        Value::Text(text) => format!("`{text}`"),
        Value::Rules(_) => "rules".into(),
        Value::List(entries) if entries.is_empty() => "empty".into(),
        Value::List(entries) => {
            entries.iter().map(|entry| format!("`{entry}`")).collect::<Vec<_>>().join(", ")
        }
    };
    let mut about = option.help();
    if option.tools != Tools::ALL {
        let _ = write!(about, " Only in: {}.", option.tools);
    }
    let cells = [format!("`{}`", option.name), type_cell(option.kind), default, flag, about];
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn type_cell(kind: Kind) -> String {
    match kind {
        Kind::Int { min, max } | Kind::OptInt { min, max } if max == i64::MAX => {
            format!("{} from {min}", kind.type_name())
        }
        Kind::Int { min, max } | Kind::OptInt { min, max } => format!("{}, {min} to {max}", kind.type_name()),
        Kind::Choice(choices) => {
            choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
        }
        other => other.type_name().into(),
    }
}

fn flag_cell(option: &OptionSpec, flag: Flag) -> String {
    let long = option.long();
    if option.kind != Kind::Bool {
        let short = flag.short.map_or_else(String::new, |short| format!("`-{short}`, "));
        return format!("{short}`--{long} {}`", flag.metavar);
    }
    let short = flag.short.map(|short| format!(" (`-{short}`)")).unwrap_or_default();
    let (on_short, off_short) =
        if option.short_sets() == Some(true) { (short, String::new()) } else { (String::new(), short) };
    format!("`--{long}`{on_short}, `--no-{long}`{off_short}")
}
