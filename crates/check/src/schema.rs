//! Bodies held against a JSON Schema.

use std::fmt;
use std::io;

use flowgate_contentview::{Limits, decode};
use flowgate_flow::{Body, Flow, FlowKind, Headers};
use jsonschema::Validator;
use serde_json::Value;

use crate::limits::SCHEMA_BODY_BYTES_MAX;
use crate::report::shown;

/// Reads the schema of this path, as it stands in the file of checks.
pub type SchemaReader<'a> = &'a dyn Fn(&str) -> io::Result<String>;

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaReadError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// It is no JSON.
    #[error("it is not JSON")]
    Json(#[source] serde_json::Error),
    /// It is no schema, or names another that would have to be fetched.
    #[error("it is not a schema: {0}")]
    Schema(String),
}

/// Whose body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Half {
    Request,
    Response,
}

/// A schema, and what it is about.
pub(crate) struct Schema {
    half: Half,
    validator: Validator,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("half", &self.half).finish_non_exhaustive()
    }
}

impl Schema {
    pub(crate) fn read(half: Half, path: &str, reader: SchemaReader<'_>) -> Result<Self, SchemaReadError> {
        let text = reader(path).map_err(SchemaReadError::Read)?;
        let schema: Value = serde_json::from_str(&text).map_err(SchemaReadError::Json)?;
        let validator =
            jsonschema::validator_for(&schema).map_err(|error| SchemaReadError::Schema(error.to_string()))?;
        Ok(Self { half, validator })
    }

    /// What is wrong with the body of a flow.
    pub(crate) fn violation(&self, flow: &Flow) -> Option<String> {
        let whose = match self.half {
            Half::Request => "request body",
            Half::Response => "response body",
        };
        let FlowKind::Http(http) = &flow.kind else { return Some("not HTTP".to_owned()) };
        let (body, headers) = match (self.half, &http.response) {
            (Half::Request, _) => (&http.request.body, &http.request.headers),
            (Half::Response, Some(response)) => (&response.body, &response.headers),
            (Half::Response, None) => return Some("no response".to_owned()),
        };
        self.judge(body, headers).err().map(|wrong| format!("{whose}: {wrong}"))
    }

    fn judge(&self, body: &Body, headers: &Headers) -> Result<(), String> {
        let too_long = || format!("longer than {SCHEMA_BODY_BYTES_MAX} bytes");
        let bytes = match body.prefix(SCHEMA_BODY_BYTES_MAX + 1) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err("was not kept".to_owned()),
            Err(error) => return Err(format!("cannot be read: {error}")),
        };
        let encoding = headers.get_all("content-encoding").collect::<Vec<_>>().join(&b", "[..]);
        let limits = Limits { decoded_bytes_max: SCHEMA_BODY_BYTES_MAX + 1, ..Limits::default() };
        let decoded = decode(&encoding, &bytes, &limits).map_err(|_| "cannot be decoded".to_owned())?;
        if bytes.len() > SCHEMA_BODY_BYTES_MAX || decoded.bytes.len() > SCHEMA_BODY_BYTES_MAX {
            return Err(too_long());
        }
        let value: Value =
            serde_json::from_slice(&decoded.bytes).map_err(|error| format!("not JSON: {error}"))?;
        self.validator.validate(&value).map_err(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "/".to_owned() } else { place };
            // The body itself is not repeated: it may be a secret.
            shown(format!("at {place}: {}", error.masked()).as_bytes())
        })
    }
}
