//! Values that come and go, each at a place that never moves.

use crate::base::prefetch;

/// Values by number. It grows by chunks, so that nothing is copied and no doubling takes twice the memory; what was
/// freed is used again.
#[derive(Debug)]
pub struct Pool<T> {
    chunks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Pool<T> {
    /// Values in a chunk.
    const CHUNK: usize = 64;

    /// Keeps a value and numbers it.
    pub fn put(&mut self, value: T) -> u32 {
        self.put_with(|| value)
    }

    /// The same of a value that is made where it stays.
    #[inline]
    pub fn put_with(&mut self, make: impl FnOnce() -> T) -> u32 {
        self.len += 1;
        if let Some(no) = self.free.pop() {
            if let Some(place) = self.place(no) {
                *place = Some(make());
            }
            return no;
        }
        let last = match self.chunks.last_mut() {
            Some(last) if last.len() < Self::CHUNK => last,
            _ => {
                self.chunks.push(Vec::with_capacity(Self::CHUNK));
                // It was pushed just now.
                let Some(last) = self.chunks.last_mut() else { return u32::MAX };
                last
            }
        };
        last.push(Some(make()));
        let behind = last.len();
        let no = (self.chunks.len() - 1) * Self::CHUNK + behind - 1;
        u32::try_from(no).unwrap_or(u32::MAX)
    }

    /// The value of this number.
    #[inline]
    pub fn get(&self, no: u32) -> Option<&T> {
        let no = no as usize;
        self.chunks.get(no / Self::CHUNK)?.get(no % Self::CHUNK)?.as_ref()
    }

    /// Has the value fetched.
    #[inline]
    pub fn approach(&self, no: u32) {
        let no = no as usize;
        if let Some(place) = self.chunks.get(no / Self::CHUNK).and_then(|chunk| chunk.get(no % Self::CHUNK)) {
            prefetch(place);
        }
    }

    /// The value of this number, to change.
    #[inline]
    pub fn get_mut(&mut self, no: u32) -> Option<&mut T> {
        self.place(no)?.as_mut()
    }

    /// Takes a value out; its number may be given again.
    #[inline]
    pub fn take(&mut self, no: u32) -> Option<T> {
        self.get(no)?;
        self.free.push(no);
        self.len -= 1;
        // Last, so that it is moved once.
        self.place(no)?.take()
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().flatten()
    }

    /// Values kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    fn place(&mut self, no: u32) -> Option<&mut Option<T>> {
        let no = no as usize;
        self.chunks.get_mut(no / Self::CHUNK)?.get_mut(no % Self::CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_place_is_used_again_before_the_pool_grows() {
        let mut pool = Pool::default();
        let numbers: Vec<u32> = (0..200).map(|value| pool.put(value)).collect();
        assert_eq!((pool.take(numbers[70]), pool.take(numbers[70])), (Some(70), None));
        assert_eq!(pool.put(7), numbers[70]);
        assert_eq!((pool.get(numbers[70]), pool.get(numbers[199]), pool.len()), (Some(&7), Some(&199), 200));
    }
}
