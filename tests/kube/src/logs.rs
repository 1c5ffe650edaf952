//! Keeps the logs of a cluster whose test did not come to its end: the lab takes its files with it.

use std::{fs, io, path::Path};

use lb_tests::need::workspace;

/// Copies them to `target/kube-logs/<lab>` and says so. A drop calls it, so that it cannot fail.
pub(crate) fn keep(logs: &Path) {
    // …/<lab>/plane/logs
    let lab = logs.ancestors().nth(2).and_then(Path::file_name).unwrap_or_default();
    let kept = workspace().join("target/kube-logs").join(lab);
    match copy(logs, &kept) {
        Ok(()) => tell(&format!("the cluster's logs are kept in {}", kept.display())),
        Err(error) => tell(&format!("the cluster's logs in {} could not be kept: {error}", logs.display())),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "it is for whoever reads why the test failed")]
fn tell(text: &str) {
    eprintln!("{text}");
}
