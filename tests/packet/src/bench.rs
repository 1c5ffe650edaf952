//! How long the program takes for one frame, net of an empty program in the same round.
//!
//! Method: `bench_run` (see `lb-ebpf/src/bin/lab.rs`) is repeated by the kernel's test run; on every pass it restores
//! the frame, drains the store buffer and tail-calls the subject. All subjects are interleaved in every round, the
//! empty one among them; a figure is the median over the rounds of (subject − empty). Time is the thread's CPU time.
//! Before it is timed, a subject must give its verdict and bytes after 1, 2, 3 and 100 repeats.

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf,
    maps::{Array, HashMap, PerCpuArray, ProgramArray},
    programs::{ProgramFd, TestRun, TestRunOptions},
};
use nix::time::{ClockId, clock_gettime};

use crate::kernel::xdp;

/// The longest template, as in the object.
const TEMPLATE: usize = 96;

/// The template map's value.
#[repr(C)]
#[derive(Clone, Copy)]
struct Template {
    bytes: [u8; TEMPLATE],
    length: u64,
}

// SAFETY: `repr(C)`, integers only, no padding: 96 is a multiple of 8.
unsafe impl aya::Pod for Template {}

/// The object of the lab, loaded.
pub struct Bench {
    ebpf: Ebpf,
}

/// A frame and what must become of it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The frame.
    pub input: Vec<u8>,
    /// The XDP action.
    pub action: u32,
    /// The frame afterwards.
    pub output: Vec<u8>,
}

impl Bench {
    /// Loads every program of `lab.o`.
    pub fn load(object: &std::path::Path) -> Result<Self> {
        let mut ebpf = Ebpf::load_file(object).context("loading lab.o")?;
        for (name, program) in ebpf.programs_mut() {
            let program: &mut aya::programs::Xdp = program.try_into()?;
            program.load().with_context(|| format!("the verifier refuses {name}"))?;
        }
        Ok(Self { ebpf })
    }

    /// Tells the reference responder which addresses it answers for.
    pub fn fill(&mut self, addresses: impl Iterator<Item = [u8; 4]>, mac: [u8; 6]) -> Result<()> {
        let mut map: HashMap<_, [u8; 4], [u8; 6]> =
            HashMap::try_from(self.ebpf.map_mut("ADDRESSES").context("no map ADDRESSES")?)?;
        for address in addresses {
            map.insert(address, mac, 0)?;
        }
        Ok(())
    }

    /// A program of the lab's object, as a subject.
    pub fn program(&mut self, name: &str) -> Result<ProgramFd> {
        Ok(xdp(&mut self.ebpf, name)?.fd()?.try_clone()?)
    }

    /// The loaded object, to attach its programs.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Puts the frame that the next runs work on.
    pub fn template(&mut self, frame: &[u8]) -> Result<()> {
        let mut template = Template { bytes: [0; TEMPLATE], length: frame.len() as u64 };
        template.bytes.get_mut(..frame.len()).context("the frame is longer than the template")?.copy_from_slice(frame);
        let mut map: Array<_, Template> = Array::try_from(self.ebpf.map_mut("TEMPLATES").context("no map TEMPLATES")?)?;
        map.set(0, template, 0)?;
        Ok(())
    }

    /// Makes `subject` what `bench_run` calls.
    pub fn subject(&mut self, subject: &ProgramFd) -> Result<()> {
        let mut map = ProgramArray::try_from(self.ebpf.map_mut("SUBJECT").context("no map SUBJECT")?)?;
        map.set(0, subject, 0)?;
        Ok(())
    }

    /// Fails unless the subject gives the case's verdict and bytes whatever the number of repeats.
    pub fn check(&mut self, case: &Case) -> Result<()> {
        for repeat in [1, 2, 3, 100] {
            let mut output = vec![0; 256];
            let options = TestRunOptions {
                data_in: Some(&case.input),
                data_out: Some(&mut output),
                repeat,
                ..TestRunOptions::default()
            };
            let result = xdp(&mut self.ebpf, "bench_run")?.test_run(options)?;
            output.truncate(result.data_size_out as usize);
            ensure!(result.return_value == case.action, "repeat {repeat}: action {}", result.return_value);
            ensure!(output == case.output, "repeat {repeat}: {output:02x?} instead of {:02x?}", case.output);
        }
        Ok(())
    }

    /// CPU nanoseconds per pass over `repeat` passes.
    pub fn time(&mut self, input: &[u8], repeat: u32) -> Result<f64> {
        let options = TestRunOptions { data_in: Some(input), repeat, ..TestRunOptions::default() };
        let program = xdp(&mut self.ebpf, "bench_run")?;
        let before = thread_nanos()?;
        program.test_run(options)?;
        Ok((thread_nanos()? - before) / f64::from(repeat))
    }

    /// Frames that the sink counted as replies.
    pub fn received(&mut self) -> Result<u64> {
        let map: PerCpuArray<_, u64> =
            PerCpuArray::try_from(self.ebpf.map_mut("RECEIVED").context("no map RECEIVED")?)?;
        Ok(map.get(&0, 0)?.iter().sum())
    }
}

/// CPU time of this thread, in nanoseconds.
fn thread_nanos() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64)
}

/// Minimum, median and maximum.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Spread {
    /// Least.
    pub min: f64,
    /// Middle.
    pub median: f64,
    /// Greatest.
    pub max: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        Some(Self { min, median: *figures.get(figures.len() / 2)?, max })
    }
}
