//! What the controller shows of itself. The loop alone writes it.

use std::sync::Arc;

use lb_plan::controller::Figures;
use lb_store::Rejection;

/// The state after the last pass.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// Digest of the users' files that the last settled pass had seen. A pass is settled when it leaves nothing to do,
    /// or nothing that could be done.
    pub(crate) manifests: Arc<str>,
    /// Passes so far.
    pub(crate) passes: u64,
    /// Whether every kind has been read.
    pub(crate) synced: bool,
    /// What users wrote and cannot be used.
    pub(crate) rejections: Arc<Vec<Rejection>>,
    /// What the last pass could not write.
    pub(crate) failures: Vec<String>,
    /// What there is.
    pub(crate) figures: Figures,
}
