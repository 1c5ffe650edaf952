//! The runs as they are kept, and the figures that are made of them.

use std::{collections::BTreeMap, fmt, fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::{flows, scenario::Scenario};

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
    /// What unmodified clients had, by flow.
    #[serde(default)]
    pub(crate) flows: flows::All,
    /// The first announcements of the new holder, where many addresses move.
    #[serde(default)]
    pub(crate) announced: Option<Announced>,
}

/// The first announcements of all addresses of a node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Announced {
    /// Addresses that moved.
    pub(crate) addresses: usize,
    /// Of these announced.
    pub(crate) heard: usize,
    /// From the first of these announcements to the last, in microseconds.
    pub(crate) spread_us: u64,
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
    flows: BTreeMap<Scenario, BTreeMap<String, FlowFigures>>,
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
    /// The longest of the times between the first and the last of 1,000 first announcements.
    #[serde(default)]
    spread_ms: Option<f64>,
    /// Addresses that were never announced.
    #[serde(default)]
    unannounced: usize,
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
                flows: BTreeMap::new(),
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
        self.flows = self.runs.iter().map(|(scenario, runs)| (*scenario, flow_figures(runs))).collect();
        let asked = self.figures.iter().flat_map(|(scenario, figures)| figures.missed(*scenario));
        let of_flows = |(scenario, flows): (&Scenario, &BTreeMap<String, FlowFigures>)| {
            flows.iter().flat_map(|(name, flow)| flow.missed(*scenario, name)).collect::<Vec<_>>()
        };
        self.missed = asked.chain(self.flows.iter().flat_map(of_flows)).collect();
    }
}

impl Figures {
    fn of(runs: &[Run]) -> Self {
        let at = percentiles(runs.iter().flat_map(|run| run.gaps_us.iter().copied()));
        let announced = || runs.iter().filter_map(|run| run.announced);
        Self {
            runs: runs.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
            unanswered: runs.iter().map(|run| run.unanswered).sum(),
            answered_twice: runs.iter().map(|run| run.answered_twice).sum(),
            out_of_order: runs.iter().filter(|run| !run.in_order).count(),
            spread_ms: announced().map(|announced| announced.spread_us as f64 / 1_000.0).reduce(f64::max),
            unannounced: announced().map(|announced| announced.addresses - announced.heard).sum(),
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
        if self.unannounced > 0 || self.spread_ms.is_some_and(|spread| spread > SPREAD_MS) {
            missed.push(format!(
                "{name}: {} addresses were not announced, the last up to {:.0} ms behind the first; to reach is 0 and {SPREAD_MS}",
                self.unannounced,
                self.spread_ms.unwrap_or_default()
            ));
        }
        if scenario.is_planned() && self.unanswered > 0 {
            missed.push(format!("{name}: {} requests unanswered; to reach is 0", self.unanswered));
        }
        missed
    }
}

/// The last of 1,000 addresses may be announced this long after the first.
const SPREAD_MS: f64 = 100.0;

/// Of one kind of flow in one scenario, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct FlowFigures {
    flows: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    asked: usize,
    answered: usize,
    broken: usize,
}

fn flow_figures(runs: &[Run]) -> BTreeMap<String, FlowFigures> {
    let mut by_name: BTreeMap<String, Vec<flows::Flowed>> = BTreeMap::new();
    for (name, flow) in runs.iter().flat_map(|run| &run.flows) {
        by_name.entry(name.clone()).or_default().push(*flow);
    }
    let of = |flows: Vec<flows::Flowed>| {
        let at = percentiles(flows.iter().map(|flow| flow.gap_us));
        FlowFigures {
            flows: flows.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
            asked: flows.iter().map(|flow| flow.asked).sum(),
            answered: flows.iter().map(|flow| flow.answered).sum(),
            broken: flows.iter().filter(|flow| flow.broken).count(),
        }
    };
    by_name.into_iter().map(|(name, flows)| (name, of(flows))).collect()
}

impl FlowFigures {
    /// UDP is back within the bound of the address itself; a planned move breaks no stream and fails no connection. How
    /// soon a stream goes on after a death is TCP's to say, and only reported.
    fn missed(&self, scenario: Scenario, name: &str) -> Vec<String> {
        let mut missed = Vec::new();
        let told = scenario.name();
        if let Some((p99, max)) = scenario.bounds().filter(|_| name.starts_with("udp")) {
            let ms = |bound: Duration| bound.as_secs_f64() * 1_000.0;
            if self.p99_ms >= ms(p99) || self.max_ms >= ms(max) {
                missed.push(format!(
                    "{told}: {name} p99 {:.0} ms, most {:.0} ms without an answer",
                    self.p99_ms, self.max_ms
                ));
            }
        }
        if scenario.is_planned() && self.broken > 0 {
            missed.push(format!("{told}: {} of {} {name} streams broke", self.broken, self.flows));
        }
        if scenario.is_planned() && name.starts_with("connect") && self.answered < self.asked {
            missed.push(format!("{told}: {} of {} new {name} failed", self.asked - self.answered, self.asked));
        }
        missed
    }
}

/// The value below which so many in 100 are, in thousandths.
fn percentiles(values: impl Iterator<Item = u64>) -> impl Fn(usize) -> f64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    move |percent| {
        let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
        values.get(place).map_or(f64::NAN, |value| *value as f64 / 1_000.0)
    }
}

impl Run {
    /// Each gap, or of many the longest.
    fn gaps_shown(&self) -> String {
        let ms = |gap: &u64| format!("{:.1} ms", *gap as f64 / 1_000.0);
        match self.gaps_us.as_slice() {
            few @ ([] | [_] | [_, _]) => few.iter().map(ms).collect::<Vec<_>>().join(", "),
            many => format!("up to {}", many.iter().max().map(ms).unwrap_or_default()),
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; {} of {} unanswered, {} twice{}",
            self.gaps_shown(),
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
            let Figures { runs, p50_ms, p99_ms, max_ms, unanswered, answered_twice, out_of_order, .. } = figures;
            writeln!(
                f,
                "{:<12} {runs:>5} {p50_ms:>8.1} {p99_ms:>8.1} {max_ms:>8.1} {unanswered:>11} {answered_twice:>6} {out_of_order:>13}",
                scenario.name()
            )?;
            if let Some(spread) = figures.spread_ms {
                writeln!(f, "{:<12} the last first announcement {spread:.1} ms behind the first at most", "")?;
            }
        }
        writeln!(f, "flow                       count      p50      p99      max     asked  answered  broken")?;
        for (scenario, flows) in &self.flows {
            for (name, flow) in flows {
                let FlowFigures { flows, p50_ms, p99_ms, max_ms, asked, answered, broken } = flow;
                writeln!(
                    f,
                    "{:<12} {name:<12} {flows:>6} {p50_ms:>8.1} {p99_ms:>8.1} {max_ms:>8.1} {asked:>9} {answered:>9} {broken:>7}",
                    scenario.name()
                )?;
            }
        }
        Ok(())
    }
}
