//! Names of DNS numbers (IANA registry "Domain Name System (DNS) Parameters"), in mitmproxy's spelling.

use std::fmt::Write as _;

/// The record type of that name.
pub const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
/// The record type of that name.
pub const AAAA: u16 = 28;
pub(crate) const HTTPS: u16 = 65;

/// Adds a record type: `A`, or `TYPE(4711)`.
pub fn push_kind(out: &mut String, kind: u16) {
    match KINDS.binary_search_by_key(&kind, |(number, _)| *number).ok().and_then(|at| KINDS.get(at)) {
        Some((_, name)) => out.push_str(name),
        // Writing to a `String` cannot fail.
        None => {
            let _ = write!(out, "TYPE({kind})");
        }
    }
}

/// Adds an opcode: `QUERY`, or `OPCODE(9)`.
pub fn push_op_code(out: &mut String, op_code: u8) {
    out.push_str(match op_code {
        0 => "QUERY",
        1 => "IQUERY",
        2 => "STATUS",
        4 => "NOTIFY",
        5 => "UPDATE",
        6 => "DSO",
        other => {
            let _ = write!(out, "OPCODE({other})");
            return;
        }
    });
}

/// Adds a response code: `NXDOMAIN`, or `RCODE(99)`.
pub fn push_response_code(out: &mut String, response_code: u16) {
    out.push_str(match response_code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        11 => "DSOTYPENI",
        other => {
            let _ = write!(out, "RCODE({other})");
            return;
        }
    });
}

/// In ascending order.
#[rustfmt::skip]
const KINDS: &[(u16, &str)] = &[
    (1, "A"), (2, "NS"), (3, "MD"), (4, "MF"), (5, "CNAME"), (6, "SOA"), (7, "MB"), (8, "MG"), (9, "MR"),
    (10, "NULL"), (11, "WKS"), (12, "PTR"), (13, "HINFO"), (14, "MINFO"), (15, "MX"), (16, "TXT"),
    (17, "RP"), (18, "AFSDB"), (19, "X25"), (20, "ISDN"), (21, "RT"), (22, "NSAP"), (23, "NSAP_PTR"),
    (24, "SIG"), (25, "KEY"), (26, "PX"), (27, "GPOS"), (28, "AAAA"), (29, "LOC"), (30, "NXT"), (31, "EID"),
    (32, "NIMLOC"), (33, "SRV"), (34, "ATMA"), (35, "NAPTR"), (36, "KX"), (37, "CERT"), (38, "A6"),
    (39, "DNAME"), (40, "SINK"), (41, "OPT"), (42, "APL"), (43, "DS"), (44, "SSHFP"), (45, "IPSECKEY"),
    (46, "RRSIG"), (47, "NSEC"), (48, "DNSKEY"), (49, "DHCID"), (50, "NSEC3"), (51, "NSEC3PARAM"),
    (52, "TLSA"), (53, "SMIMEA"), (55, "HIP"), (56, "NINFO"), (57, "RKEY"), (58, "TALINK"), (59, "CDS"),
    (60, "CDNSKEY"), (61, "OPENPGPKEY"), (62, "CSYNC"), (63, "ZONEMD"), (64, "SVCB"), (65, "HTTPS"),
    (99, "SPF"), (100, "UINFO"), (101, "UID"), (102, "GID"), (103, "UNSPEC"), (104, "NID"), (105, "L32"),
    (106, "L64"), (107, "LP"), (108, "EUI48"), (109, "EUI64"), (249, "TKEY"), (250, "TSIG"), (251, "IXFR"),
    (252, "AXFR"), (253, "MAILB"), (254, "MAILA"), (255, "ANY"), (256, "URI"), (257, "CAA"), (258, "AVC"),
    (259, "DOA"), (260, "AMTRELAY"), (32768, "TA"), (32769, "DLV"),
];
