//! What changed between two listings of one kind.
//!
//! The store hands out the same `Arc` for what did not change, in one order, so the unchanged beginning and end are found
//! by comparing pointers. What lies between counts as changed: more than needed is looked at again, never less.

use std::sync::Arc;

/// The listing of the plan before.
#[derive(Debug)]
pub(super) struct Listed<K> {
    objects: Vec<Arc<K>>,
}

impl<K> Default for Listed<K> {
    fn default() -> Self {
        Self { objects: Vec::new() }
    }
}

impl<K> Listed<K> {
    /// Takes the newer listing up: what of the older one is gone or other, and what of the newer one is new or other.
    pub(super) fn update(&mut self, newer: &[Arc<K>]) -> (Vec<Arc<K>>, Vec<Arc<K>>) {
        let older = &self.objects;
        let same = |pair: &(&Arc<K>, &Arc<K>)| Arc::ptr_eq(pair.0, pair.1);
        let beginning = older.iter().zip(newer).take_while(same).count();
        let (old_rest, new_rest) =
            (older.get(beginning..).unwrap_or_default(), newer.get(beginning..).unwrap_or_default());
        let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(same).count();
        let middle = |rest: &[Arc<K>]| rest.get(..rest.len() - end).unwrap_or_default().to_vec();
        let (gone, new) = (middle(old_rest), middle(new_rest));
        if !gone.is_empty() || !new.is_empty() {
            let until = beginning + gone.len();
            self.objects.splice(beginning..until, new.iter().cloned());
        }
        (gone, new)
    }

    /// How many objects there are.
    pub(super) const fn len(&self) -> usize {
        self.objects.len()
    }
}

/// Whether two listings are of the same objects.
pub(super) fn is_same<K>(one: &[Arc<K>], other: &[Arc<K>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| Arc::ptr_eq(one, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_between_equal_ends_counts_as_changed() {
        let make = |value: u32| Arc::new(value);
        let (a, b, c, d, e) = (make(1), make(2), make(3), make(4), make(5));
        let list = |all: &[&Arc<u32>]| all.iter().map(|one| Arc::clone(one)).collect::<Vec<_>>();
        let values = |all: Vec<Arc<u32>>| all.iter().map(|one| **one).collect::<Vec<_>>();
        let mut listed = Listed::default();
        for (newer, gone, new) in [
            (list(&[&a, &b, &c]), vec![], vec![1, 2, 3]),
            (list(&[&a, &b, &c]), vec![], vec![]),
            (list(&[&a, &d, &c]), vec![2], vec![4]),
            (list(&[&a, &c]), vec![4], vec![]),
            (list(&[&e, &a, &c]), vec![], vec![5]),
            (list(&[&c, &a, &e]), vec![5, 1, 3], vec![3, 1, 5]),
            (list(&[&a, &a]), vec![3, 1, 5], vec![1, 1]),
            (list(&[&a]), vec![1], vec![]),
            (list(&[]), vec![1], vec![]),
        ] {
            let (was, is) = listed.update(&newer);
            assert_eq!((values(was), values(is)), (gone, new));
            assert!(is_same(&listed.objects, &newer) && listed.len() == newer.len());
        }
    }
}
