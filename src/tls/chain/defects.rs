//! Defects that are shared by those who are shown the same chain.

use super::Defect;
use std::ops::Deref;
use std::sync::Arc;

/// Defects of a chain. None at all, as mostly, takes no memory, and no count of references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defects(Option<Arc<[Defect]>>);

impl Deref for Defects {
    type Target = [Defect];

    #[inline]
    fn deref(&self) -> &[Defect] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl From<Vec<Defect>> for Defects {
    fn from(list: Vec<Defect>) -> Self {
        Self(if list.is_empty() { None } else { Some(list.into()) })
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(list: I) -> Self {
        Vec::from_iter(list).into()
    }
}
