//! Reads as much of a BPF object as its sizes need: which functions it has, and how many instructions each.
//!
//! ELF64, little endian, as `bpf-linker` writes it. Anything else is refused by name. Spec: System V ABI, "Object
//! files" (section headers, symbol table).

/// A function of the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The section it is in; for a program, what kind it is.
    pub(crate) section: String,
    /// In instructions of 8 bytes; a 64-bit immediate counts as two, as the kernel counts.
    pub(crate) instructions: u64,
}

/// Why an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElfError {
    #[error("not a little-endian ELF64 file")]
    NotElf,
    #[error("an ELF file, but not for BPF")]
    NotBpf,
    #[error("an ELF file whose tables point past its end")]
    Truncated,
}

const INSTRUCTION: u64 = 8;
const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;
/// `e_machine` of BPF.
const EM_BPF: u64 = 247;
/// `sh_type` of a symbol table.
const SHT_SYMTAB: u64 = 2;
/// Low four bits of `st_info` of a function.
const STT_FUNC: u64 = 2;

struct Section<'a> {
    name: u64,
    kind: u64,
    link: u64,
    bytes: &'a [u8],
}

/// The functions that programs call: those that the compiler brings along are there unused.
pub(crate) fn called(functions: &[Function]) -> impl Iterator<Item = &Function> {
    let brought = ["memcpy", "memmove", "memset", "memcmp"];
    functions.iter().filter(move |function| function.section == ".text" && !brought.contains(&function.name.as_str()))
}

/// Every function with a size, in the order of the symbol table.
pub(crate) fn functions(elf: &[u8]) -> Result<Vec<Function>, ElfError> {
    // 64 bits, little endian.
    if elf.get(..6) != Some(b"\x7fELF\x02\x01".as_slice()) {
        return Err(ElfError::NotElf);
    }
    if number(elf, 18, 2)? != EM_BPF {
        return Err(ElfError::NotBpf);
    }
    let sections = sections(elf)?;
    let names = sections.get(at(number(elf, 62, 2)?)?).ok_or(ElfError::Truncated)?;
    let mut functions = Vec::new();
    for table in sections.iter().filter(|section| section.kind == SHT_SYMTAB) {
        let strings = sections.get(at(table.link)?).ok_or(ElfError::Truncated)?;
        for symbol in table.bytes.chunks_exact(SYMBOL) {
            let size = number(symbol, 16, 8)?;
            if number(symbol, 4, 1)? & 0xf != STT_FUNC || size == 0 {
                continue;
            }
            let home = sections.get(at(number(symbol, 6, 2)?)?).ok_or(ElfError::Truncated)?;
            functions.push(Function {
                name: text(strings.bytes, number(symbol, 0, 4)?)?,
                section: text(names.bytes, home.name)?,
                instructions: size / INSTRUCTION,
            });
        }
    }
    Ok(functions)
}

fn sections(elf: &[u8]) -> Result<Vec<Section<'_>>, ElfError> {
    /// `sh_type` of a section that takes no place in the file.
    const SHT_NOBITS: u64 = 8;
    let table = elf.get(at(number(elf, 40, 8)?)?..).ok_or(ElfError::Truncated)?;
    let headers = table.chunks_exact(SECTION_HEADER).take(at(number(elf, 60, 2)?)?);
    headers
        .map(|header| {
            let kind = number(header, 4, 4)?;
            let from = at(number(header, 24, 8)?)?;
            let length = if kind == SHT_NOBITS { 0 } else { at(number(header, 32, 8)?)? };
            let bytes = elf.get(from..).and_then(|rest| rest.get(..length)).ok_or(ElfError::Truncated)?;
            Ok(Section { name: number(header, 0, 4)?, kind, link: number(header, 40, 4)?, bytes })
        })
        .collect()
}

/// A little-endian number of up to 8 bytes.
fn number(bytes: &[u8], offset: usize, length: usize) -> Result<u64, ElfError> {
    let field = bytes.get(offset..offset + length).ok_or(ElfError::Truncated)?;
    Ok(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn at(offset: u64) -> Result<usize, ElfError> {
    // An offset that no address space holds is past the end of any file.
    usize::try_from(offset).or(Err(ElfError::Truncated))
}

/// The zero-terminated text at an offset of a string table.
fn text(strings: &[u8], offset: u64) -> Result<String, ElfError> {
    let rest = strings.get(at(offset)?..).ok_or(ElfError::Truncated)?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(ElfError::Truncated)?;
    Ok(String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned())
}

#[cfg(test)]
mod tests;
