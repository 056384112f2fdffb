//! `flowgate why` and `flowgate lint`: the flags of a proxy, and what is asked about.

use std::ffi::OsString;
use std::net::IpAddr;

use clap::{Arg, ArgMatches};
use flowgate_flow::Address;

use super::error::CliError;
use super::flags;
use super::tool::{Tool, first_word};

/// A question about options, answered without starting a proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Query {
    /// What becomes of a connection, and why.
    Why(Question),
    /// What in the rules is probably not meant.
    Lint,
}

/// What is known of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Question {
    /// Where it goes.
    pub(crate) destination: Address,
    /// The name in its ClientHello.
    pub(crate) sni: Option<String>,
    /// The Host field of its first request.
    pub(crate) host: Option<String>,
    /// Who the client is.
    pub(crate) client: Option<IpAddr>,
    /// The address of the server.
    pub(crate) address: Option<IpAddr>,
    /// The fingerprint of its ClientHello.
    pub(crate) ja4: Option<String>,
    /// The program that is the client.
    pub(crate) process: Option<String>,
}

/// The queries by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Why,
    Lint,
}

const DESTINATION: &str = "destination";
const SNI: &str = "sni";
const HOST: &str = "host";
const CLIENT: &str = "client";
const ADDRESS: &str = "address";
const JA4: &str = "ja4";
const PROCESS: &str = "process";

/// The tool whose flags a query has.
pub(super) const TOOL: Tool = Tool::Dump;

/// The port that is meant when none is given.
const PORT: u16 = 443;

/// The query that a command line asks for, and the arguments that are left behind the program's name.
pub(super) fn split(arguments: &[OsString]) -> Option<(Kind, Vec<OsString>)> {
    let (word, arguments) = first_word(arguments)?;
    let kind = match word {
        "why" => Kind::Why,
        "lint" => Kind::Lint,
        _ => return None,
    };
    Some((kind, arguments))
}

pub(super) fn command(kind: Kind) -> clap::Command {
    let value = |id: &'static str, metavar: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name(metavar).help(help)
    };
    match kind {
        Kind::Why => flags::base(TOOL, "flowgate why HOST[:PORT] [OPTIONS]")
            .about("Say what becomes of a connection, and why, without starting a proxy")
            .arg(
                Arg::new(DESTINATION)
                    .value_name("HOST[:PORT]")
                    .help("Where the connection goes; the port is 443 unless given"),
            )
            .arg(value(SNI, "NAME", "The name in its ClientHello"))
            .arg(value(HOST, "NAME", "The Host field of its first request in the clear").conflicts_with(SNI))
            .arg(value(CLIENT, "IP", "The client's address"))
            .arg(value(ADDRESS, "IP", "The server's address; nothing is looked up"))
            .arg(value(JA4, "JA4", "The fingerprint of its ClientHello").conflicts_with(HOST))
            .arg(value(PROCESS, "PATH", "The client's program")),
        Kind::Lint => flags::base(TOOL, "flowgate lint [OPTIONS]")
            .about("Warn of rules and patterns that are probably not meant; exits with 1 if there are any"),
    }
}

pub(super) fn read(kind: Kind, matches: &ArgMatches) -> Result<Query, CliError> {
    let text = |id: &str| matches.get_one::<String>(id);
    match kind {
        Kind::Lint => Ok(Query::Lint),
        Kind::Why => Ok(Query::Why(Question {
            destination: destination(text(DESTINATION).ok_or(CliError::NoDestination)?)?,
            sni: text(SNI).cloned(),
            host: text(HOST).cloned(),
            client: text(CLIENT).map(|text| address(CLIENT, text)).transpose()?,
            address: text(ADDRESS).map(|text| address(ADDRESS, text)).transpose()?,
            ja4: text(JA4).cloned(),
            process: text(PROCESS).cloned(),
        })),
    }
}

fn address(flag: &'static str, text: &str) -> Result<IpAddr, CliError> {
    text.parse().map_err(|_| CliError::NotAddress { flag, text: text.to_owned() })
}

/// `host`, `host:port`, `[::1]:443` or `::1`.
fn destination(text: &str) -> Result<Address, CliError> {
    let bad = || CliError::BadDestination { text: text.to_owned() };
    let whole = text.trim_matches(['[', ']']);
    if whole.parse::<IpAddr>().is_ok() {
        return Ok(Address { host: whole.to_owned(), port: PORT });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
        None => (text, PORT),
    };
    let host = host.trim_matches(['[', ']']);
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#');
    let one_host =
        !host.is_empty() && !host.contains(odd) && (!host.contains(':') || host.parse::<IpAddr>().is_ok());
    if one_host { Ok(Address { host: host.to_owned(), port }) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let table = [
            ("bank.test", Some(("bank.test", 443))),
            ("bank.test:80", Some(("bank.test", 80))),
            ("192.0.2.1", Some(("192.0.2.1", 443))),
            ("192.0.2.1:1", Some(("192.0.2.1", 1))),
            ("::1", Some(("::1", 443))),
            ("[::1]", Some(("::1", 443))),
            ("[::1]:8443", Some(("::1", 8443))),
            ("", None),
            (":443", None),
            ("bank.test:", None),
            ("bank.test:70000", None),
            ("https://bank.test", None),
            ("a b", None),
        ];
        for (text, expected) in table {
            let read = destination(text).ok();
            assert_eq!(read.as_ref().map(|read| (read.host.as_str(), read.port)), expected, "{text}");
        }
    }
}
