//! The frames of Initial and Handshake packets (RFC 9000 section 12.4): PADDING, PING, ACK, CRYPTO and CONNECTION_CLOSE.

use super::{QuicVersion, varint};

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// PING or ACK.
    Other,
    /// Bytes of handshake messages (RFC 9000 section 19.6).
    Crypto {
        /// Place of the first byte.
        offset: u64,
        /// The bytes.
        data: &'a [u8],
    },
    /// The connection is closed (RFC 9000 section 19.19).
    Close(Close<'a>),
}

/// CONNECTION_CLOSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// Its error code.
    pub code: u64,
    /// It is the application's (type 0x1d), not the transport's.
    pub application: bool,
    /// Why, in words for people.
    pub reason: &'a [u8],
}

impl Close<'_> {
    /// NO_ERROR (RFC 9000 section 20.1).
    pub const NO_ERROR: u64 = 0;
    /// CONNECTION_REFUSED.
    pub const REFUSED: u64 = 2;
    /// APPLICATION_ERROR: stands for what an application says before its keys are there (section 10.2.3).
    pub const APPLICATION: u64 = 0x0c;

    /// The TLS alert that it stands for (RFC 9001 section 4.8).
    pub fn alert(code: u64) -> Option<u8> {
        u8::try_from(code.checked_sub(0x100)?).ok()
    }
}

/// The frames of an opened packet, in order. Ends at the first that cannot be read, or has no place there; padding is left out.
pub fn frames(payload: &[u8], version: QuicVersion) -> Frames<'_> {
    // Google's versions with TLS had another number for it.
    let crypto = if version.0 >> 16 == 0x5430 { 8 } else { 6 };
    Frames { rest: payload, crypto }
}

/// See [`frames`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    rest: &'a [u8],
    /// Type of CRYPTO frames.
    crypto: u64,
}

impl<'a> Frames<'a> {
    fn number(&mut self) -> Option<u64> {
        let (value, rest) = varint(self.rest)?;
        self.rest = rest;
        Some(value)
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (own, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(own)
    }

    /// Largest, delay, ranges, and counts of ECN marks with type 3 (RFC 9000 section 19.3).
    fn ack(&mut self, kind: u64) -> Option<()> {
        self.number()?;
        self.number()?;
        let ranges = self.number()?;
        self.number()?;
        for _ in 0..ranges {
            self.number()?;
            self.number()?;
        }
        for _ in 0..if kind == 3 { 3 } else { 0 } {
            self.number()?;
        }
        Some(())
    }

    fn read(&mut self) -> Option<Frame<'a>> {
        let padding = self.rest.iter().take_while(|&&byte| byte == 0).count();
        self.take(padding as u64)?;
        match self.number()? {
            1 => Some(Frame::Other),
            kind @ (2 | 3) => self.ack(kind).map(|()| Frame::Other),
            kind if kind == self.crypto => {
                let offset = self.number()?;
                let len = self.number()?;
                Some(Frame::Crypto { offset, data: self.take(len)? })
            }
            kind @ (0x1c | 0x1d) => {
                let code = self.number()?;
                if kind == 0x1c {
                    self.number()?;
                }
                let len = self.number()?;
                // A reason that is longer than its packet is cut.
                let reason = self.take(len.min(self.rest.len() as u64))?;
                Some(Frame::Close(Close { code, application: kind == 0x1d, reason }))
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let frame = self.read();
        if frame.is_none() {
            self.rest = &[];
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_between_padding() {
        let payload = [
            0, 0, 2, 5, 0, 1, 0, 1, 1, // padding, ACK with one further range
            1, // PING
            6, 0x40, 0x10, 2, 0xaa, 0xbb, 0, // CRYPTO at 16
            0x1c, 0x41, 0x2e, 6, 2, b'n', b'o', // crypto error 46
        ];
        let all: Vec<_> = frames(&payload, QuicVersion::V1).collect();
        assert_eq!(
            all,
            [
                Frame::Other,
                Frame::Other,
                Frame::Crypto { offset: 16, data: &[0xaa, 0xbb] },
                Frame::Close(Close { code: 0x12e, application: false, reason: b"no" }),
            ]
        );
        assert_eq!(Close::alert(0x12e), Some(46));
    }

    #[test]
    fn only_crypto_errors_stand_for_alerts() {
        assert_eq!([0, 2, 0xff, 0x200].map(Close::alert), [None; 4]);
        assert_eq!([0x100, 0x1ff].map(Close::alert), [Some(0), Some(255)]);
    }

    #[test]
    fn frames_cut_anywhere_and_foreign_ones_end_the_packet() {
        let payload = [2, 5, 0, 1, 0, 1, 1, 6, 0x40, 0x10, 2, 0xaa, 0xbb, 0x1c, 0x41, 0x2e, 6, 2, b'n', b'o'];
        for end in 0..payload.len() {
            assert!(frames(&payload[..end], QuicVersion::V1).count() <= 3);
        }
        assert_eq!(
            frames(&[8, 0, 1, 6, 0, 0], QuicVersion::V1).count(),
            0,
            "a STREAM frame has no place here"
        );
        assert_eq!(
            frames(&[6, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], QuicVersion::V1).count(),
            0
        );
    }
}
