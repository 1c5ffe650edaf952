//! The runs as they are kept, and the figures that are made of them.

use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// One run: what the recorder saw of both addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// The longest time between two replies, by address, in microseconds; for a move from the old to the new holder.
    pub(crate) gaps_us: Vec<u64>,
    /// Requests sent.
    pub(crate) sent: usize,
    /// Of these without a reply within a second.
    pub(crate) unanswered: usize,
    /// Of these with replies of two nodes.
    pub(crate) answered_twice: usize,
    /// Whether each address was answered by the nodes that it should be, in that order, and by no other.
    pub(crate) in_order: bool,
}

/// All runs of a commit, and what they come to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    commit: String,
    release_build: bool,
    runs: BTreeMap<Scenario, Vec<Run>>,
    #[serde(default)]
    figures: BTreeMap<Scenario, Figures>,
    #[serde(default)]
    pub(crate) missed: Vec<String>,
}

/// Of one scenario, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Figures {
    runs: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    unanswered: usize,
    answered_twice: usize,
    out_of_order: usize,
}

impl Report {
    /// An empty one, or the runs of an earlier file of the same commit.
    pub(crate) fn start(commit: &str, resume: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = resume else {
            return Ok(Self {
                commit: commit.to_owned(),
                release_build: !cfg!(debug_assertions),
                runs: BTreeMap::new(),
                figures: BTreeMap::new(),
                missed: Vec::new(),
            });
        };
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let report: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not a report", file.display()))?;
        ensure!(
            report.commit == commit && report.release_build != cfg!(debug_assertions),
            "{} is of commit {:?}, not of {commit:?}: start a new file",
            file.display(),
            report.commit
        );
        Ok(report)
    }

    pub(crate) fn add(&mut self, scenario: Scenario, run: Run) {
        self.runs.entry(scenario).or_default().push(run);
    }

    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(file, text).with_context(|| format!("write {}", file.display()))
    }

    /// Makes the figures anew, and says which bounds do not hold.
    pub(crate) fn judge(&mut self) {
        self.figures = self.runs.iter().map(|(scenario, runs)| (*scenario, Figures::of(runs))).collect();
        self.missed = self.figures.iter().flat_map(|(scenario, figures)| figures.missed(*scenario)).collect();
    }
}

impl Figures {
    fn of(runs: &[Run]) -> Self {
        let mut gaps: Vec<u64> = runs.iter().flat_map(|run| run.gaps_us.iter().copied()).collect();
        gaps.sort_unstable();
        let at = |percent: usize| {
            let place = (gaps.len() * percent).div_ceil(100).saturating_sub(1);
            gaps.get(place).map_or(f64::NAN, |gap| *gap as f64 / 1_000.0)
        };
        Self {
            runs: runs.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
            unanswered: runs.iter().map(|run| run.unanswered).sum(),
            answered_twice: runs.iter().map(|run| run.answered_twice).sum(),
            out_of_order: runs.iter().filter(|run| !run.in_order).count(),
        }
    }

    fn missed(&self, scenario: Scenario) -> Vec<String> {
        let name = scenario.name();
        let mut missed = Vec::new();
        if scenario == Scenario::Control {
            // Without a take-over the recorder has to see that nobody answers.
            if self.unanswered == 0 || self.p50_ms < 1_000.0 {
                missed.push(format!(
                    "{name}: nobody could take over, and yet {} requests were unanswered",
                    self.unanswered
                ));
            }
            return missed;
        }
        if self.out_of_order > 0 {
            missed.push(format!(
                "{name}: in {} of {} runs other nodes answered than should",
                self.out_of_order, self.runs
            ));
        }
        if let Some((p99, max)) = scenario.bounds() {
            let ms = |bound: Duration| bound.as_secs_f64() * 1_000.0;
            if self.p99_ms >= ms(p99) || self.max_ms >= ms(max) {
                missed.push(format!(
                    "{name}: p99 {:.0} ms, most {:.0} ms; to reach is under {} and {}",
                    self.p99_ms,
                    self.max_ms,
                    ms(p99),
                    ms(max)
                ));
            }
        }
        if scenario.is_planned() && self.unanswered > 0 {
            missed.push(format!("{name}: {} requests unanswered; to reach is 0", self.unanswered));
        }
        missed
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gaps: Vec<String> = self.gaps_us.iter().map(|gap| format!("{:.1} ms", *gap as f64 / 1_000.0)).collect();
        write!(
            f,
            "{}; {} of {} unanswered, {} twice{}",
            gaps.join(", "),
            self.unanswered,
            self.sent,
            self.answered_twice,
            if self.in_order { "" } else { ", OUT OF ORDER" }
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario      runs      p50      p99      max  unanswered  twice  out of order")?;
        for (scenario, figures) in &self.figures {
            let Figures { runs, p50_ms, p99_ms, max_ms, unanswered, answered_twice, out_of_order } = figures;
            writeln!(
                f,
                "{:<12} {runs:>5} {p50_ms:>8.1} {p99_ms:>8.1} {max_ms:>8.1} {unanswered:>11} {answered_twice:>6} {out_of_order:>13}",
                scenario.name()
            )?;
        }
        Ok(())
    }
}
