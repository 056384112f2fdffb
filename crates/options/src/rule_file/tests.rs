//! Rule files: what is read, and how mistakes are told.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::rule_text::RuleAction;

fn check(text: &str, expected: Expect) {
    let shown = match parse_rules(text, "r.toml") {
        Ok(rules) => rules.iter().fold(String::new(), |shown, rule| {
            let conditions = rule.conditions.iter().map(|condition| {
                let words =
                    condition.words.iter().map(|word| format!("{}@{}:{}", word.text, word.line, word.column));
                format!(" {}={}", condition.kind, words.collect::<Vec<_>>().join("|"))
            });
            let via = rule.via.as_ref().map(|via| format!(" via {via}")).unwrap_or_default();
            let action = rule.action.map_or("-", RuleAction::word);
            shown + &format!("{}: {action}{}{via}\n", rule.line, conditions.collect::<String>())
        }),
        Err(error) => match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}\n"),
            None => format!("{error}\n"),
        },
    };
    expected.assert_eq(&shown);
}

#[test]
fn rules_are_read_in_order_with_places() {
    check(
        "# mine\n[[rule]]\naction = \"pass\"\ndomain = [\"bank.test\", \"b\u{fc}cher.test\"]\nport = [443, \"8000-8999\"]\n\n\
         [[rule]]\naction = \"block\"\nlist = 'ads.txt'\n\n[[rule]]\naction = \"hide\"\nvia = \"direct\"\n\n[[rule]]\nvia = \"socks5://u:p@tor.test\"\n",
        expect![[r#"
            2: pass domain=bank.test@4:11|bücher.test@4:24 port=443@5:9|8000-8999@5:14
            7: block list=ads.txt@9:8
            11: hide via direct
            15: - via socks5://tor.test:1080
        "#]],
    );
    check("", expect![""]);
}

#[test]
fn mistakes_have_a_place_and_a_next_step() {
    check(
        "[[rule]]\naction = \"pas\"",
        expect![[r#"
            r.toml:2:10: `pas` is not an action: there are decrypt, pass, record, block and hide
            hint: did you mean `pass`?
        "#]],
    );
    check(
        "[[rule]]\naction = \"pass\"\ndomian = \"a\"",
        expect![[r#"
            r.toml:3:1: `domian` is not a key of a rule
            hint: did you mean `domain`?
        "#]],
    );
    check(
        "[[rule]]\naction = \"pass\"\nxyzzy = 1",
        expect![[r#"
            r.toml:3:1: `xyzzy` is not a key of a rule
            hint: a rule has `action` or `via`, and any of name, domain, glob, regex, list, cidr, port, mode, client, alpn, ja4, process
        "#]],
    );
    check(
        "\n[[rule]]\ndomain = \"a\"",
        expect![[r#"
            r.toml:2:1: the rule has neither `action` nor `via`
            hint: add `action = "pass"` or another action
        "#]],
    );
    check(
        "[[rule]]\nvia = \"socks5://user:secret\"",
        expect![[r#"
            r.toml:2:7: `via` does not name a host and port behind its scheme, as in socks5://proxy.example:1080
        "#]],
    );
    check(
        "[[rule]]\naction = \"pass\"\nport = 4.3",
        expect![[r#"
            r.toml:3:8: `port` is to be a number, or text such as "8000-8999", not float
        "#]],
    );
    check(
        "[[rule]]\naction = \"pass\"\ndomain = []",
        expect![[r#"
            r.toml:3:10: `domain` is empty
        "#]],
    );
    check(
        "rules = 1",
        expect![[r#"
            r.toml:1:1: `rules` stands where only `[[rule]]` may
        "#]],
    );
    check(
        "[rule]\naction = \"pass\"",
        expect![[r#"
            r.toml:1:2: `rule` stands where only `[[rule]]` may
        "#]],
    );
    check(
        "[[rule]]\naction = pass",
        expect![[r#"
            r.toml:2:10: string values must be quoted, expected literal string
        "#]],
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_line(text: String) {
        if let Err(error) = parse_rules(&text, "f") {
            prop_assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn near_rules_never_panic(
        text in "(\\[\\[rule\\]\\]\n|action = \"[a-z]{0,5}\"\n|(domain|port|cidr|list) = (\\[\"[a-zü.*]{0,5}\", 1\\]|\"x\"|7)\n|\\PC{0,4}\n){0,8}",
    ) {
        let _ = parse_rules(&text, "f");
    }
}
