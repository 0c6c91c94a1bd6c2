//! Arbitrary bytes as the records of a block: each offset is whole or damaged, and none is both or neither.

#![no_main]

use libfuzzer_sys::fuzz_target;

// The module alone: its crate would bring the runtime into this build.
#[allow(dead_code)]
#[path = "../../journal/src/format.rs"]
mod format;

use format::{BlockHeader, Entries, Entry, SegmentHeader, put_record};

fuzz_target!(|bytes: &[u8]| {
    SegmentHeader::decode(bytes);
    BlockHeader::decode(bytes);
    let Some((&count, records)) = bytes.split_first() else {
        return;
    };
    cover(u32::from(count), records);

    // A block that was whole, with the bytes written over it.
    let mut block = Vec::new();
    for offset in 0..u64::from(count) {
        put_record(&mut block, offset, offset, &[&[count; 20]]);
    }
    let end = block.len().min(records.len());
    block[..end].copy_from_slice(&records[..end]);
    cover(u32::from(count), &block);
});

fn cover(count: u32, records: &[u8]) {
    let header = BlockHeader {
        base: 0,
        bytes: records.len() as u32,
        count,
    };
    let mut next = 0;
    for entry in Entries::of(&header, records) {
        let covered = match entry {
            Entry::Record { offset, body, .. } => {
                assert!(body.end <= records.len());
                offset..offset + 1
            }
            Entry::Damaged(offsets) => offsets,
        };
        assert_eq!(covered.start, next);
        assert!(covered.end > next);
        next = covered.end;
    }
    assert_eq!(next, u64::from(count));
}
