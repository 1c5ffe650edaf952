//! The result as a table for people and as JSON for programs.

use serde_json::{Value, json};

use crate::{
    frozen::Frozen,
    proof::{Answerer, Proof},
};

const HEAD: [&str; 6] = ["ADDRESS", "HOLDER", "MAC", "ANSWERED BY", "ANSWER TIME", "HTTP ANSWER"];

/// The table for people.
pub(crate) fn text(proofs: &[Proof]) -> String {
    let rows: Vec<[String; 6]> = [HEAD.map(str::to_owned)].into_iter().chain(proofs.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// The table for programs.
pub(crate) fn json(proofs: &[Proof], frozen: &Frozen, failures: &[String]) -> Value {
    let addresses: Vec<_> = proofs
        .iter()
        .map(|proof| {
            let (answered_by, mode) = match &proof.answerer {
                Answerer::Xdp { node, mode } => (vec![node.clone()], format!("XDP {mode:?}").to_lowercase()),
                Answerer::Kernel => (Vec::new(), "kernel".to_owned()),
                Answerer::Several(nodes) => (nodes.clone(), "several".to_owned()),
            };
            json!({
                "address": proof.address,
                "holder": proof.holder,
                "macs": proof.macs.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "answeredBy": answered_by,
                "answeredHow": mode,
                "answerMicroseconds": proof.answer_time.map(|time| time.as_nanos() as f64 / 1000.0),
                "answers": proof.answers,
                "page": proof.page,
            })
        })
        .collect();
    json!({ "passed": failures.is_empty(), "failures": failures, "addresses": addresses, "stoppedAgent": frozen })
}

fn row(proof: &Proof) -> [String; 6] {
    let mut macs = proof.macs.clone();
    macs.sort_unstable();
    macs.dedup();
    [
        proof.address.to_string(),
        proof.holder.clone(),
        macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        proof.answerer.to_string(),
        proof.answer_time.map_or("-".to_owned(), |time| format!("{time:.1?}")),
        proof.page.clone(),
    ]
}
