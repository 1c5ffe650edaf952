//! `cargo xtask image`: an OCI image for each daemon, made without a container daemon: the program, the shared libraries
//! that it is linked with, and nothing else (ADR 0035).
//!
//! Must not: depend on what the machine has besides the program's libraries. Equal programs make equal images: names are
//! sorted, times are zero, owners are root.
//!
//! Specifications: OCI image layout, image configuration and image manifest, version 1.0.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{bench, ebpf, exit::Passed, process, workspace::Workspace};

/// The daemons, and as which user each runs unless its Pod says otherwise.
const DAEMONS: [(&str, &str); 2] = [("lb-agent", "0:0"), ("lb-controller", "65532:65532")];
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Arguments of `image`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the images go; without it `target/images`.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Packs the programs of the debug build.
    #[arg(long)]
    debug: bool,
}

/// `cargo xtask image`.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<Passed> {
    ebpf::build(workspace, None)?;
    let mut build = bench::daemons(workspace);
    if !args.debug {
        build.arg("--release");
    }
    process::run(&mut build)?;
    let built = workspace.target().join(if args.debug { "debug" } else { "release" });
    let to = args.to.clone().unwrap_or_else(|| workspace.target().join("images"));
    for (name, user) in DAEMONS {
        let program = built.join(name);
        let folder = to.join(name);
        let files = files(&program, &libraries(&program)?);
        let digest = write(&folder, &Image { name, user, files: &files })?;
        let said = packed_alone(&folder.join("root"), name)?;
        fs::remove_dir_all(folder.join("root")).context("removing the unpacked root")?;
        let archive = to.join(format!("{name}.tar"));
        tar(&folder, &archive)?;
        println!("{}: {digest}, {} files ({})", archive.display(), files.len(), said.trim());
    }
    Ok(Passed::Whole)
}

/// What an image is made of.
struct Image<'a> {
    name: &'a str,
    user: &'a str,
    /// Files of this machine and where they go.
    files: &'a [(PathBuf, PathBuf)],
}

fn files(program: &Path, libraries: &[PathBuf]) -> Vec<(PathBuf, PathBuf)> {
    let at = Path::new("/").join(program.file_name().unwrap_or_default());
    let libraries = libraries.iter().map(|library| (library.clone(), library.clone()));
    std::iter::once((program.to_owned(), at)).chain(libraries).collect()
}

/// The shared libraries and the loader of a program, under the names that the loader looks for; none of a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("starting ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(!text.contains("not found"), "{}: a library is missing:\n{text}", program.display());
    Ok(listed(&text))
}

/// The absolute paths in what `ldd` prints. Pure.
fn listed(ldd: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ldd
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(PathBuf::from)
        .collect();
    found.sort();
    found
}

/// Writes an image layout into a folder of its own, and returns the manifest's digest. The layer's files stay beside it
/// in `root/`.
fn write(folder: &Path, image: &Image<'_>) -> Result<String> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let (root, blobs) = (folder.join("root"), folder.join("blobs/sha256"));
    fs::create_dir_all(&blobs).with_context(|| format!("creating {}", blobs.display()))?;
    for (source, at) in image.files {
        let to = root.join(at.strip_prefix("/").unwrap_or(at));
        fs::create_dir_all(to.parent().unwrap_or(&root)).with_context(|| format!("creating the folder of {to:?}"))?;
        // What a link leads to, under the link's name.
        fs::copy(source, &to).with_context(|| format!("copying {}", source.display()))?;
    }
    let part = folder.join("layer.tar");
    tar(&root, &part)?;
    let layer = keep(&blobs, &part, LAYER)?;
    let config = put(&blobs, &configuration(image, &layer), CONFIG)?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut manifest = put(&blobs, &manifest, MANIFEST)?;
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    let reference = format!("{}:{}", image.name, env!("CARGO_PKG_VERSION"));
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": reference });
    manifest["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    fs::write(folder.join("index.json"), index.to_string()).context("writing index.json")?;
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).context("writing oci-layout")?;
    Ok(digest)
}

fn configuration(image: &Image<'_>, layer: &Value) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": [format!("/{}", image.name)],
            "User": image.user,
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": image.name,
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
    })
}

/// As Go names it, which the specification asks for.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn put(blobs: &Path, content: &Value, media_type: &str) -> Result<Value> {
    let part = blobs.join("part");
    fs::write(&part, content.to_string()).with_context(|| format!("writing {}", part.display()))?;
    keep(blobs, &part, media_type)
}

/// Moves a file to the place of its digest, and describes it.
fn keep(blobs: &Path, part: &Path, media_type: &str) -> Result<Value> {
    let digest = sha256(part)?;
    let size = fs::metadata(part).with_context(|| format!("looking at {}", part.display()))?.len();
    fs::rename(part, blobs.join(&digest)).with_context(|| format!("keeping {}", part.display()))?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size }))
}

fn sha256(file: &Path) -> Result<String> {
    let said = process::read(Command::new("sha256sum").arg("--binary").arg(file))?;
    said.split_whitespace().next().map(str::to_owned).context("sha256sum printed nothing")
}

/// The same bytes for the same content, wherever and whenever.
fn tar(folder: &Path, to: &Path) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=ustar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mode=u+rwX,go+rX,go-w"]).arg("--file").arg(to).arg("--directory").arg(folder);
    let mut names: Vec<_> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
    names.sort();
    process::run(tar.args(names))
}

/// What the packed program says of its version when it has the packed libraries and no others.
fn packed_alone(root: &Path, name: &str) -> Result<String> {
    let program = root.join(name);
    let mut found = Vec::new();
    collect(root, &mut found)?;
    let loader =
        found.iter().find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")));
    let mut command = match loader {
        Some(loader) => {
            let folders: std::collections::BTreeSet<_> =
                found.iter().filter(|file| **file != program).filter_map(|file| file.parent()).collect();
            let mut command = Command::new(loader);
            command.args(["--inhibit-cache", "--library-path"]).arg(env::join_paths(folders)?).arg(&program);
            command
        }
        None => Command::new(&program),
    };
    process::read(command.arg("--version")).with_context(|| format!("{name} does not run by what was packed"))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
