//! A real control plane over the lab's nodes: etcd, the API server, the controllers, the scheduler and kube-proxy are
//! the published programs, built by `cargo xtask`; a pod runner of ours stands in for kubelet.
//!
//! Must not: mock anything of Kubernetes. What the runner does and does not do stands in this package's README.
//!
//! Everything lives in the network namespaces of one lab, so that clusters stand side by side with the same addresses
//! and ports, and everything of a cluster goes with its lab, on a panic too.

mod access;
mod agents;
mod cluster;
mod credentials;
pub mod init;
pub mod install;
mod kubectl;
mod logs;
mod net;
pub mod plane;
pub mod programs;
pub mod runner;

pub use access::Access;
pub use cluster::{Cluster, ClusterShape, ProxyMode};
pub use credentials::Identity;
pub use kubectl::Kubectl;
pub use plane::{Plane, PlaneShape};
pub use runner::{BackOff, Image, Images};
