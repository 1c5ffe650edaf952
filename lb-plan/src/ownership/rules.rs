//! The ten rules by name, and what was mended of them. Tests leave one out, to show what it is for.

/// A rule of the design's section on who holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rule {
    /// 1: a living node above is waited for.
    Want = 1,
    /// 2: a silent node is asked before it is taken from.
    Ask,
    /// 3: what a node below holds, or one that says AdminDown, is taken at once.
    TakeOver,
    /// 4: what was taken is announced.
    Announce,
    /// 5: who hears a claim gives way.
    Yield,
    /// 6: a holder announces again, and asks for its own addresses.
    Refresh,
    /// 7: what nobody answers is taken.
    Audit,
    /// 8: what must not be held is let go.
    LetGo,
    /// 9: strangers are announced against, and may be retreated from.
    Strangers,
    /// 10: nothing is taken before the node is ready.
    WarmUp,
    /// 6, as ADR 0041 mended it: who may take an address from the node that answers says so once more.
    Contest,
    /// 6, as ADR 0041 mended it: who hears nobody announces nothing.
    Hush,
}

/// The rules in force: all of them, but in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Rules {
    #[cfg(test)]
    without: Option<Rule>,
}

impl Rules {
    #[cfg(test)]
    pub(super) const fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }

    #[cfg(test)]
    pub(super) fn has(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "in tests it is used")]
    pub(super) const fn has(self, _: Rule) -> bool {
        true
    }
}
