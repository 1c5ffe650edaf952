//! Starting other programs: with progress, as root, or with their output read line by line.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::exit;

/// How often a long step says that it is still running.
const PROGRESS: Duration = Duration::from_secs(5);
/// How many of a failed step's last lines are shown.
const TAIL: usize = 40;

/// One line of a program's output.
#[derive(Debug)]
pub(crate) enum Line {
    Out(String),
    Err(String),
}

/// Runs a command with its output on ours; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {}", name(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", describe(command));
    }
    Ok(())
}

/// What a command prints on standard output; an error with its standard error if it fails.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {}", name(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", describe(command), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("reading the output of {}", name(command)))
}

/// Runs a long command silently, with a line every few seconds; shows its last lines if it fails.
pub(crate) fn run_with_progress(label: &str, command: &mut Command) -> Result<()> {
    println!("{label} …");
    let started = Instant::now();
    let mut next = PROGRESS;
    let mut tail = Vec::new();
    let status = stream(command, Duration::from_secs(3600), |event| match event {
        Some(Line::Out(line) | Line::Err(line)) => {
            if tail.len() == TAIL {
                tail.remove(0);
            }
            tail.push(line);
        }
        None if started.elapsed() >= next => {
            println!("{label}: {} s", started.elapsed().as_secs());
            next = started.elapsed() + PROGRESS;
        }
        None => {}
    })?;
    if !status.success() {
        bail!("{label} failed ({status}); its last lines:\n{}", tail.join("\n"));
    }
    println!("{label}: done in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Runs a command and hands over each line as it comes, and `None` about once a second. Past `limit` the command and
/// everything it started is told to end, and that is an error.
pub(crate) fn stream(
    command: &mut Command,
    limit: Duration,
    mut each: impl FnMut(Option<Line>),
) -> Result<std::process::ExitStatus> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {}", name(command)))?;
    let lines = lines(&mut child)?;
    let started = Instant::now();
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => each(Some(line)),
            Err(mpsc::RecvTimeoutError::Timeout) => each(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if started.elapsed() > limit {
            end(child.id())?;
            child.wait().with_context(|| format!("waiting for {}", name(command)))?;
            bail!("{} was ended after {} s", describe(command), limit.as_secs());
        }
    }
    child.wait().with_context(|| format!("waiting for {}", name(command)))
}

/// Both outputs of a child as one channel that closes when both are closed.
fn lines(child: &mut Child) -> Result<mpsc::Receiver<Line>> {
    let (sender, lines) = mpsc::channel();
    let out = child.stdout.take().context("standard output is piped")?;
    let err = child.stderr.take().context("standard error is piped")?;
    forward(out, sender.clone(), Line::Out);
    forward(err, sender, Line::Err);
    Ok(lines)
}

fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<Line>, line: fn(String) -> Line) {
    thread::spawn(move || {
        for bytes in BufReader::new(from).split(b'\n').map_while(io::Result::ok) {
            if to.send(line(String::from_utf8_lossy(&bytes).into_owned())).is_err() {
                return;
            }
        }
    });
}

/// Asks a process and all its descendants to end. What runs as root is asked by root.
fn end(pid: u32) -> Result<()> {
    let mut pids = vec![pid];
    let parents = parents()?;
    let mut seen = 0;
    while let Some(&parent) = pids.get(seen) {
        pids.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| child));
        seen += 1;
    }
    // Children first, so that none is adopted before it is asked. A process that is gone already is no failure.
    let pids = pids.iter().rev().map(u32::to_string);
    as_root("kill")?.arg("-TERM").args(pids).stderr(Stdio::null()).status().context("ending what runs too long")?;
    Ok(())
}

/// Every process with its parent, from `/proc/*/stat`.
fn parents() -> Result<Vec<(u32, u32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("reading /proc")? {
        let path = entry.context("reading /proc")?.path();
        let pid = path.file_name().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
        // A process may end while the list is read.
        let (Some(pid), Ok(stat)) = (pid, fs::read_to_string(path.join("stat"))) else { continue };
        // The name in parentheses may hold anything; the state and the parent follow its last one.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    Ok(parents)
}

/// A command that runs as root: itself when we are root, through sudo otherwise.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    let Some(sudo) = sudo()? else { return Ok(Command::new(program)) };
    let mut words = sudo.split(' ');
    let mut command = Command::new(words.next().unwrap_or("sudo"));
    command.args(words).arg(program);
    Ok(command)
}

/// The words that make a command run as root; `None` when we are root already.
pub(crate) fn sudo() -> Result<Option<String>> {
    if nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    if find("sudo").is_none() {
        return Err(exit::missing("this step needs root: install sudo, or run the command as root"));
    }
    // Without a terminal nobody can type a password.
    let ask = if io::stdin().is_terminal() { "" } else { "--non-interactive " };
    Ok(Some(format!("sudo {ask}--preserve-env")))
}

/// The file of a program, as a shell would find it; root's folders count although a user's PATH may lack them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// `PATH` with a folder in front.
pub(crate) fn path_with(first: &Path) -> Result<std::ffi::OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(first.to_owned()).chain(env::split_paths(&path));
    env::join_paths(dirs).context("a folder in PATH has a colon in its name")
}

fn name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The command as one would type it.
fn describe(command: &Command) -> String {
    let words = command.get_args().map(OsStr::to_string_lossy);
    std::iter::once(name(command).into()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_runs_too_long_is_ended_with_its_children() {
        let started = Instant::now();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 61; echo late"]);

        let error = stream(&mut shell, Duration::from_secs(1), |_| {}).expect_err("it runs too long");

        assert!(error.to_string().contains("ended after 1 s"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn both_outputs_arrive_line_by_line() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo one; echo two >&2; exit 7"]);

        let status = stream(&mut shell, Duration::from_secs(60), |line| match line {
            Some(Line::Out(line)) => out.push(line),
            Some(Line::Err(line)) => err.push(line),
            None => {}
        })
        .expect("sh starts");

        assert_eq!((out, err, status.code()), (vec!["one".into()], vec!["two".into()], Some(7)));
    }

    #[test]
    fn a_failed_step_shows_its_last_lines() {
        let error = run_with_progress("a step", Command::new("sh").args(["-c", "echo the reason; exit 1"]));
        assert!(error.expect_err("it fails").to_string().ends_with("the reason"));
    }
}
