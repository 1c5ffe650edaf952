//! The layout as the OCI specification has it, judged from outside: every descriptor leads to a blob of its size and
//! digest, and the layer holds what was named and nothing else.

use std::collections::BTreeSet;

use super::*;

/// A program of this machine that is small and linked as ours are.
const PROGRAM: &str = "/bin/true";

fn layout(folder: &Path) -> Result<(String, Vec<(PathBuf, PathBuf)>)> {
    let program = Path::new(PROGRAM);
    let files = files(program, &libraries(program)?);
    let digest = write(folder, &Image { name: "true", user: "65532:65532", files: &files })?;
    Ok((digest, files))
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).expect("it is there")).expect("it is JSON")
}

/// The blob of a descriptor, after a look at its size and digest.
fn blob(folder: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let file = folder.join("blobs/sha256").join(digest.strip_prefix("sha256:").expect("of this algorithm"));
    assert_eq!(format!("sha256:{}", sha256(&file).expect("readable")), digest);
    assert_eq!(fs::metadata(&file).expect("it is there").len(), descriptor["size"].as_u64().expect("a size"));
    file
}

#[test]
fn every_descriptor_leads_to_its_blob_and_the_layer_holds_the_program_and_its_libraries_only() -> Result<()> {
    let folder = tempfile::tempdir()?;

    let (digest, files) = layout(folder.path())?;

    assert_eq!(json_of(&folder.path().join("oci-layout")), json!({ "imageLayoutVersion": "1.0.0" }));
    let index = json_of(&folder.path().join("index.json"));
    let described = &index["manifests"][0];
    assert_eq!(described["digest"], digest.as_str());
    let manifest = json_of(&blob(folder.path(), described));
    let config = json_of(&blob(folder.path(), &manifest["config"]));
    let layer = blob(folder.path(), &manifest["layers"][0]);
    assert_eq!(manifest["schemaVersion"], 2);
    assert_eq!(config["config"]["Entrypoint"], json!(["/true"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    // Not compressed, so that the layer is what its difference is.
    assert_eq!(config["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]));

    let listed = process::read(Command::new("tar").arg("--list").arg("--file").arg(&layer))?;
    let packed: BTreeSet<_> =
        listed.lines().filter(|name| !name.ends_with('/')).map(|name| format!("/{name}")).collect();
    let named: BTreeSet<_> = files.iter().map(|(_, at)| at.to_string_lossy().into_owned()).collect();
    assert_eq!(packed, named);
    let blobs = fs::read_dir(folder.path().join("blobs/sha256"))?.count();
    assert_eq!(blobs, 3, "a layer, a configuration, a manifest");
    packed_alone(&folder.path().join("root"), "true")?;
    Ok(())
}

#[test]
fn equal_programs_make_equal_images() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (first, _) = layout(&folder.path().join("a"))?;
    let (second, _) = layout(&folder.path().join("b"))?;
    assert_eq!(first, second);
    Ok(())
}

#[test]
fn libraries_are_read_from_what_ldd_prints() {
    // glibc's ldd: the kernel's own object has no file, the loader stands without an arrow.
    let text = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1a)\n\
                \t/lib64/ld-linux-x86-64.so.2 (0x00007f1b)\n";
    let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
    assert_eq!(listed(text), expected);
    assert_eq!(listed("\tnot a dynamic executable\n"), Vec::<PathBuf>::new());
}
