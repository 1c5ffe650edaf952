//! The golden table notices faults: twenty-two named mutations of `lb-common`, each of which must break a golden frame.
//!
//! Each is a replacement in one file of a copy of the crate; the copy's golden test must build and fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One fault: its name, the file, what stands there and what is put in its place.
struct Mutation {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const MUTATIONS: [Mutation; 22] = [
    Mutation {
        name: "the reply keeps the opcode of the request",
        file: "src/arp.rs",
        from: "[*o0, *o1] = REPLY;",
        to: "[*o0, *o1] = REQUEST;",
    },
    Mutation {
        name: "the reply names the asker as its sender",
        file: "src/arp.rs",
        from: "[*s0, *s1, *s2, *s3] = request.target;",
        to: "[*s0, *s1, *s2, *s3] = request.sender;",
    },
    Mutation {
        name: "unicast requests are not for us",
        file: "src/arp.rs",
        from: "addresses.destination != segment.mac && addresses.destination != eth::BROADCAST",
        to: "addresses.destination != eth::BROADCAST",
    },
    Mutation { name: "a group address may be a sender", file: "src/eth.rs", from: "mac[0] & 1 == 0 && ", to: "" },
    Mutation {
        name: "the priority bits belong to the VLAN identifier",
        file: "src/eth.rs",
        from: "const VLAN_ID_MASK: u16 = 0x0fff;",
        to: "const VLAN_ID_MASK: u16 = 0xffff;",
    },
    Mutation {
        name: "any hop limit will do",
        file: "src/ndp.rs",
        from: "if hop_limit != 255 {",
        to: "if hop_limit == 0 {",
    },
    Mutation {
        name: "the checksum is not looked at",
        file: "src/ndp.rs",
        from: "if sum.fold() != 0xffff {",
        to: "if sum.fold() == 0 {",
    },
    Mutation {
        name: "duplicate address detection is answered as solicited",
        file: "src/ndp.rs",
        from: "            flags: OVERRIDE,\n",
        to: "            flags: OVERRIDE | SOLICITED,\n",
    },
    Mutation {
        name: "an option of length 0 is skipped",
        file: "src/ndp.rs",
        from: "length != 0 && length <= count - index",
        to: "length <= count - index",
    },
    Mutation {
        name: "suppress entries are answered",
        file: "src/tables.rs",
        from: "if entry.action != Action::Answer as u8 || segment.role",
        to: "if segment.role",
    },
    Mutation {
        name: "a stranger's announcement is a claim",
        file: "src/sighting.rs",
        from: "let is_node = station == Some(Station::Node as u32);",
        to: "let is_node = true;",
    },
    Mutation {
        name: "of two simultaneous claims the higher hardware address stays",
        file: "src/sighting.rs",
        from: "number(&segment.mac) < number(claimant)",
        to: "number(&segment.mac) > number(claimant)",
    },
    Mutation {
        name: "an answer to a probe is a claim",
        file: "src/ndp.rs",
        from: "if message.is_solicited { 0 } else { flag::ANNOUNCEMENT }",
        to: "flag::ANNOUNCEMENT",
    },
    Mutation {
        name: "an advertisement speaks for its Ethernet source",
        file: "src/ndp.rs",
        from: "let mac = message.options.link_layer.unwrap_or(addresses.source);",
        to: "let mac = addresses.source;",
    },
    Mutation {
        name: "what gave way to a claim answers again",
        file: "src/tables.rs",
        from: "entry.generation as u64 <= tables.yielded(entry.slot)",
        to: "(entry.generation as u64) < tables.yielded(entry.slot)",
    },
    Mutation {
        name: "what a reflector sent is reflected",
        file: "src/bfd/reflect.rs",
        from: "if flags & DEMAND == 0 {",
        to: "if flags & MULTIPOINT != 0 {",
    },
    Mutation {
        name: "a poll of a router is answered without F",
        file: "src/bfd/stand_in.rs",
        from: "if self.flags & POLL != 0 { FINAL } else { 0 }",
        to: "if self.flags & FINAL != 0 { FINAL } else { 0 }",
    },
    Mutation {
        name: "a router that is Down is answered Up",
        file: "src/bfd/stand_in.rs",
        from: "if self.flags >> 6 != State::Up as u8 {",
        to: "if self.flags >> 6 == State::Init as u8 {",
    },
    Mutation {
        name: "a router is answered while the agent sends",
        file: "src/bfd/stand_in.rs",
        from: "if !is_away {",
        to: "if is_away && !is_away {",
    },
    Mutation {
        name: "a router may be slower than it waits",
        file: "src/bfd/stand_in.rs",
        from: "interval + 2 * beat <=",
        to: "interval + beat <=",
    },
    Mutation {
        name: "a sum of zero is sent as zero",
        file: "src/bfd/reflect.rs",
        from: "[0, 0] => [0xff, 0xff],",
        to: "[0, 0] => [0, 0],",
    },
    Mutation {
        name: "a sender without a checksum gets one",
        file: "src/bfd/reflect.rs",
        from: "if [c0, c1] == [0, 0] {",
        to: "if [c0, c1] == [0xff, 0xff] {",
    },
];

const MANIFEST: &str = "[package]\nname = \"lb-common\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
    [features]\nuser = []\nhost = []\n\n[[test]]\nname = \"golden\"\nrequired-features = [\"host\"]\n\n[workspace]\n";

#[test]
fn each_of_these_faults_breaks_a_golden_frame() {
    let folder = std::env::temp_dir().join(format!("herald-mutations-{}", std::process::id()));
    let copy = Copy::make(folder);
    assert!(copy.golden().success, "the copy without a fault passes:\n{}", copy.golden().output);
    for mutation in &MUTATIONS {
        let path = copy.folder.join(mutation.file);
        let before = fs::read_to_string(&path).expect("the file of the mutation");
        assert_eq!(before.matches(mutation.from).count(), 1, "{}: the text stands there once", mutation.name);
        fs::write(&path, before.replace(mutation.from, mutation.to)).expect("the mutation is written");

        let run = copy.golden();

        assert!(run.output.contains("test result:"), "{}: the mutant builds:\n{}", mutation.name, run.output);
        assert!(!run.success, "no golden frame notices: {}", mutation.name);
        fs::write(&path, before).expect("the file is put back");
    }
}

/// A copy of the crate, without what the golden test does not need. Removed on drop.
struct Copy {
    folder: PathBuf,
}

struct Run {
    success: bool,
    output: String,
}

impl Copy {
    fn make(folder: PathBuf) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lb-common");
        copy_tree(&source.join("src"), &folder.join("src"));
        copy_tree(&source.join("golden"), &folder.join("golden"));
        fs::create_dir_all(folder.join("tests")).expect("a folder");
        fs::copy(source.join("tests/golden.rs"), folder.join("tests/golden.rs")).expect("the golden test");
        fs::write(folder.join("Cargo.toml"), MANIFEST).expect("a manifest");
        Self { folder }
    }

    fn golden(&self) -> Run {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--offline", "--quiet", "--features", "host", "--test", "golden"])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .output()
            .expect("cargo runs");
        let text = [output.stdout, output.stderr].concat();
        Run { success: output.status.success(), output: String::from_utf8_lossy(&text).into_owned() }
    }
}

impl Drop for Copy {
    #[expect(clippy::print_stderr, reason = "a folder that stays is no fault of the code under test")]
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file is copied");
        }
    }
}
