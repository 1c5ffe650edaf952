//! The names that Kubernetes gives to objects. A name that passes here is also safe as a file name.

/// An RFC 1123 subdomain, as most kinds are named: at most 253 characters of `a-z0-9.-`, each part between dots
/// beginning and ending with a letter or digit.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_part)
}

/// An RFC 1123 label, as namespaces and Services are named: a subdomain without dots of at most 63 characters.
pub fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_part(name)
}

fn is_part(part: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = part.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}
