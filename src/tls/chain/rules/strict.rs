//! What RFC 5280 asks of every certificate and only strict verifiers mind: OpenSSL's X509_V_FLAG_X509_STRICT, which
//! Python sets since 3.13 (`check_extensions` in crypto/x509/x509_vfy.c), and readers of certificates that take no
//! encoding but DER.

use super::super::path::{End, Path};
use super::single::KEY_CERT_SIGN;
use super::{Found, Title, role, title};
use crate::tls::cert::Certificate;
use crate::tls::chain::Fault;

/// Rules of the profile, for all that was presented and for a private root: a public one is not the server's, and in all
/// stores.
pub(super) fn profile(path: &Path, found: &mut Found<'_>) {
    let last = path.steps.len().saturating_sub(1);
    for (height, step) in path.steps.iter().enumerate() {
        let (cert, place) = (&*step.cert, step.presented());
        let top = height == last && matches!(path.end, End::Trusted { .. } | End::SelfSigned);
        let public = height == last && matches!(path.end, End::Trusted { public: true });
        if public || (place.is_none() && !top) {
            continue;
        }
        let title = title(cert, role(height, top && height > 0));
        for quirk in &cert.quirks {
            found.add(Fault::Profile, place, format!("{title}: {quirk}"));
        }
        if cert.version >= 3 {
            identifiers(cert, place, &title, top, found);
            if cert.is_ca() {
                authority(cert, place, &title, found);
            } else if height == 0 {
                subscriber(cert, place, &title, found);
            }
        }
    }
}

/// Key identifiers.
fn identifiers(
    cert: &Certificate,
    place: Option<usize>,
    title: &Title<'_>,
    top: bool,
    found: &mut Found<'_>,
) {
    match cert.authority_key_id.as_deref() {
        // A self-signed one may leave it out.
        None if top => {}
        None => {
            let says = format!("{title} has no authorityKeyIdentifier (RFC 5280 section 4.2.1.1)");
            found.add(Fault::NoAki, place, says);
        }
        Some([]) => {
            let says = format!(
                "{title} has an authorityKeyIdentifier without keyIdentifier (RFC 5280 section 4.2.1.1)"
            );
            found.add(Fault::NoAki, place, says);
        }
        Some(_) => {}
    }
    if cert.is_ca() && cert.subject_key_id.is_none() {
        let says = format!("{title} is a CA's and has no subjectKeyIdentifier (RFC 5280 section 4.2.1.2)");
        found.add(Fault::NoSki, place, says);
    }
}

/// A CA's certificate.
fn authority(cert: &Certificate, place: Option<usize>, title: &Title<'_>, found: &mut Found<'_>) {
    if matches!(cert.basic_constraints, Some((true, _))) && !cert.basic_constraints_critical {
        let says =
            format!("{title} is a CA's and its basicConstraints are not critical (RFC 5280 section 4.2.1.9)");
        found.add(Fault::BasicConstraints, place, says);
    }
    let mut add = |says: &str| found.add(Fault::Profile, place, format!("{title} {says}"));
    if cert.key_usage.is_none() {
        add("is a CA's and has no keyUsage (RFC 5280 section 4.2.1.3)");
    }
    if cert.may(KEY_CERT_SIGN) == Some(false) && matches!(cert.basic_constraints, Some((true, Some(_)))) {
        add("has a pathLenConstraint and no keyCertSign (RFC 5280 section 4.2.1.9)");
    }
    if cert.subject_der.len() <= 2 {
        add("is a CA's and has no subject (RFC 5280 section 4.1.2.6)");
    }
}

/// Anybody else's.
fn subscriber(cert: &Certificate, place: Option<usize>, title: &Title<'_>, found: &mut Found<'_>) {
    let mut add = |says: &str| found.add(Fault::Profile, place, format!("{title} {says}"));
    if cert.may(KEY_CERT_SIGN) == Some(true) {
        add("has keyCertSign and is no CA's (RFC 5280 section 4.2.1.9)");
    }
    if matches!(cert.basic_constraints, Some((false, Some(_)))) {
        add("has a pathLenConstraint and is no CA's (RFC 5280 section 4.2.1.9)");
    }
    if cert.name_constraints.is_some() {
        add("has nameConstraints and is no CA's (RFC 5280 section 4.2.1.10)");
    }
}
