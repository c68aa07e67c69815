//! Who is asked: this program, and those it is compared with.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tlswhy::base::Stamp;
use tlswhy::tls::cert::Certificate;
use tlswhy::tls::chain::{Defect, KeyUse, Pool, Question, assess};
use tlswhy::tls::trust::Trust;

use super::cases::Case;

/// What this program finds.
pub fn defects(case: &Case) -> Vec<Defect> {
    let mut trust = Trust::empty("case");
    case.roots.iter().for_each(|der| trust.add(der));
    let chain = std::iter::once(&case.leaf).chain(&case.untrusted);
    let presented: Vec<Arc<Certificate>> = chain.map(|der| Arc::new(Certificate::parse(der))).collect();
    let question = Question {
        presented: &presented,
        at: Stamp(case.at * 1_000_000),
        host: case.host.as_deref(),
        server_ip: None,
        client: case.client,
        uses: KeyUse::Unknown,
    };
    assess(&question, &trust, &mut Pool::default())
}

/// Another verifier.
#[derive(Clone, Copy)]
pub enum Verifier {
    WebPki,
    OpenSsl,
    GnuTls,
}

impl Verifier {
    pub const ALL: [Self; 3] = [Self::WebPki, Self::OpenSsl, Self::GnuTls];

    pub const fn word(self) -> &'static str {
        match self {
            Self::WebPki => "webpki",
            Self::OpenSsl => "openssl",
            Self::GnuTls => "gnutls",
        }
    }

    pub fn is_there(self) -> bool {
        let (program, version) = match self {
            Self::WebPki => return true,
            Self::OpenSsl => ("openssl", "version"),
            Self::GnuTls => ("certtool", "--version"),
        };
        let there = Command::new(program).arg(version).output().is_ok_and(|output| output.status.success());
        if !there {
            eprintln!("skipped: {program} is not installed");
        }
        there
    }

    /// Whether it accepts, and what it says; `None` where the question cannot be put to it.
    pub fn asked(self, case: &Case, scratch: &Path) -> Option<(bool, String)> {
        match self {
            Self::WebPki if case.reading => {
                // Its reader takes version 3 alone.
                None
            }
            Self::WebPki => Some(webpki(case)),
            Self::OpenSsl => Some(openssl(case, scratch)),
            Self::GnuTls => gnutls(case, scratch),
        }
    }
}

fn webpki(case: &Case) -> (bool, String) {
    let roots: Vec<CertificateDer<'_>> = case.roots.iter().map(|der| der.as_slice().into()).collect();
    let anchors: Vec<_> = roots.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let between: Vec<CertificateDer<'_>> = case.untrusted.iter().map(|der| der.as_slice().into()).collect();
    let leaf = CertificateDer::from(case.leaf.as_slice());
    let usage = if case.client { webpki::KeyUsage::client_auth() } else { webpki::KeyUsage::server_auth() };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(case.at.unsigned_abs()));
    let verdict = || {
        let leaf = webpki::EndEntityCert::try_from(&leaf)?;
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &between, at, usage, None, None)?;
        match &case.host {
            Some(host) => match ServerName::try_from(host.as_str()) {
                Ok(name) => leaf.verify_is_valid_for_subject_name(&name),
                Err(_) => Err(webpki::Error::MalformedDnsIdentifier),
            },
            None => Ok(()),
        }
    };
    match verdict() {
        Ok(()) => (true, String::new()),
        Err(error) => (false, format!("{error:?}")),
    }
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let bits =
            piece.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - piece.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= piece.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn pem<'a>(ders: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
    let mut text = String::new();
    for der in ders {
        let lines = base64(der);
        let lines: Vec<&str> =
            lines.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        write!(text, "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
            .unwrap();
    }
    text
}

/// A file of the case; several run at a time.
fn file<'a>(scratch: &Path, case: &Case, name: &str, ders: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
    let plain: String =
        case.id.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
    let path = scratch.join(format!("{plain}-{name}.pem"));
    std::fs::write(&path, pem(ders)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn openssl(case: &Case, scratch: &Path) -> (bool, String) {
    let leaf = file(scratch, case, "leaf", [&case.leaf]);
    if case.reading {
        // The extensions are read when it prints them.
        let (fine, said) = run(Command::new("openssl").args(["x509", "-noout", "-purpose", "-in", &leaf]));
        return (
            fine && !said.contains("rror"),
            said.chars().take(200).collect::<String>().replace('\n', " "),
        );
    }
    let roots = file(scratch, case, "roots", &case.roots);
    let mut command = Command::new("openssl");
    command.args(["verify", "-no-CAfile", "-no-CApath", "-no-CAstore", "-x509_strict", "-auth_level", "2"]);
    command.args(["-purpose", if case.client { "sslclient" } else { "sslserver" }]);
    command.args(["-attime", &case.at.to_string(), "-trusted", &roots]);
    if let Some(host) = &case.host {
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        command.args([if is_address { "-verify_ip" } else { "-verify_hostname" }, host]);
    }
    if !case.untrusted.is_empty() {
        command.args(["-untrusted", &file(scratch, case, "untrusted", &case.untrusted)]);
    }
    let (fine, said) = run(command.arg(&leaf));
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("rror ")).collect();
    (fine, errors.join("; "))
}

/// Its tool knows no other time than now.
fn gnutls(case: &Case, scratch: &Path) -> Option<(bool, String)> {
    if case.reading {
        let leaf = file(scratch, case, "leaf-g", [&case.leaf]);
        let (fine, said) = run(Command::new("certtool").args(["--certificate-info", "--infile", &leaf]));
        let complains = said.lines().find(|line| line.contains("rror"));
        return Some((fine && complains.is_none(), complains.unwrap_or_default().to_owned()));
    }
    if case.at != super::cases::NOW {
        return None;
    }
    let chain = file(scratch, case, "chain", std::iter::once(&case.leaf).chain(&case.untrusted));
    let roots = file(scratch, case, "roots-g", &case.roots);
    let purpose = if case.client { "1.3.6.1.5.5.7.3.2" } else { "1.3.6.1.5.5.7.3.1" };
    let mut command = Command::new("certtool");
    command.args(["--verify", "--load-ca-certificate", &roots, "--infile", &chain]);
    command.args(["--verify-purpose", purpose, "--verify-profile", "medium"]);
    if let Some(host) = &case.host {
        command.args(["--verify-hostname", host]);
    }
    let (fine, said) = run(&mut command);
    let last = said.lines().rev().find(|line| line.contains("erified") || line.contains("rror"));
    Some((fine, last.unwrap_or_default().trim().to_owned()))
}
