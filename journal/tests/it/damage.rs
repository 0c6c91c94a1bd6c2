//! Bytes change on the disk: what is damaged is told, and never served.

use std::collections::BTreeMap;
use std::sync::Arc;

use loom_journal::{Log, OpenError};
use proptest::prelude::*;

use crate::support::{MemoryDisk, contents, settle, small};

/// Bytes of the empty block at the end of a segment that is complete. It carries no record.
const SEAL: usize = 24;

/// A closed journal of several segments with blocks of one and of several records.
fn written() -> (MemoryDisk, BTreeMap<u64, Vec<u8>>) {
    let disk = MemoryDisk::default();
    let (journal, _) = Log::open_on(Arc::new(disk.clone()), small()).expect("new");
    let mut expected = BTreeMap::new();
    for number in 0..60_u64 {
        let body = vec![number as u8; 20 + number as usize];
        let ticket = journal.append(number, &[&body]).expect("taken");
        expected.insert(ticket.offset, body);
        if number % 4 == 0 {
            settle(&journal, ticket).expect("committed");
        }
    }
    drop(journal);
    (disk, expected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_changed_byte_costs_what_it_touches_and_is_told(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let (disk, expected) = written();
        let names = disk.names();
        let name = file.get(&names);
        let mut is_in_seal = false;
        disk.change(name, |bytes| {
            let at = at.index(bytes.len());
            is_in_seal = at + SEAL >= bytes.len();
            bytes[at] ^= flip;
        });
        let (journal, found) = match Log::open_on(Arc::new(disk.clone()), small()) {
            Ok(opened) => opened,
            // The header of a segment.
            Err(OpenError::NotASegment { name: named, .. }) => {
                prop_assert_eq!(&named, name);
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        let (records, damaged) = contents(&journal);
        for (offset, body) in &records {
            prop_assert_eq!(Some(body), expected.get(offset));
        }
        prop_assert_eq!(records.len() as u64 + damaged, journal.end());
        let lost = expected.len() - records.len();
        prop_assert!(lost > 0 || is_in_seal, "every byte is covered");
        prop_assert!(lost <= 60 / 2, "{lost} for one byte");
        prop_assert!(damaged > 0 || found.torn_bytes > 0 || is_in_seal, "it is told");
    }

    #[test]
    fn a_file_cut_short_anywhere_is_told(
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let (disk, expected) = written();
        let names = disk.names();
        let name = file.get(&names);
        let is_newest = name == names.last().expect("some");
        let mut is_in_seal = false;
        disk.change(name, |bytes| {
            let at = at.index(bytes.len());
            is_in_seal = at + SEAL >= bytes.len();
            bytes.truncate(at);
        });
        match Log::open_on(Arc::new(disk.clone()), small()) {
            Ok((journal, _)) => {
                let (records, damaged) = contents(&journal);
                for (offset, body) in &records {
                    prop_assert_eq!(Some(body), expected.get(offset));
                }
                prop_assert_eq!(records.len() as u64 + damaged, journal.end());
                prop_assert!(is_newest || is_in_seal || damaged > 0);
            }
            Err(error) => prop_assert!(matches!(error, OpenError::NotASegment { .. }), "{error}"),
        }
    }
}

#[test]
fn other_files_are_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("notes.txt"), "mine").expect("written");
    let (journal, _) = Log::open(directory.path(), small()).expect("new");
    drop(journal);
    let notes = std::fs::read_to_string(directory.path().join("notes.txt"));
    assert_eq!(notes.expect("it is there"), "mine");
}
