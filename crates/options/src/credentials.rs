//! Secrets in options: a name and a password, a passphrase. Nothing prints them: `Debug` shows none, errors do not quote them.

use std::fmt;

use crate::error::ValueError;
use crate::kind::{Kind, OptionType};
use crate::value::Value;

/// The longest name or password: RFC 1929 has one byte for each length.
const BYTES_MAX: usize = 255;

/// A name and a password, as `user:password`.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Reads `user:password`; the first colon divides. The name must not be empty, the password may be.
    pub fn parse(text: &str) -> Option<Self> {
        let (user, password) = text.split_once(':')?;
        Self::new(user.into(), password.into())
    }

    /// A name without a colon (RFC 7617 section 2), and a password.
    pub(crate) fn new(user: String, password: String) -> Option<Self> {
        let fits = !user.is_empty() && user.len() <= BYTES_MAX && password.len() <= BYTES_MAX;
        let odd = |byte: u8| byte.is_ascii_control();
        let printable = !user.bytes().any(|byte| odd(byte) || byte == b':') && !password.bytes().any(odd);
        (fits && printable).then_some(Self { user, password })
    }

    /// The name: 1 to 255 bytes, without a colon or a control character.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password: up to 255 bytes, without a control character.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(redacted)")
    }
}

impl OptionType for Option<Credentials> {
    const KIND: Kind = Kind::OptText;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) => Credentials::parse(text).map(Some).ok_or(ValueError::Credentials),
            _ => Err(ValueError::Credentials),
        }
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, |it| Value::Text(format!("{}:{}", it.user, it.password)))
    }
}

/// A passphrase of private keys; never empty.
#[derive(Clone, Eq, PartialEq)]
pub struct Passphrase(String);

impl Passphrase {
    /// The passphrase itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

impl OptionType for Option<Passphrase> {
    const KIND: Kind = Kind::OptText;

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            Value::Text(text) => Ok((!text.is_empty()).then(|| Passphrase(text.clone()))),
            _ => Err(ValueError::Passphrase),
        }
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, |it| Value::Text(it.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_divides() {
        let table = [
            ("u:p", Some(("u", "p"))),
            ("u:", Some(("u", ""))),
            ("u:p:q", Some(("u", "p:q"))),
            ("ü:ß", Some(("ü", "ß"))),
            ("", None),
            ("u", None),
            (":p", None),
            ("u:p\r\nX: y", None),
        ];
        for (text, expected) in table {
            let found = Credentials::parse(text);
            assert_eq!(found.as_ref().map(|it| (it.user(), it.password())), expected, "{text:?}");
        }
        assert!(Credentials::parse(&format!("{}:p", "u".repeat(256))).is_none());
        assert!(Credentials::parse(&format!("u:{}", "p".repeat(256))).is_none());
    }

    #[test]
    fn nothing_shows_them() {
        let found = Credentials::parse("alice:secret").unwrap();
        assert_eq!(format!("{found:?}"), "Credentials(redacted)");
        let refused = Option::<Credentials>::from_value(&Value::Text("secret".into())).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("secret"));
        let passphrase = Option::<Passphrase>::from_value(&Value::Text("secret".into())).unwrap().unwrap();
        assert_eq!(format!("{passphrase:?} {}", passphrase.as_str()), "Passphrase(redacted) secret");
        let refused = Option::<Passphrase>::from_value(&Value::Int(12_345)).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("12345"));
    }
}
