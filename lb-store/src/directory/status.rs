//! Statuses that Herald wrote: reading them, and which one of several an object has.
//!
//! They stand in files of their own, one folder per writer, so that nobody writes another's file. The newest counts as
//! a whole, as after a write to a server's status subresource.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{apply::is_gone, cache::Overlay, layout, reader::Id, state::State};
use crate::{Key, document::Document};

impl State {
    pub(crate) fn read_status(&mut self, path: &Path, writer: String, plural: &str, key: Key) {
        let Some(index) = self.kinds.iter().position(|kind| kind.plural == plural) else { return };
        // The name that the object's own keys share.
        let id = (index, key);
        let id = self.owners.get_key_value(&id).map(|(id, _)| id.clone()).unwrap_or(id);
        let overlay = match std::fs::read_to_string(self.root.join(path)) {
            Err(error) if is_gone(&error) => None,
            Err(error) => return tracing::warn!(path = %path.display(), %error, "keep the status last read"),
            Ok(text) => match overlay(writer, &text) {
                Some(overlay) => Some(overlay),
                None => return tracing::warn!(path = %path.display(), "ignore a status that does not parse"),
            },
        };
        let statuses = self.statuses.entry(id.clone()).or_default();
        let old = match &overlay {
            Some(overlay) => statuses.insert(self.tree.shared(path), overlay.clone()),
            None => statuses.remove(path),
        };
        if statuses.is_empty() {
            self.statuses.remove(&id);
        }
        if old == overlay {
            return;
        }
        self.stale = true;
        if !self.owners.contains_key(&id) {
            self.gone.insert(id);
            return;
        }
        let created = self.created(&id);
        let overlay = self.overlay(&id, created.as_deref()).cloned();
        if let Some(cache) = &mut self.caches[id.0] {
            cache.restatus(&id.1, overlay.as_ref());
        }
    }

    /// When an object of Herald's was made; `None` for a user's, which comes back under its name as the same.
    pub(crate) fn created(&self, id: &Id) -> Option<String> {
        self.owner(id).filter(|owner| !owner.by_user)?;
        self.caches[id.0].as_ref()?.created(&id.1)
    }

    /// The newest status that was written for this object and not for a predecessor of the same name.
    pub(crate) fn overlay(&self, id: &Id, created: Option<&str>) -> Option<&Overlay> {
        let fits = |overlay: &&Overlay| match (created, &overlay.created) {
            (Some(object), Some(status)) => object == status,
            _ => true,
        };
        self.statuses.get(id)?.values().filter(fits).max_by_key(|overlay| (overlay.version, &*overlay.writer))
    }

    /// Removes this writer's statuses of objects that are gone, so that a new object of the name starts without.
    pub(crate) fn clear_gone(&mut self) {
        let Some(folder) = layout::status_folder(&self.writer) else { return self.gone.clear() };
        for id in std::mem::take(&mut self.gone) {
            let doubted = self.is_doubted(&id);
            let path: PathBuf = layout::status(&folder, &self.kinds[id.0].plural, &id.1);
            if doubted || self.owners.contains_key(&id) || !self.root.join(&path).exists() {
                continue;
            }
            if let Err(error) = std::fs::remove_file(self.root.join(&path)) {
                tracing::warn!(path = %path.display(), %error, "remove the status of an object that is gone");
            }
            self.read(&path, false);
            self.gone.remove(&id);
        }
    }
}

/// Reads a status file.
fn overlay(writer: String, text: &str) -> Option<Overlay> {
    let value = Document { line: 1, text }.value().ok()?;
    let field = |path: &str| value.pointer(path).and_then(Value::as_str);
    Some(Overlay {
        version: field("/metadata/resourceVersion")?.parse().ok()?,
        writer: writer.into(),
        created: field("/metadata/creationTimestamp").map(str::to_owned),
        status: value.get("status").unwrap_or(&Value::Null).to_string().into(),
    })
}
