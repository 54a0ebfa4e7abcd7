//! Which execution provider of ONNX Runtime computes which part of a model.
#![expect(unsafe_code, reason = "`ort` has no safe way to ask for the assignment of nodes")]

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::ffi::c_char;
use std::ptr;
use std::slice;

use ort::AsPointer;
use ort::session::Session;
use ort::sys::OrtStatusPtr;

use super::protocol::ProviderShare;

/// The session option that keeps the assignment (ONNX Runtime 1.24).
pub const RECORD: &str = "session.record_ep_graph_assignment_info";

/// The share of each provider, in the order of their names; `None` if the library does not tell, or
/// the session was made without [`RECORD`].
pub fn of(session: &Session) -> Option<Vec<ProviderShare>> {
    let api = ort::api();
    let (mut parts, mut count) = (ptr::null(), 0);
    // SAFETY: the session lives; both places are valid for a write.
    is_ok(unsafe {
        (api.Session_GetEpGraphAssignmentInfo)(session.ptr(), &mut parts, &mut count)
    })?;
    let mut shares: BTreeMap<String, ProviderShare> = BTreeMap::new();
    // SAFETY: so many pointers lie there, and they live as long as the session.
    for part in unsafe { all(parts, count) } {
        let (mut name, mut nodes, mut count): (*const c_char, _, _) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the part lives as long as the session; the places are valid for a write.
        is_ok(unsafe { (api.EpAssignedSubgraph_GetEpName)(*part, &mut name) })?;
        is_ok(unsafe { (api.EpAssignedSubgraph_GetNodes)(*part, &mut nodes, &mut count) })?;
        if name.is_null() {
            return None;
        }
        // SAFETY: a text that ends with a zero, which lives as long as the session.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let share =
            shares.entry(name.clone()).or_insert(ProviderShare { name, nodes: 0, partitions: 0 });
        share.nodes += count as u64;
        share.partitions += 1;
    }
    Some(shares.into_values().collect())
}

/// `None` for an error, which is released.
fn is_ok(status: OrtStatusPtr) -> Option<()> {
    // SAFETY: the status was just given by the library, and is not used again.
    unsafe { ort::Error::result_from_status(status) }.ok()
}

/// # Safety
///
/// So many values lie there for as long as the result is used; or `count` is 0.
unsafe fn all<'a, T>(values: *const T, count: usize) -> &'a [T] {
    match values.is_null() || count == 0 {
        true => &[],
        // SAFETY: as above.
        false => unsafe { slice::from_raw_parts(values, count) },
    }
}
