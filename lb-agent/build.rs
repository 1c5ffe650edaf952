//! Puts the kernel program's object where `lb_agent` embeds it from.
//!
//! `HERALD_EBPF_OBJECT` names a prebuilt object; otherwise it is what `cargo xtask build-ebpf` wrote. Builds nothing.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=HERALD_EBPF_OBJECT");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let built = manifest.join("../target/bpf/herald.o");
    let object = env::var_os("HERALD_EBPF_OBJECT").map_or(built, PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("herald.o");
    if let Err(error) = fs::copy(&object, &out) {
        println!(
            "cargo::error=the kernel program {} cannot be read ({error}): run `cargo xtask build-ebpf` first, or name \
             a prebuilt object in HERALD_EBPF_OBJECT",
            object.display()
        );
    }
}
