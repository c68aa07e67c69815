//! The ends of a connection, without the formatting machinery: every event has two.

use super::json::{Short, display, object};
use crate::base::{Addr, Endpoint};

/// An address and a port.
pub(super) fn endpoint(end: Endpoint, out: &mut Vec<u8>) {
    match v4(end.addr) {
        Some(bytes) => {
            let mut text = Short::new();
            text.put(b"{\"ip\":\"", 7);
            octets(bytes, &mut text);
            text.put(b"\",\"port\":", 9);
            text.number(end.port);
            text.put(b"}", 1);
            out.extend_from_slice(text.text());
        }
        None => object(out, |o| {
            display(&end.addr, o.key("ip"));
            o.unsigned("port", u64::from(end.port));
        }),
    }
}

/// IPv4 without the formatting machinery: every event has two addresses.
pub(super) fn address(addr: Addr, out: &mut Vec<u8>) {
    match v4(addr) {
        Some(bytes) => {
            let mut text = Short::new();
            text.put(b"\"", 1);
            octets(bytes, &mut text);
            text.put(b"\"", 1);
            out.extend_from_slice(text.text());
        }
        None => display(&addr, out),
    }
}

fn v4(addr: Addr) -> Option<[u8; 4]> {
    addr.0.to_be_bytes().last_chunk().filter(|_| addr.is_v4()).copied()
}

fn octets([a, b, c, d]: [u8; 4], text: &mut Short) {
    /// Each with the dot behind it. Which digits there are is chance, which a processor cannot guess.
    #[expect(clippy::indexing_slicing, reason = "while this is compiled")]
    const OCTETS: [[u8; 4]; 256] = {
        let mut all = [[0; 4]; 256];
        let mut n = 0;
        while n < 256 {
            let [hundreds, tens, ones] =
                [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
            all[n] = match n {
                0..10 => [ones, b'.', 0, 0],
                10..100 => [tens, ones, b'.', 0],
                _ => [hundreds, tens, ones, b'.'],
            };
            n += 1;
        }
        all
    };
    let mut put = |byte: u8, behind: usize| {
        let digits = 1 + usize::from(byte >= 10) + usize::from(byte >= 100);
        text.put(OCTETS.get(usize::from(byte)).unwrap_or(&[0; 4]), digits + behind);
    };
    put(a, 1);
    put(b, 1);
    put(c, 1);
    put(d, 0);
}
