//! What a bench has to reach, and what it did not.

/// Takes figures with their bounds; keeps those that are not reached, as a reader is told of them.
#[derive(Debug, Default)]
pub struct Bounds(Vec<String>);

impl Bounds {
    /// To reach is less than `bound`.
    pub fn under(&mut self, name: &str, value: f64, bound: f64) {
        self.hold(value < bound, || format!("{name} is {value:.2}, to reach is under {bound}"));
    }

    /// To reach is `bound` or more.
    pub fn at_least(&mut self, name: &str, value: f64, bound: f64) {
        self.hold(value >= bound, || format!("{name} is {value:.2}, to reach is {bound}"));
    }

    /// Something else that must hold; `missed` says what does not.
    pub fn hold(&mut self, holds: bool, missed: impl FnOnce() -> String) {
        if !holds {
            self.0.push(missed());
        }
    }

    /// What was not reached, in the order of asking.
    pub fn missed(self) -> Vec<String> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_itself_is_reached_from_above_only_and_nothing_compares_with_no_number() {
        let mut bounds = Bounds::default();
        bounds.under("below", 4.9, 5.0);
        bounds.at_least("as much", 5.0, 5.0);
        bounds.under("as long", 5.0, 5.0);
        bounds.at_least("less", 4.999, 5.0);
        bounds.under("no number", f64::NAN, 5.0);
        bounds.hold(false, || "it fell".to_owned());

        let missed = bounds.missed();
        assert_eq!(missed[0], "as long is 5.00, to reach is under 5");
        assert_eq!(missed.len(), 4, "{missed:?}");
    }
}
