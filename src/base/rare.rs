//! What most owners do not have.

use std::ops::{Deref, DerefMut};

use super::boxed;

/// A value that is mostly as it was at the beginning: it takes a pointer until it is changed.
#[derive(Clone, Debug)]
pub struct Rare<T>(Option<Box<T>>);

/// A type whose value at the beginning is known beforehand.
pub trait Blank: Default + 'static {
    /// That value.
    const BLANK: &'static Self;
}

impl<T> Rare<T> {
    /// As it was at the beginning.
    pub const NEW: Self = Self(None);
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self::NEW
    }
}

impl<T: Blank> Deref for Rare<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::BLANK)
    }
}

impl<T: Blank> DerefMut for Rare<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| boxed(T::default))
    }
}

impl<T: Blank + PartialEq> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Blank + Eq> Eq for Rare<T> {}

impl<T: Blank> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self(Some(Box::new(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Lost;

    #[test]
    fn a_blank_value_takes_a_pointer_and_reads_like_any_other() {
        let mut lost = Rare::<Lost>::default();
        assert_eq!(size_of_val(&lost), size_of::<usize>());
        assert_eq!((lost.gap_bytes, &*lost), (0, &Lost::default()));
        lost.gap_bytes += 3;
        assert_eq!(lost, Rare::from(Lost { gap_bytes: 3, ..Lost::default() }));
    }
}
