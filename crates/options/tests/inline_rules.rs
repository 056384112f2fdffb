//! Rules that stand under `rules` in the config file: the same as in a rule file, in YAML.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use flowgate_options::{Options, RuleSource, RuleText, parse_config, parse_rules};
use proptest::prelude::*;

fn shown(rule: &RuleText) -> String {
    let conditions = rule.conditions.iter().map(|condition| {
        let words = condition.words.iter().map(|word| format!("{}@{}:{}", word.text, word.line, word.column));
        format!(" {}={}", condition.kind, words.collect::<Vec<_>>().join("|"))
    });
    let conditions: String = conditions.collect();
    let via = rule.via.as_ref().map(|via| format!(" via {via}")).unwrap_or_default();
    format!(
        "{}:{}: {}{conditions}{via}",
        rule.file,
        rule.line,
        rule.action.map_or("-", |action| action.word())
    )
}

/// What stands under `rules`, or the mistake.
#[track_caller]
fn check(text: &str, expected: Expect) {
    let result = parse_config(text, "c.yaml").map(|changes| Options::default().with(changes).unwrap());
    expected.assert_eq(&match result {
        Ok(options) => {
            let entries = options.values().rules.iter().map(|entry| match entry {
                RuleSource::File(path) => format!("file {path}\n"),
                RuleSource::Inline(rule) => shown(rule) + "\n",
            });
            entries.collect()
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            format!("{error}\n{hint}")
        }
    });
}

#[test]
fn rules_and_files_in_their_order_with_places() {
    check(
        "http2: true\nrules:\n  - action: pass\n    domain: [bank.test, bücher.test]\n    port:\n      - 443\n      - 8000-8999\n  \
         - ~/more.toml\n  - {via: 'socks5://u:p@tor.test'}\n",
        expect![[r#"
            c.yaml:3: pass domain=bank.test@4:14|bücher.test@4:25 port=443@6:9|8000-8999@7:9
            file ~/more.toml
            c.yaml:9: - via socks5://tor.test:1080
        "#]],
    );
    check(
        "rules: [a.toml, b.toml]",
        expect![[r#"
        file a.toml
        file b.toml
    "#]],
    );
    check("rules: []", expect![""]);
}

#[test]
fn mistakes_have_a_place_and_a_next_step() {
    check(
        "rules:\n- action: pas\n",
        expect![[r#"
        c.yaml:2:11: `pas` is not an action: there are decrypt, pass, record, block and hide
        hint: did you mean `pass`?
    "#]],
    );
    check(
        "rules:\n- action: pass\n  domian: a\n",
        expect![[r#"
        c.yaml:3:3: `domian` is not a key of a rule
        hint: did you mean `domain`?
    "#]],
    );
    check(
        "rules:\n- action: pass\n  7: a\n",
        expect![[r#"
            c.yaml:3:3: `7` is not a key of a rule
            hint: a rule has `action` or `via`, and any of name, domain, glob, regex, list, cidr, port, mode, client, alpn, ja4, process
        "#]],
    );
    check(
        "rules:\n- x.toml\n- domain: a\n",
        expect![[r#"
        c.yaml:3:3: the rule has neither `action` nor `via`
        hint: add `action: pass` or another action
    "#]],
    );
    check(
        "rules:\n- {}\n",
        expect![[r#"
        c.yaml:2:3: the rule has neither `action` nor `via`
        hint: add `action: pass` or another action
    "#]],
    );
    check(
        "rules:\n- action: pass\n  port: 4.3\n",
        expect![[r#"
            c.yaml:3:9: `port` is to be a number, or text such as "8000-8999", not a fraction or a number beyond 64 bits
        "#]],
    );
    check(
        "rules:\n- action: pass\n  domain: [a, 7]\n",
        expect![[r#"
        c.yaml:3:15: `domain` is to be text, not a number
    "#]],
    );
    check(
        "rules:\n- action: pass\n  domain: []\n",
        expect![[r#"
        c.yaml:3:11: `domain` is empty
    "#]],
    );
    check(
        "rules:\n- action: pass\n  domain:\n",
        expect![[r#"
            c.yaml:3:9: `domain` is to be text, not null
        "#]],
    );
    check(
        "rules:\n- action: pass\n  domain: {a: b}\n",
        expect![[r#"
        c.yaml:3:11: `domain` is to be text, not a mapping
    "#]],
    );
    check(
        "rules:\n- action: true\n",
        expect![[r#"
        c.yaml:2:11: `action` is to be text, not true or false
    "#]],
    );
    check(
        "rules:\n- via: ftp://x\n",
        expect![[r#"
        c.yaml:2:8: `via` is neither `direct` nor a proxy: http://, https:// and socks5:// are known
    "#]],
    );
    check(
        "rules:\n- action: pass\n  action: block\n",
        expect![[r#"
        c.yaml:3:3: `action` stands here a second time
    "#]],
    );
    check(
        "rules:\n  action: pass\n",
        expect![[r#"
        c.yaml:2:3: option `rules`: expected a list of rule files or rules, found a mapping
        hint: a list has one entry per line, each after `- `; put numbers in quotes
    "#]],
    );
    check(
        "rules: r.toml\n",
        expect![[r#"
        c.yaml:1:8: option `rules`: expected a list of rule files or rules, found the text `r.toml`
        hint: a list has one entry per line, each after `- `; put numbers in quotes
    "#]],
    );
    check(
        "rules:\n- 7\n",
        expect![[r#"
        c.yaml:2:3: option `rules`: expected a list of rule files or rules, found the number `7`
        hint: a list has one entry per line, each after `- `; put numbers in quotes
    "#]],
    );
    check(
        "rules:\n- ''\n",
        expect![[r#"
        c.yaml:2:3: option `rules`: a list entry is empty
    "#]],
    );
    check(
        "ignore_hosts:\n- action: pass\n",
        expect![[r#"
        c.yaml:2:3: option `ignore_hosts`: expected a list of texts, found a mapping
        hint: a list has one entry per line, each after `- `; put numbers in quotes
    "#]],
    );
}

const KEYS: &[&str] =
    &["name", "domain", "glob", "regex", "list", "cidr", "mode", "client", "alpn", "ja4", "process"];

/// Conditions as JSON, which is both TOML's right side and YAML.
fn conditions() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let words = prop::collection::vec("[a-z0-9.*/ü]{1,8}", 1..4);
    let value = words.prop_map(|words| format!("{words:?}"));
    prop::collection::btree_map(prop::sample::select(KEYS), value, 0..4)
        .prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn a_rule_means_the_same_in_both_languages(
        action in prop::sample::select(&["decrypt", "pass", "record", "block", "hide"][..]),
        conditions in conditions(),
        port in prop::option::of(0_u16..),
    ) {
        let (mut toml, mut yaml) = (format!("[[rule]]\naction = '{action}'\n"), format!("rules:\n- action: {action}\n"));
        let port = port.map(|port| ("port", port.to_string()));
        for (key, value) in conditions.into_iter().chain(port) {
            toml += &format!("{key} = {value}\n");
            yaml += &format!("  {key}: {value}\n");
        }
        let from_toml = parse_rules(&toml, "f").unwrap();
        let options = Options::default().with(parse_config(&yaml, "f").unwrap()).unwrap();
        let [RuleSource::Inline(from_yaml)] = &options.values().rules[..] else { panic!("{yaml}") };
        let plain = |rule: &RuleText| {
            let words = rule.conditions.iter().map(|condition| {
                (condition.kind, condition.words.iter().map(|word| word.text.clone()).collect::<Vec<_>>())
            });
            (rule.action, rule.via.clone(), words.collect::<Vec<_>>())
        };
        prop_assert_eq!(plain(&from_toml[0]), plain(from_yaml));
    }
}
