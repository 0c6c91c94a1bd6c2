//! A disk that is full, and one that fails.

use std::sync::Arc;

use loom_journal::{AppendError, Log};

use crate::support::{MemoryDisk, contents, settle, small};

#[test]
fn a_full_disk_refuses_and_takes_again_when_it_has_room() {
    let disk = MemoryDisk::default();
    disk.set_room(Some(2500));
    let (journal, _) = Log::open_on(Arc::new(disk.clone()), small()).expect("new");
    let mut committed = 0;
    let error = loop {
        let ticket = journal.append(0, &[&[3; 100]]).expect("taken");
        match settle(&journal, ticket) {
            Ok(()) => committed += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, AppendError::Refused(cause) if cause.kind() == std::io::ErrorKind::StorageFull),
        "{error}"
    );
    assert!(committed > 5, "{committed}");
    assert_eq!(contents(&journal).0.len(), committed);

    disk.set_room(None);
    let ticket = journal.append(0, &[b"again"]).expect("taken");
    settle(&journal, ticket).expect("there is room");
    drop(journal);
    let (journal, found) = Log::open_on(Arc::new(disk), small()).expect("it opens");
    assert_eq!((found.torn_bytes, found.damaged.len()), (0, 0));
    let (records, damaged) = contents(&journal);
    assert_eq!((records.len(), damaged), (committed + 1, 0));
    assert_eq!(records[committed].1, b"again");
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_any_more() {
    let disk = MemoryDisk::default();
    let (journal, _) = Log::open_on(Arc::new(disk.clone()), small()).expect("new");
    let ticket = journal.append(0, &[b"kept"]).expect("taken");
    settle(&journal, ticket).expect("committed");
    disk.fail_syncs();
    let ticket = journal.append(0, &[b"unknown"]).expect("taken");
    let error = settle(&journal, ticket).expect_err("the sync failed");
    assert!(matches!(error, AppendError::Halted(_)), "{error}");
    let refused = journal.append(0, &[b"late"]);
    assert!(
        matches!(refused, Err(AppendError::Halted(_))),
        "{refused:?}"
    );
    // What was committed before is still read.
    assert_eq!(contents(&journal).0, [(0, b"kept".to_vec())]);
}
