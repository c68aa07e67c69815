//! What makes two hellos offer the same, told at a glance.

use super::offer::{MOST_NAME, Own, outer_key};
use super::{Met, Offer};
use crate::tls::codes::{ExtensionType, Version, is_grease};
use crate::tls::cursor::Cursor;
use std::sync::Arc;

/// Bytes of the longest shape kept: those of real programs have some 300.
const MOST: usize = 1_024;

/// A shape, and the offer of all hellos that have it.
#[derive(Debug)]
pub(super) struct Shape {
    pub bytes: Box<[u8]>,
    pub offer: Arc<Offer>,
}

/// Writes a hello's shape: the bytes of its body that its offer is made of, as they were sent, and no others. Gives what is the
/// hello's own, as [`Offer::read`] does. `None`: it has to be read in full, since it is long, not well formed as far as is
/// looked at here, or has GREASE for its first suite, as those have that hardly ever offer the same twice.
pub(super) fn of<'a>(body: &'a [u8], shape: &mut Vec<u8>) -> Option<Own<'a>> {
    shape.clear();
    let mut cursor = Cursor(body);
    let version = cursor.array::<2>()?;
    shape.extend_from_slice(&version);
    let random = cursor.array()?;
    let len = u32::try_from(body.len() + 4).ok()?;
    let mut own = Own { random, sni: None, ticket_len: None, ech_key: None, len, malformed: false };
    cursor.vec8()?; // session
    if Version(u16::from_be_bytes(version)).is_dtls() {
        cursor.vec8()?; // the cookie (RFC 6347 section 4.2.1)
    }
    let ciphers = cursor.vec16()?;
    let first = ciphers.first_chunk().map(|first| u16::from_be_bytes(*first));
    if ciphers.len() % 2 != 0 || ciphers.len() > MOST || first.is_some_and(is_grease) {
        return None;
    }
    add(ciphers, shape);
    cursor.vec8()?; // compression methods
    if cursor.is_empty() {
        return Some(own);
    }
    let mut extensions = Cursor(cursor.vec16()?);
    if !cursor.is_empty() {
        return None;
    }
    let mut met = Met::default();
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let body = extensions.vec16()?;
        if !met.first(kind) || shape.len() > MOST {
            return None;
        }
        shape.extend_from_slice(&kind.to_be_bytes());
        extension(ExtensionType(kind), body, &mut own, shape)?;
    }
    Some(own)
}

/// The kind tells how much of an extension there is, so that no two hellos have one shape and another offer.
fn extension<'a>(kind: ExtensionType, body: &'a [u8], own: &mut Own<'a>, shape: &mut Vec<u8>) -> Option<()> {
    match kind {
        ExtensionType::ALPN
        | ExtensionType::SUPPORTED_VERSIONS
        | ExtensionType::SUPPORTED_GROUPS
        | ExtensionType::SIGNATURE_ALGORITHMS
        | ExtensionType::EC_POINT_FORMATS => {
            (body.len() <= MOST).then_some(())?;
            add(body, shape);
        }
        ExtensionType::KEY_SHARE | ExtensionType::KEY_SHARE_DRAFT => {
            let mut shares = Cursor(Cursor(body).vec16()?);
            while !shares.is_empty() {
                // Behind the last there is a zero.
                shape.push(1);
                shape.extend_from_slice(&shares.array::<2>()?);
                shares.vec16()?;
            }
            shape.push(0);
        }
        ExtensionType::SERVER_NAME => {
            let mut names = Cursor(Cursor(body).vec16()?);
            while !names.is_empty() {
                let name_type = names.u8()?;
                let name = names.vec16().filter(|name| name.len() <= MOST_NAME)?;
                if name_type == 0 && own.sni.is_none() && !name.is_empty() {
                    own.sni = Some(name);
                }
            }
        }
        ExtensionType::SESSION_TICKET => own.ticket_len = Some(body.len()),
        ExtensionType::ENCRYPTED_CLIENT_HELLO => own.ech_key = outer_key(body),
        _ => {}
    }
    Some(())
}

/// Adds bytes behind their number.
fn add(bytes: &[u8], shape: &mut Vec<u8>) {
    shape.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    shape.extend_from_slice(bytes);
}
