//! How a request lies in the spool: packed by LZ4, with its length before it.
//!
//! Spans repeat their keys, so a request shrinks to a fifth. Packing takes less time than the kernel needs to copy what
//! it saves into the page cache, which was the greatest cost of accepting a span.

/// The bytes do not unpack, or to another length than they say.
#[derive(Debug, thiserror::Error)]
#[error("a spooled request cannot be unpacked: {0}")]
pub(crate) struct UnpackError(#[from] lz4_flex::block::DecompressError);

/// Packs a request.
pub(crate) fn pack(request: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(request)
}

/// Undoes [`pack`].
///
/// # Errors
/// The bytes were not made by it. The spool's checksums keep damaged ones away from here.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
    Ok(lz4_flex::block::decompress_size_prepended(packed)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(request in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(unpack(&pack(&request)).expect("packed"), request);
        }

        #[test]
        fn a_cut_is_seen(request in prop::collection::vec(any::<u8>(), 1..500), cut in 1usize..500) {
            let packed = pack(&request);
            prop_assert!(unpack(&packed[..packed.len().saturating_sub(cut)]).is_err());
        }
    }
}
