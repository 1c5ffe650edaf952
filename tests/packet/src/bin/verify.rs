//! Asks the kernel's verifier about an object: loads every program, prints what the kernel made of it.
#![expect(clippy::print_stdout, reason = "a developer's command")]

use anyhow::{Context, Result};
use aya::{
    Ebpf,
    programs::{Program, SchedClassifier},
};

fn main() -> Result<()> {
    let object = std::env::args().nth(1).context("usage: verify OBJECT")?;
    let bytes = std::fs::read(&object).with_context(|| format!("reading {object}"))?;
    let mut ebpf = Ebpf::load(&bytes).context("loading the object")?;
    for (name, program) in ebpf.programs_mut() {
        let loaded = if let Program::Xdp(xdp) = program {
            xdp.load()
        } else {
            let classifier: &mut SchedClassifier = program.try_into()?;
            classifier.load()
        };
        loaded.with_context(|| format!("the verifier refuses {name}"))?;
        let info = program.info()?;
        let verified = info.verified_instruction_count().map_or_else(|| "?".to_owned(), |count| count.to_string());
        let (translated, jited) = (info.size_translated().unwrap_or_default() / 8, info.size_jitted());
        println!("{name}: accepted, {verified} instructions verified, {translated} translated, {jited} bytes of code");
    }
    Ok(())
}
