//! Walks a message's bytes. Every read checks first; a failed read leaves the rest as it was.

/// The bytes that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 24-bit length.
    pub(super) fn u24(&mut self) -> Option<usize> {
        let [a, b, c] = self.array()?;
        usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()
    }

    /// A vector behind an 8-bit length.
    pub(super) fn vec8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let n = ahead.u8()?;
        let body = ahead.take(n.into())?;
        *self = ahead;
        Some(body)
    }

    /// A vector behind a 16-bit length.
    pub(super) fn vec16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let n = ahead.u16()?;
        let body = ahead.take(n.into())?;
        *self = ahead;
        Some(body)
    }

    /// A vector behind a 24-bit length.
    pub(super) fn vec24(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let n = ahead.u24()?;
        let body = ahead.take(n)?;
        *self = ahead;
        Some(body)
    }

    /// `n` bytes, or what is left where it is less; and whether it was all.
    pub(super) fn at_most(&mut self, n: usize) -> (&'a [u8], bool) {
        match self.take(n) {
            Some(body) => (body, true),
            None => (std::mem::take(&mut self.0), false),
        }
    }
}

/// The 16-bit numbers of a list; a lone last byte is left out.
pub(super) fn numbers(bytes: &[u8]) -> impl ExactSizeIterator<Item = u16> + '_ {
    bytes.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_takes_nothing() {
        let mut cursor = Cursor(&[0, 3, 1, 2]);
        assert_eq!(cursor.vec16(), None);
        assert_eq!(cursor.vec24(), None);
        assert_eq!(cursor.u16(), Some(3));
        assert_eq!(cursor.at_most(5), (&[1u8, 2][..], false));
        assert!(cursor.is_empty());
    }
}
