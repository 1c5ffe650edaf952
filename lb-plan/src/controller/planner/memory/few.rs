//! A set of nearly always one: a node of a tree has room for eleven, and there are ten thousand of these.

/// In order, each once, in no more room than they need.
#[derive(Debug)]
pub(super) struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Few<T> {
    pub(super) fn insert(&mut self, value: T) {
        if let Err(position) = self.0.binary_search(&value) {
            self.0.reserve_exact(1);
            self.0.insert(position, value);
        }
    }

    pub(super) fn remove(&mut self, value: &T) {
        if let Ok(position) = self.0.binary_search(value) {
            self.0.remove(position);
        }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_in_order() {
        let mut few = Few::default();
        for value in [3, 1, 3, 2, 1] {
            few.insert(value);
        }
        assert_eq!(few.iter().collect::<Vec<_>>(), [&1, &2, &3]);
        few.remove(&2);
        few.remove(&9);
        assert_eq!(few.iter().collect::<Vec<_>>(), [&1, &3]);
        few.remove(&1);
        few.remove(&3);
        assert!(few.is_empty());
    }
}
