//! Names in both of their spellings: letters of any script, and `xn--` (RFC 3492 with the parameters of RFC 5891).
//!
//! Not a validation: what is no valid internationalised name is simply a name with one spelling. No Unicode
//! normalisation takes place beyond lower case, so a name written with combining marks keeps them. The crate `idna`
//! would do that too, at the price of two dozen crates and the Unicode tables in the binary.

const PREFIX: &str = "xn--";
const BASE: u32 = 36;
const LABEL_BYTES_MAX: usize = 63;

/// The spelling of the lower-case `name` with letters; `None` if it has no other.
#[must_use]
pub fn to_unicode(name: &str) -> Option<String> {
    if !name.contains(PREFIX) {
        return None;
    }
    other_spelling(name, |label| label.strip_prefix(PREFIX).and_then(decode))
}

/// The spelling of the lower-case `name` in ASCII; `None` if it has no other.
#[must_use]
pub fn to_ascii(name: &str) -> Option<String> {
    if name.is_ascii() {
        return None;
    }
    other_spelling(name, |label| (!label.is_ascii()).then(|| encode(label)).flatten())
}

fn other_spelling(name: &str, respell: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    for (index, label) in name.split('.').enumerate() {
        if index > 0 {
            out.push('.');
        }
        match respell(label) {
            Some(other) => out.push_str(&other),
            None => out.push_str(label),
        }
    }
    (out != name).then_some(out)
}

/// Decodes what follows `xn--` (RFC 3492 §6.2).
fn decode(label: &str) -> Option<String> {
    if label.len() > LABEL_BYTES_MAX || !label.is_ascii() {
        return None;
    }
    let (basic, extended) = label.rsplit_once('-').unwrap_or(("", label));
    let mut out: Vec<char> = basic.chars().collect();
    let mut digits = extended.chars();
    let mut code_point = 128_u32;
    let mut insert_at = 0_u32;
    let mut bias = 72;
    while !digits.as_str().is_empty() {
        let before = insert_at;
        let mut weight = 1_u32;
        for k in (1..).map(|step| step * BASE) {
            let digit = match digits.next()? {
                letter @ 'a'..='z' => u32::from(letter) - u32::from('a'),
                number => number.to_digit(10)? + 26,
            };
            insert_at = insert_at.checked_add(digit.checked_mul(weight)?)?;
            let threshold = threshold(k, bias);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
        }
        let length = u32::try_from(out.len()).ok()? + 1;
        bias = adapt(insert_at - before, length, before == 0);
        code_point = code_point.checked_add(insert_at / length)?;
        insert_at %= length;
        out.insert(usize::try_from(insert_at).ok()?, char::from_u32(code_point)?);
        insert_at += 1;
    }
    let text: String = out.into_iter().collect();
    // A spelling that is not the one this text gets, or a dot, slash or colon in it: another name in disguise.
    let honest =
        !text.is_ascii() && encode(&text).is_some_and(|again| again.strip_prefix(PREFIX) == Some(label));
    let harmless = text.chars().all(|letter| {
        !letter.is_control() && (letter.is_alphanumeric() || !letter.is_ascii() || letter == '-')
    });
    (honest && harmless).then_some(text)
}

/// Encodes a label that is not ASCII, prefix included (RFC 3492 §6.3).
fn encode(label: &str) -> Option<String> {
    let mut out: String = PREFIX.to_owned();
    out.extend(label.chars().filter(char::is_ascii));
    let basic = u32::try_from(out.len() - PREFIX.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let total = u32::try_from(label.chars().count()).ok()?;
    let mut handled = basic;
    let mut code_point = 128_u32;
    let mut delta = 0_u32;
    let mut bias = 72;
    while handled < total {
        let next = label.chars().map(u32::from).filter(|value| *value >= code_point).min()?;
        delta = delta.checked_add((next - code_point).checked_mul(handled + 1)?)?;
        code_point = next;
        for value in label.chars().map(u32::from) {
            if value < code_point {
                delta = delta.checked_add(1)?;
            } else if value == code_point {
                push_number(delta, bias, &mut out);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta += 1;
        code_point += 1;
        if out.len() > LABEL_BYTES_MAX {
            return None;
        }
    }
    Some(out)
}

/// Writes `number` as digits of varying weight.
fn push_number(mut number: u32, bias: u32, out: &mut String) {
    for k in (1..).map(|step| step * BASE) {
        let threshold = threshold(k, bias);
        if number < threshold {
            break;
        }
        let above = number - threshold;
        out.push(digit(threshold + above % (BASE - threshold)));
        number = above / (BASE - threshold);
    }
    out.push(digit(number));
}

fn digit(value: u32) -> char {
    char::from_u32(if value < 26 { value + u32::from('a') } else { value - 26 + u32::from('0') })
        .unwrap_or('a')
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(1, 26)
}

/// The new bias after a delta (RFC 3492 §6.1).
fn adapt(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > 35 * 26 / 2 {
        delta /= 35;
        k += BASE;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_spellings() {
        for (unicode, ascii) in [
            ("bücher.test", "xn--bcher-kva.test"),
            ("straße.example", "xn--strae-oqa.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("президент.рф", "xn--d1abbgf6aiiy.xn--p1ai"),
            ("a.ü.b", "a.xn--tda.b"),
            // RFC 3492 §7.1 (A) and (L)
            ("ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn"),
            ("3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"),
        ] {
            assert_eq!(to_ascii(unicode).as_deref(), Some(ascii));
            assert_eq!(to_unicode(ascii).as_deref(), Some(unicode));
        }
    }

    #[test]
    fn what_has_one_spelling() {
        for name in [
            "a.test",
            "",
            "xn--",
            "xn--a.test",
            "xn--a-.test",
            "xn--0",
            "xn--99999999",
            "xn--ab-c.test",
            "192.0.2.1",
        ] {
            assert_eq!(to_unicode(name), None, "{name}");
            assert_eq!(to_ascii(name), None, "{name}");
        }
        assert_eq!(to_ascii(&"ü".repeat(99)), None, "a label too long for DNS");
    }

    proptest! {
        #[test]
        fn any_text_is_respelled_without_a_panic(text: String, label in "[a-z0-9-]{0,70}") {
            let _ = (to_unicode(&text), to_ascii(&text), to_unicode(&format!("xn--{label}.test")));
        }

        #[test]
        fn there_and_back(name in "[a-zäöüéλя字]{1,9}(\\.[a-zß]{1,9}){0,2}") {
            if let Some(ascii) = to_ascii(&name) {
                prop_assert!(ascii.is_ascii());
                prop_assert_eq!(to_unicode(&ascii), Some(name));
            }
        }
    }
}
