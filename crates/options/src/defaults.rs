//! `--options`: every option with its default as a commented config file, which can be read back as one.

use crate::registry::{OPTIONS, OptionSpec, Tools};
use crate::value::Value;

const COMMENT_CHARS_MAX: usize = 76;

/// The options `tools` have, each with help, choices and type above it, sorted by name.
pub fn defaults_yaml(tools: Tools) -> String {
    let mut options: Vec<_> = OPTIONS.iter().filter(|option| option.tools.overlaps(tools)).collect();
    options.sort_by_key(|option| option.name);
    let entries: Vec<_> = options.into_iter().map(entry).collect();
    entries.join("\n")
}

fn entry(option: &OptionSpec) -> String {
    let mut about = option.help();
    if !option.kind.choices().is_empty() {
        about += &format!(" Choices: {}.", option.kind.choices().join(", "));
    }
    about += &format!(" Type {}.", option.kind.type_name());
    comment(&about) + &setting(option.name, &option.default())
}

/// Comment lines of bounded length.
fn comment(text: &str) -> String {
    let mut comment = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_CHARS_MAX {
            comment += &line;
            comment.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line += word;
    }
    comment + &line + "\n"
}

/// `name: value` in YAML, with its line break.
fn setting(name: &str, value: &Value) -> String {
    match value {
        Value::Null => format!("{name}:\n"),
        Value::Bool(on) => format!("{name}: {on}\n"),
        Value::Int(number) => format!("{name}: {number}\n"),
        Value::Text(text) => format!("{name}: {}\n", scalar(text)),
        Value::List(entries) if entries.is_empty() => format!("{name}: []\n"),
        // No default has any.
        Value::Rules(_) => format!("{name}: []\n"),
        Value::List(entries) => {
            let lines: String = entries.iter().map(|entry| format!("- {}\n", scalar(entry))).collect();
            format!("{name}:\n{lines}")
        }
    }
}

/// Text as a YAML scalar: plain when it can only be read as this text, else in double quotes.
fn scalar(text: &str) -> String {
    const READ_AS_SOMETHING_ELSE: [&str; 10] =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let start = text.strip_prefix("~/").unwrap_or(text);
    let is_plain = start
        .starts_with(|first: char| first.is_ascii_alphabetic() || first == '.' && start != text)
        && start.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@ ".contains(c))
        && !start.ends_with(' ')
        && !READ_AS_SOMETHING_ELSE.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.into();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            // Line ends of every kind, controls and the byte order mark, which YAML does not keep as they are.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted += &format!("\\U{:08x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_config;
    use crate::options::Options;
    use expect_test::expect;
    use proptest::prelude::*;

    #[test]
    fn read_back_as_a_config_file_it_changes_nothing() {
        let changes = parse_config(&defaults_yaml(Tools::ALL), "defaults").unwrap();
        assert_eq!(changes.len(), OPTIONS.len());
        let options = Options::default().with(changes).unwrap();
        assert_eq!(options.changed_from_default().count(), 0);
    }

    #[test]
    fn one_entry() {
        let option = crate::registry::find("connection_strategy").unwrap();
        expect![[r#"
            # When to connect to the server: `eager` at once, so that servers which
            # speak first work and the server's certificate and protocols can be
            # mirrored; `lazy` when there is something to send. Choices: eager, lazy.
            # Type choice.
            connection_strategy: eager
        "#]]
        .assert_eq(&entry(option));
    }

    #[test]
    fn a_tool_shows_only_its_own() {
        assert!(defaults_yaml(Tools::DUMP).contains("\nflow_detail: 1\n"));
        assert!(!defaults_yaml(Tools::WEB).contains("flow_detail: 1"));
    }

    #[test]
    fn text_that_looks_like_something_else_is_quoted() {
        for text in
            ["true", "No", "~", "1", "", " a", "a ", "a: b", "a#", "- a", "null", ".5", "\n", "a\"b\\"]
        {
            assert!(scalar(text).starts_with('"'), "{text:?}");
        }
        for text in ["regular", "~/.flowgate", "hex dump", "regular@9000"] {
            assert_eq!(scalar(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(text: String) {
            prop_assume!(!text.is_empty());
            let yaml = setting("ignore_hosts", &Value::List(vec![text.clone(), text.clone()]));
            let options = Options::default().with(parse_config(&yaml, "").unwrap()).unwrap();
            prop_assert_eq!(&options.values().ignore_hosts, &vec![text.clone(), text.clone()]);
            let yaml = setting("listen_host", &Value::Text(text.clone()));
            let options = Options::default().with(parse_config(&yaml, "").unwrap()).unwrap();
            prop_assert_eq!(&options.values().listen_host, &text);
        }
    }
}
