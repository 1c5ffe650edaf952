//! `crdgen DIR` writes the CustomResourceDefinitions into DIR; `crdgen --check DIR` fails if they differ from it.
//!
//! Exit codes: 0 done, or no difference; 1 they differ, or cannot be read or written; 2 wrong arguments.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer's command talks on standard output")]

use std::{fs, path::PathBuf, process::ExitCode};

use lb_api::crd;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (check, folder) = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--check", folder] => (true, PathBuf::from(folder)),
        [folder] if !folder.starts_with('-') => (false, PathBuf::from(folder)),
        _ => {
            eprintln!("usage: crdgen [--check] DIR");
            return ExitCode::from(2);
        }
    };
    let mut good = true;
    for (name, text) in crd::files() {
        let path = folder.join(name);
        let done = if check { compare(&path, &text) } else { write(&path, &text) };
        if let Err(problem) = done {
            eprintln!("{}: {problem}", path.display());
            good = false;
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(path: &PathBuf, text: &str) -> Result<(), String> {
    match fs::read_to_string(path) {
        Ok(there) if there == text => Ok(()),
        Ok(_) => Err("differs from the types: run `crdgen` on this folder and commit the result".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| error.to_string())?;
    println!("{}", path.display());
    Ok(())
}
