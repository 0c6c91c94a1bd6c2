//! Any sequence of operations gives what a vector would.

use loom_journal::{Log, LogConfig, SyncPolicy};
use proptest::prelude::*;

use crate::support::{MemoryDisk, contents, settle};
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<u8>),
    Commit,
    Reopen,
    Read {
        from: prop::sample::Index,
        max_bytes: usize,
    },
    Retain,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Operation::Append),
        3 => Just(Operation::Commit),
        1 => Just(Operation::Reopen),
        3 => (any::<prop::sample::Index>(), 0..2000_usize)
            .prop_map(|(from, max_bytes)| Operation::Read { from, max_bytes }),
        1 => Just(Operation::Retain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_journal_is_a_vector_that_forgets_its_oldest(operations in prop::collection::vec(operation(), 1..60), max_bytes in 1000..5000_u64) {
        let disk = Arc::new(MemoryDisk::default());
        let config = LogConfig {
            segment_bytes: 1024,
            max_bytes: Some(max_bytes),
            sync: SyncPolicy::Never,
            ..LogConfig::default()
        };
        let open = || Log::open_on(Arc::clone(&disk) as _, config.clone()).expect("it opens").0;
        let mut journal = open();
        let mut model: Vec<Vec<u8>> = Vec::new();
        let mut last = None;
        let commit = |journal: &Log, last: &mut Option<loom_core::Ticket>| {
            if let Some(ticket) = last.take() {
                settle(journal, ticket).expect("committed");
            }
        };
        for operation in operations {
            match operation {
                Operation::Append(body) => {
                    let ticket = journal.append(model.len() as u64, &[&body]).expect("taken");
                    prop_assert_eq!(ticket.offset, model.len() as u64);
                    model.push(body);
                    last = Some(ticket);
                }
                Operation::Commit => commit(&journal, &mut last),
                Operation::Reopen => {
                    // Closing commits.
                    last = None;
                    drop(journal);
                    journal = open();
                    prop_assert_eq!(journal.end(), model.len() as u64);
                }
                Operation::Read { from, max_bytes } => {
                    commit(&journal, &mut last);
                    let from = from.index(model.len() + 1) as u64;
                    let read = journal.read(from, max_bytes).expect("readable");
                    prop_assert!(read.damaged.is_empty());
                    let begin = from.max(read.released);
                    let mut bytes = 0;
                    for (index, record) in read.records.iter().enumerate() {
                        prop_assert!(bytes < max_bytes.max(1));
                        prop_assert_eq!(record.offset, begin + index as u64);
                        prop_assert_eq!(&record.body, &model[record.offset as usize]);
                        prop_assert_eq!(record.unix_nano, record.offset);
                        bytes += record.body.len().max(1);
                    }
                    prop_assert_eq!(read.next, begin + read.records.len() as u64);
                    prop_assert!(bytes >= max_bytes || read.next == model.len() as u64);
                }
                Operation::Retain => {
                    let begin = journal.retain(u64::MAX / 2);
                    prop_assert!(begin <= model.len() as u64);
                }
            }
        }
        commit(&journal, &mut last);
        let begin = journal.begin();
        let expected: Vec<_> = (begin..).zip(model[begin as usize..].iter().cloned()).collect();
        prop_assert_eq!(contents(&journal), (expected, 0));
    }
}
