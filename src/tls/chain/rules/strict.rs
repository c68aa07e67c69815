//! What RFC 5280 asks of every certificate and only strict verifiers mind: OpenSSL's X509_V_FLAG_X509_STRICT, which
//! Python sets since 3.13.

use super::super::path::{End, Path};
use super::{Found, role, title};
use crate::tls::chain::Fault;

/// Key identifiers, and critical basic constraints, of all but the root.
pub(super) fn identifiers(path: &Path, found: &mut Found<'_>) {
    let last = path.steps.len().saturating_sub(1);
    for (height, step) in path.steps.iter().enumerate() {
        let (cert, place) = (&*step.cert, step.presented());
        let top = height == last && matches!(path.end, End::Trusted { .. } | End::SelfSigned);
        if top || place.is_none() || cert.version < 3 {
            continue;
        }
        let title = title(cert, role(height, false));
        if cert.authority_key_id.is_none() {
            let says = format!("{title} has no authorityKeyIdentifier (RFC 5280 section 4.2.1.1)");
            found.add(Fault::NoAki, place, says);
        }
        if cert.is_ca() && cert.subject_key_id.is_none() {
            let says =
                format!("{title} is a CA's and has no subjectKeyIdentifier (RFC 5280 section 4.2.1.2)");
            found.add(Fault::NoSki, place, says);
        }
        if height > 0 && matches!(cert.basic_constraints, Some((true, _))) && !cert.basic_constraints_critical
        {
            let says = format!(
                "{title} is a CA's and its basicConstraints are not critical (RFC 5280 section 4.2.1.9)"
            );
            found.add(Fault::BasicConstraints, place, says);
        }
    }
}
