//! Append, commit, read and retain, on a real directory.

use std::time::Duration;

use loom_journal::{AppendError, Log, LogConfig, OpenError, SyncPolicy};

use crate::support::{contents, settle, small};

#[test]
fn what_is_committed_is_there_after_the_next_open() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, found) = Log::open(directory.path(), small()).expect("new");
    assert_eq!(found.next, 0);
    for number in 0..100_u64 {
        let ticket = journal
            .append(number, &[b"number ", number.to_string().as_bytes()])
            .expect("taken");
        assert_eq!(ticket.offset, number);
        if number % 10 == 9 {
            settle(&journal, ticket).expect("committed");
        }
    }
    let before = contents(&journal);
    assert_eq!(before.0.len(), 100);
    drop(journal);

    let (journal, found) = Log::open(directory.path(), small()).expect("it opens again");
    assert_eq!((found.next, found.torn_bytes), (100, 0));
    assert!(found.segments > 1, "small segments");
    assert_eq!(contents(&journal), before);
    let ticket = journal.append(100, &[b"more"]).expect("taken");
    settle(&journal, ticket).expect("committed");
    assert_eq!(contents(&journal).0.last(), Some(&(100, b"more".to_vec())));
}

#[test]
fn one_process_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_first, _) = Log::open(directory.path(), small()).expect("new");
    let second = Log::open(directory.path(), small());
    assert!(matches!(second, Err(OpenError::InUse { .. })), "{second:?}");
}

#[test]
fn a_read_is_as_large_as_asked_and_goes_on_where_it_ended() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = LogConfig {
        sync: SyncPolicy::Never,
        ..LogConfig::default()
    };
    let (journal, _) = Log::open(directory.path(), config).expect("new");
    let body = [7; 100];
    let tickets: Vec<_> = (0..5000)
        .map(|time| journal.append(time, &[&body]).expect("taken"))
        .collect();
    settle(&journal, tickets[4999]).expect("committed");
    let read = journal.read(10, 1000).expect("readable");
    assert_eq!((read.records.len(), read.next), (10, 20));
    assert_eq!(read.records[0].offset, 10);
    let read = journal.read(10, 1).expect("readable");
    assert_eq!(read.records.len(), 1, "one is always given");
    let read = journal.read(4999, 1000).expect("readable");
    assert_eq!((read.records.len(), read.next), (1, 5000));
    let read = journal.read(5000, 1000).expect("readable");
    assert_eq!((read.records.len(), read.next), (0, 5000));
}

#[test]
fn a_time_finds_its_offset() {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, _) = Log::open(directory.path(), small()).expect("new");
    for number in 0..200_u64 {
        let ticket = journal.append(1000 + number * 10, &[b"x"]).expect("taken");
        if number % 20 == 19 {
            settle(&journal, ticket).expect("committed");
        }
    }
    let offset_at = |time| journal.offset_at(time).expect("readable");
    assert_eq!(offset_at(0), 0);
    assert_eq!(offset_at(1000), 0);
    assert_eq!(offset_at(1001), 1);
    assert_eq!(offset_at(2500), 150);
    assert_eq!(offset_at(2990), 199);
    assert_eq!(offset_at(2991), 200);
}

#[test]
fn old_segments_are_released_and_the_newest_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = LogConfig {
        max_bytes: Some(3000),
        max_age: Some(Duration::from_micros(1)),
        ..small()
    };
    let (journal, _) = Log::open(directory.path(), config).expect("new");
    for number in 0..100_u64 {
        let ticket = journal.append(number, &[&[1; 100]]).expect("taken");
        settle(&journal, ticket).expect("committed");
    }
    assert!(journal.bytes() <= 3000 + 1024, "{}", journal.bytes());
    let begin = journal.begin();
    assert!(begin > 50, "{begin}");
    let read = journal.read(0, usize::MAX).expect("readable");
    assert_eq!((read.released, read.records[0].offset), (begin, begin));
    assert_eq!((read.next, read.damaged.len()), (100, 0));

    // All are too old by now, and the next offset must not be forgotten.
    let begin = journal.retain(1_000_000);
    assert!(begin > 90, "{begin}");
    drop(journal);
    let (journal, found) = Log::open(directory.path(), small()).expect("it opens again");
    assert_eq!((found.next, journal.begin()), (100, begin));
}

#[test]
fn too_much_is_refused_and_nothing_is_lost_by_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = LogConfig {
        queue_bytes: 4096,
        ..LogConfig::default()
    };
    let (journal, _) = Log::open(directory.path(), config).expect("new");
    let large = journal.append(0, &[&[0; 5000]]);
    assert!(
        matches!(large, Err(AppendError::TooLarge { limit: 4096, .. })),
        "{large:?}"
    );
    let (mut taken, mut full) = (Vec::new(), false);
    while !full {
        match journal.append(0, &[&[0; 500]]) {
            Ok(ticket) => taken.push(ticket),
            Err(AppendError::Full { waiting }) => full = waiting > 3000,
            Err(error) => panic!("{error}"),
        }
    }
    settle(&journal, *taken.last().expect("some")).expect("committed");
    assert_eq!(contents(&journal).0.len(), taken.len());
}

#[test]
fn threads_append_at_once_and_each_record_has_an_offset_of_its_own() {
    const EACH: u64 = 2000;
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, _) = Log::open(directory.path(), LogConfig::default()).expect("new");
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let journal = journal.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    let body = [thread.to_le_bytes(), number.to_le_bytes()].concat();
                    while let Err(error) = journal.append(0, &[&body]) {
                        assert!(matches!(error, AppendError::Full { .. }), "{error}");
                        std::thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    let last = journal.append(0, &[b"end"]).expect("taken");
    settle(&journal, last).expect("committed");
    let (records, _) = contents(&journal);
    assert_eq!(records.len() as u64, 4 * EACH + 1);
    // What one thread appended is in its order.
    let mut next = [0_u64; 4];
    for (_, body) in &records[..records.len() - 1] {
        let (thread, number) = body.split_at(8);
        let thread = usize::from(thread[0]);
        assert_eq!(number, next[thread].to_le_bytes());
        next[thread] += 1;
    }
}
