//! A directory of people: OpenLDAP's slapd, in a folder of its own, in the clear and over TLS.
//!
//! slapd takes neither port 0 nor a listener that is open already, so it gets ports that were free a moment ago, and other ones
//! if somebody took those meanwhile.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ca::TestCa;
use crate::need::require;
use crate::process::Process;

/// How long a start may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many times ports are tried.
const ATTEMPTS: usize = 5;
/// Where Debian keeps its modules and schemas.
const SETTING: &str = "\
    include /etc/ldap/schema/core.schema\n\
    include /etc/ldap/schema/cosine.schema\n\
    include /etc/ldap/schema/inetorgperson.schema\n\
    modulepath /usr/lib/ldap\n\
    moduleload back_mdb\n\
    database mdb\n\
    maxsize 1048576\n";

/// A running slapd with the people that a test names.
#[derive(Debug)]
pub struct Slapd {
    port: u16,
    tls_port: u16,
    ca: TestCa,
    _process: Process,
    _folder: TempDir,
}

impl Slapd {
    /// Below which entry the people are.
    pub const PEOPLE: &str = "ou=people,dc=flowgate,dc=test";
    /// Who may look for them, and by which password.
    pub const ADMIN: (&str, &str) = ("cn=admin,dc=flowgate,dc=test", "opensesame");

    /// Starts one that knows these people (`cn`, `uid`, password). `None` after a line that says that slapd is missing
    /// (see [`require`]).
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(people: &[(&str, &str, &str)]) -> Option<Self> {
        let (slapd, slapadd) = (require("slapd")?, require("slapadd")?);
        let (folder, ca) = (TempDir::new().expect("a temporary folder"), TestCa::new());
        let leaf = ca.leaf(&["127.0.0.1", "localhost"]);
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("db")).expect("a folder for the database");
        for (name, text) in [
            ("cert.pem", leaf.certificate_pem.as_str()),
            ("key.pem", leaf.key_pem.as_str()),
            ("slapd.conf", &config(folder.path(), &ca)),
            ("people.ldif", &ldif(people)),
        ] {
            fs::write(at(name), text).expect("a file for slapd");
        }
        let mut command = Process::command(&slapadd);
        command.arg("-f").arg(at("slapd.conf")).arg("-l").arg(at("people.ldif"));
        let added = Process::run("slapadd", command, PATIENCE);
        assert!(added.status.success(), "slapadd: {}", added.stderr);
        for _ in 0..ATTEMPTS {
            let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
            let (one, other) = (free(), free());
            let [port, tls_port] =
                [&one, &other].map(|listener| listener.local_addr().expect("its address").port());
            drop((one, other));
            let mut command = Process::command(&slapd);
            // In the foreground, with its messages on standard error.
            command.args(["-d", "256", "-f"]).arg(at("slapd.conf"));
            command.arg("-h").arg(format!("ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/"));
            let process = Process::spawn("slapd", command);
            let started = process.wait_for("its start", PATIENCE, |line| {
                let started = line.text.contains("slapd starting");
                (started || line.text.contains("slapd stopped")).then_some(started)
            });
            if started {
                // It says so before it listens.
                let since = Instant::now();
                while [port, tls_port]
                    .iter()
                    .any(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err())
                {
                    assert!(since.elapsed() < PATIENCE, "slapd does not listen");
                    std::thread::yield_now();
                }
                return Some(Self { port, tls_port, ca, _process: process, _folder: folder });
            }
        }
        panic!("slapd found no free port");
    }

    /// Where it listens on loopback in the clear.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens on loopback over TLS.
    #[must_use]
    pub const fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// The root behind its certificate.
    #[must_use]
    pub const fn ca(&self) -> &TestCa {
        &self.ca
    }
}

fn config(folder: &Path, ca: &TestCa) -> String {
    let (admin, password) = Slapd::ADMIN;
    let (folder, ca) = (folder.display(), ca.certificate_path());
    format!(
        "{SETTING}suffix \"dc=flowgate,dc=test\"\nrootdn \"{admin}\"\nrootpw {password}\ndirectory {folder}/db\n\
         TLSCACertificateFile {}\nTLSCertificateFile {folder}/cert.pem\nTLSCertificateKeyFile {folder}/key.pem\n",
        ca.display()
    )
}

fn ldif(people: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "dn: dc=flowgate,dc=test\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: flowgate\n\n\
         dn: {}\nobjectClass: organizationalUnit\nou: people\n\n",
        Slapd::PEOPLE
    );
    for (number, (name, uid, password)) in people.iter().enumerate() {
        text += &format!(
            "dn: employeeNumber={number},{}\nobjectClass: inetOrgPerson\nemployeeNumber: {number}\ncn: {name}\nsn: {name}\n\
             uid: {uid}\nuserPassword: {password}\n\n",
            Slapd::PEOPLE
        );
    }
    text
}
