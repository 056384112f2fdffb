//! The flags of a tool as a clap command: those of the registry, and the few that are no option.
//!
//! As in mitmproxy, a long flag may be cut short while it stays unique, of a repeated flag the last one counts, and a
//! switch and its `--no-` side exclude each other.

use clap::{Arg, ArgAction, Command};
use flowgate_options::Kind;
use flowgate_options::registry::{OPTIONS, OptionSpec};

use super::tool::Tool;

pub(super) const VERSION: &str = "version";
pub(super) const SHOW_OPTIONS: &str = "options";
pub(super) const SET: &str = "set";
pub(super) const QUIET: &str = "quiet";
pub(super) const VERBOSE: &str = "verbose";
pub(super) const FILTER: &str = "filter";

const HELP_CHARS_MAX: usize = 80;

/// The command of `tool`, started as `program`.
pub(super) fn command(tool: Tool, program: &str) -> Command {
    let usage = match (tool, program) {
        (Tool::Console, "flowgate") => {
            "flowgate [dump | check | run | flows | show | diff | export | convert | why | lint] [OPTIONS]"
                .to_owned()
        }
        (Tool::Dump, _) => format!("{program} [OPTIONS] [FILTER]..."),
        _ => format!("{program} [OPTIONS]"),
    };
    let mut command = base(tool, &usage).about("An intercepting proxy for HTTP and TLS");
    if tool == Tool::Dump {
        let help = "Filter expression: only flows that match are read, shown and saved";
        let filter = Arg::new(FILTER).value_name("FILTER").num_args(1..).trailing_var_arg(true);
        command = command.arg(filter.help(help));
    }
    command
}

/// The flags of `tool`, without what is not a flag.
pub(super) fn base(tool: Tool, usage: &str) -> Command {
    let mut command = Command::new("flowgate")
        .override_usage(usage.to_owned())
        .infer_long_args(true)
        .args_override_self(true)
        .disable_version_flag(true)
        .args(general(tool));
    for option in OPTIONS.iter().filter(|option| has_flag(tool, option)) {
        command = command.args(if is_switch(option) { switch(option) } else { vec![value(option)] });
    }
    command
}

/// Whether `tool` has a flag for `option`.
pub(super) fn has_flag(tool: Tool, option: &OptionSpec) -> bool {
    option.flag.is_some() && option.tools.overlaps(tool.option_set())
}

pub(super) fn is_switch(option: &OptionSpec) -> bool {
    option.kind == Kind::Bool
}

/// The id, and long form, of an option's flag; of its on side for a switch.
pub(super) fn on_id(option: &OptionSpec) -> String {
    option.long()
}

/// The id, and long form, of a switch's off side.
pub(super) fn off_id(option: &OptionSpec) -> String {
    format!("no-{}", option.long())
}

fn general(tool: Tool) -> Vec<Arg> {
    let flag =
        |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    let quiet = match tool {
        Tool::Dump => "Print only errors, and no flows",
        Tool::Console | Tool::Web => "Print only errors",
    };
    let verbose = match tool {
        Tool::Dump => "Print every decision, and flows with their headers",
        Tool::Console | Tool::Web => "Print every decision",
    };
    let set = Arg::new(SET).long(SET).value_name("NAME[=VALUE]").action(ArgAction::Append);
    vec![
        flag(VERSION, "Print the version and stop"),
        flag(SHOW_OPTIONS, "Print every option with its default, as a config file, and stop"),
        set.help(wrapped(
            "Set an option. Without a value a switch is turned on, a list is emptied and any other option that may be \
             empty is emptied. Switches take `true`, `false` and `toggle`. To give a list several entries, repeat the \
             flag.",
        )),
        flag(QUIET, quiet).short('q'),
        flag(VERBOSE, verbose).short('v'),
    ]
}

/// A flag with a value.
fn value(option: &OptionSpec) -> Arg {
    let flag = Arg::new(on_id(option)).long(option.long()).help_heading(option.group);
    let metavar = option.flag.map_or("", |flag| flag.metavar);
    let action = if option.kind.is_list() { ArgAction::Append } else { ArgAction::Set };
    let flag = flag.value_name(metavar).action(action).help(wrapped(&option.help()));
    match option.flag.and_then(|flag| flag.short) {
        Some(short) => flag.short(short),
        None => flag,
    }
}

/// Both sides of a switch.
fn switch(option: &OptionSpec) -> Vec<Arg> {
    let side = |id: String, help: String| {
        Arg::new(id.clone())
            .long(id)
            .action(ArgAction::SetTrue)
            .help_heading(option.group)
            .help(wrapped(&help))
    };
    let mut on = side(on_id(option), option.help()).conflicts_with(off_id(option));
    let mut off = side(off_id(option), format!("The opposite of `--{}`.", option.long()));
    if let Some(short) = option.flag.and_then(|flag| flag.short) {
        if option.short_sets() == Some(true) {
            on = on.short(short);
        } else {
            off = off.short(short);
        }
    }
    vec![on, off]
}

/// `text` with line breaks. clap has a feature for this, which asks the terminal for its width.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let chars = word.chars().count();
        if length > 0 && length + 1 + chars > HELP_CHARS_MAX {
            lines.push('\n');
            length = 0;
        } else if length > 0 {
            lines.push(' ');
            length += 1;
        }
        lines += word;
        length += chars;
    }
    lines
}
