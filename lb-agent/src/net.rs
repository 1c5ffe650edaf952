//! The kernel's network state: reading links and addresses, following their changes, changing host settings.
//!
//! One netlink connection for requests and another for events: a change made on the connection that listens is
//! taken for the reply and never seen.

pub(crate) mod addresses;
pub(crate) mod datagram;
pub(crate) mod device;
pub(crate) mod events;
pub(crate) mod links;
pub(crate) mod poll;
pub(crate) mod received;
pub(crate) mod sysctl;

use tokio::task::JoinHandle;

/// The connection for requests.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) handle: rtnetlink::Handle,
    driver: JoinHandle<()>,
}

impl Requests {
    /// Connects. Needs a running runtime.
    pub(crate) fn connect() -> std::io::Result<Self> {
        let (connection, handle, _messages) = rtnetlink::new_connection()?;
        Ok(Self { handle, driver: tokio::spawn(connection) })
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Whether a request failed with this error number.
#[expect(clippy::wildcard_enum_match_arm, reason = "only the kernel's own errors have a number")]
pub(crate) fn is_errno(error: &rtnetlink::Error, errno: i32) -> bool {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code() == -errno,
        _ => false,
    }
}
