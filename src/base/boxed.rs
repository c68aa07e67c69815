//! Values that are made where they stay.

/// A boxed value. Its memory is asked for first, so that a large one need not be made on the stack and moved.
#[inline]
pub fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    Box::write(Box::new_uninit(), make())
}
