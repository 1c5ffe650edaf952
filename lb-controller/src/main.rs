//! The controller's process: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    lb_controller::main(&lb_controller::Args::parse())
}
