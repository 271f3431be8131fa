//! What may stand where in the tree, checked before anything is written.

use std::collections::BTreeMap;

use kogge_model::fault::Faults;

use crate::node::Subtree;
use crate::path::TreePath;

/// Services stand at this depth: `/environment/app/service`. Groups stand above it.
pub const MAX_DEPTH: usize = 3;
const MAX_META_BYTES: usize = 64 << 10;

/// Checks `content`, to be put at `path`.
///
/// # Errors
/// All faults at once; fields are paths from `path` down, then the spec's own.
pub(crate) fn check_subtree(path: &TreePath, content: &Subtree) -> Result<(), Faults> {
    let mut faults = Faults::default();
    collect_faults(path, content, "", &mut faults);
    faults.finish(())
}

/// Checks the notes of a group at `path`.
///
/// # Errors
/// All faults at once.
pub(crate) fn check_meta(path: &TreePath, meta: &BTreeMap<String, String>) -> Result<(), Faults> {
    let mut faults = Faults::default();
    check_group_depth(path, "", &mut faults);
    collect_meta_faults(meta, "", &mut faults);
    faults.finish(())
}

fn collect_faults(path: &TreePath, content: &Subtree, prefix: &str, faults: &mut Faults) {
    match content {
        Subtree::Service(spec) => {
            faults.check(path.depth() == MAX_DEPTH, format!("{prefix}kind"), || {
                format!("a service stands at /ENVIRONMENT/APP/SERVICE, not at {path}")
            });
            for fault in spec.validate().err().map(|found| found.0).unwrap_or_default() {
                faults.check(false, format!("{prefix}{}", fault.field), || fault.rule);
            }
        }
        Subtree::Group { meta, children } => {
            check_group_depth(path, prefix, faults);
            collect_meta_faults(meta, prefix, faults);
            for (name, child) in children {
                collect_faults(&path.child(name.clone()), child, &format!("{prefix}{name}/"), faults);
            }
        }
    }
}

fn check_group_depth(path: &TreePath, prefix: &str, faults: &mut Faults) {
    faults.check(path.depth() < MAX_DEPTH, format!("{prefix}kind"), || {
        format!("a group stands at /ENVIRONMENT or /ENVIRONMENT/APP, not at {path}")
    });
}

fn collect_meta_faults(meta: &BTreeMap<String, String>, prefix: &str, faults: &mut Faults) {
    let size: usize = meta.iter().map(|(key, value)| key.len() + value.len()).sum();
    faults.check(size <= MAX_META_BYTES, format!("{prefix}meta"), || {
        format!("{size} bytes are more than {MAX_META_BYTES}")
    });
}
