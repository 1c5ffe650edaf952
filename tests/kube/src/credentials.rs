//! Who may talk to a cluster, and how each side knows the other: a certificate authority of the cluster's own, the
//! API server's certificate, the key that signs service account tokens, and a token for each identity.
//!
//! Must not: outlive the cluster. Everything is made anew for each and stands in its folder.

use std::{
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType};

/// The groups and names that the API server's own roles are bound to.
const ADMIN: (&str, &str) = ("admin", "system:masters");
const NODES: &str = "system:nodes";

/// Somebody with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name of its files, and of its user unless that is given.
    pub name: String,
    /// The user that the API server sees.
    pub user: String,
    /// The groups that it sees.
    pub groups: Vec<String>,
}

impl Identity {
    /// A user without any group: RBAC gives it nothing.
    pub fn user(name: &str) -> Self {
        Self { name: name.to_owned(), user: name.to_owned(), groups: Vec::new() }
    }

    /// May do everything.
    pub(crate) fn admin() -> Self {
        Self { groups: vec![ADMIN.1.to_owned()], ..Self::user(ADMIN.0) }
    }

    /// A program of the control plane, under the user that Kubernetes binds its role to.
    pub(crate) fn component(name: &str, user: &str) -> Self {
        Self { user: user.to_owned(), ..Self::user(name) }
    }

    /// What a kubelet is to the Node authorizer.
    pub(crate) fn node(name: &str) -> Self {
        Self { user: format!("system:node:{name}"), groups: vec![NODES.to_owned()], ..Self::user(name) }
    }
}

/// The files of a cluster's credentials.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    folder: PathBuf,
    server: String,
}

impl Credentials {
    /// Makes all of them below `folder`. `names` and `addresses` are what clients call the API server by; `server` is
    /// the URL that stands in kubeconfigs.
    pub(crate) fn make(
        folder: &Path,
        server: &str,
        names: &[&str],
        addresses: &[IpAddr],
        identities: &[Identity],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let made = Self { folder: folder.to_owned(), server: server.to_owned() };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "the lab's certificate authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &ca)?;

        made.write("ca.crt", &ca.pem())?;
        made.write("server.crt", &certificate.pem())?;
        made.write("server.key", &key.serialize_pem())?;
        let accounts = KeyPair::generate()?;
        made.write("service-accounts.key", &accounts.serialize_pem())?;
        made.write("service-accounts.pub", &accounts.public_key_pem())?;
        made.write_identities(&ca.pem(), identities)?;
        Ok(made)
    }

    /// A file by its name: `ca.crt`, `server.crt`, `server.key`, `service-accounts.key`, `service-accounts.pub`,
    /// `tokens.csv`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The kubeconfig of an identity.
    pub(crate) fn kubeconfig(&self, identity: &str) -> PathBuf {
        self.file(&format!("{identity}.kubeconfig"))
    }

    fn write_identities(&self, ca: &str, identities: &[Identity]) -> anyhow::Result<()> {
        let mut tokens = String::new();
        for (uid, identity) in identities.iter().enumerate() {
            let token = secret()?;
            let Identity { name, user, groups } = identity;
            writeln!(tokens, "{token},{user},{uid},\"{}\"", groups.join(",")).context("write to a string")?;
            let text = serde_json::to_string_pretty(&self.kubeconfig_of(ca, name, &token)).context("encode")?;
            self.write(&format!("{name}.kubeconfig"), &text)?;
        }
        self.write("tokens.csv", &tokens)
    }

    /// JSON is YAML, too.
    fn kubeconfig_of(&self, ca: &str, name: &str, token: &str) -> serde_json::Value {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "lab", "cluster": {
                "server": self.server,
                "certificate-authority-data": base64(ca.as_bytes()),
            }}],
            "users": [{ "name": name, "user": { "token": token } }],
            "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": name } }],
            "current-context": "lab",
        })
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let file = self.file(name);
        fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }
}

/// 128 random bits as text.
fn secret() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes).context("read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    // The very type that Kubernetes' objects carry bytes in encodes them so.
    let encoded = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec()));
    encoded.ok().and_then(|value| value.as_str().map(str::to_owned)).expect("bytes encode as a string")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_encoded_as_rfc_4648_does() {
        // Section 10.
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
        assert_eq!(base64(b"fo"), "Zm8=");
    }

    #[test]
    fn a_node_is_in_the_group_that_its_role_is_bound_to() {
        let node = Identity::node("node-1");
        assert_eq!((node.user.as_str(), &node.groups[..]), ("system:node:node-1", &["system:nodes".to_owned()][..]));
    }
}
