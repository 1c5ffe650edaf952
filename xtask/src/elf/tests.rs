//! An object written byte by byte from the System V ABI, read back.

use super::*;

/// One section "xdp" of 24 bytes with the function `answer` in it, and an object symbol that must not count.
fn object() -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(64, 0);
    elf[18..20].copy_from_slice(&247u16.to_le_bytes());
    let program = append(&mut elf, &[0; 24]);
    let strings = append(&mut elf, b"\0answer\0table\0xdp\0");
    let mut symbols = vec![0; SYMBOL];
    symbols.extend(symbol(1, 2, 1, 24));
    symbols.extend(symbol(8, 1, 1, 16));
    let symbols = append(&mut elf, &symbols);
    let headers = elf.len() as u64;
    elf.extend([0; SECTION_HEADER]);
    elf.extend(header(14, 1, program, 0));
    elf.extend(header(0, 3, strings, 0));
    elf.extend(header(0, 2, symbols, 2));
    elf[40..48].copy_from_slice(&headers.to_le_bytes());
    elf[60..62].copy_from_slice(&4u16.to_le_bytes());
    elf[62..64].copy_from_slice(&2u16.to_le_bytes());
    elf
}

fn append(elf: &mut Vec<u8>, bytes: &[u8]) -> (u64, u64) {
    let from = elf.len() as u64;
    elf.extend(bytes);
    (from, bytes.len() as u64)
}

fn symbol(name: u32, info: u8, section: u16, size: u64) -> Vec<u8> {
    let mut symbol = name.to_le_bytes().to_vec();
    symbol.extend([info, 0]);
    symbol.extend(section.to_le_bytes());
    symbol.extend(0u64.to_le_bytes());
    symbol.extend(size.to_le_bytes());
    symbol
}

fn header(name: u32, kind: u32, (from, length): (u64, u64), link: u32) -> Vec<u8> {
    let mut header = name.to_le_bytes().to_vec();
    header.extend(kind.to_le_bytes());
    header.extend([0; 16]);
    header.extend(from.to_le_bytes());
    header.extend(length.to_le_bytes());
    header.extend(link.to_le_bytes());
    header.resize(SECTION_HEADER, 0);
    header
}

#[test]
fn a_function_is_counted_in_instructions_and_data_is_not() {
    let answer = Function { name: "answer".into(), section: "xdp".into(), instructions: 3 };
    assert_eq!(functions(&object()), Ok(vec![answer]));
}

#[test]
fn a_function_outside_of_programs_is_called_unless_the_compiler_brings_it() {
    let function = |name: &str, section: &str| Function { name: name.into(), section: section.into(), instructions: 3 };
    let functions = [function("lb_responder", "xdp.frags"), function("memcpy", ".text"), function("respond", ".text")];
    assert_eq!(called(&functions).collect::<Vec<_>>(), [&functions[2]]);
}

#[test]
fn another_machine_and_another_file_are_refused_by_name() {
    let mut host = object();
    host[18] = 62;
    assert_eq!(functions(&host), Err(ElfError::NotBpf));
    assert_eq!(functions(b"#!/bin/sh\n"), Err(ElfError::NotElf));
}

#[test]
fn an_object_cut_anywhere_is_refused_and_never_panics() {
    let whole = object();
    for length in 0..whole.len() {
        assert!(functions(&whole[..length]).is_err() || functions(&whole[..length]) == Ok(vec![]), "{length}");
    }
}
