//! The power goes at each operation in turn: what was acknowledged is there, and nothing that was never appended.

use std::sync::Arc;

use loom_core::Ticket;
use loom_journal::{Log, LogConfig};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::support::{MemoryDisk, contents, settle, small};

fn body(number: u64, len: usize) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(8 + len, number as u8);
    body
}

/// Appends until the end or until the disk gives up. Returns the last number that was acknowledged, and how many were appended.
fn fill(journal: &Log, from: u64, lens: &[usize]) -> (Option<u64>, u64) {
    let mut acknowledged = None;
    let mut numbers = from..;
    for (len, number) in lens.iter().zip(numbers.by_ref()) {
        let Ok(ticket) = journal.append(number, &[&body(number, *len)]) else {
            return (acknowledged, number);
        };
        // Some wait, so that blocks have one record or several.
        let wants_answer = number % 3 == 0;
        if wants_answer && settle(journal, ticket).is_err() {
            return (acknowledged, number + 1);
        }
        if wants_answer {
            acknowledged = Some(number);
        }
    }
    (acknowledged, from + lens.len() as u64)
}

/// All that was acknowledged is there, in order, and what is there beyond was at least appended.
fn check(journal: &Log, lens: &[usize], acknowledged: Option<u64>, appended: u64) -> u64 {
    let (records, damaged) = contents(journal);
    assert_eq!(damaged, 0, "a loss of power is no damage");
    for (index, (offset, content)) in records.iter().enumerate() {
        assert_eq!(*offset, index as u64);
        assert_eq!(content, &body(*offset, lens[index]));
    }
    let count = records.len() as u64;
    assert!(
        acknowledged.is_none_or(|last| count > last),
        "{count} {acknowledged:?}"
    );
    assert!(count <= appended, "{count} {appended}");
    count
}

fn open(disk: &MemoryDisk, config: &LogConfig) -> (Log, loom_journal::Recovery) {
    Log::open_on(Arc::new(disk.clone()), config.clone()).expect("what a crash left opens")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_loss_of_power_loses_nothing_that_was_acknowledged(
        lens in prop::collection::vec(0..700_usize, 1..40),
        cut in 1..120_u64,
        seed in any::<[u8; 32]>(),
    ) {
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut dice = || rng.next_u32() & 1 == 0;
        let disk = MemoryDisk::default().cut_at(cut);
        let (journal, _) = open(&disk, &small());
        let (acknowledged, appended) = fill(&journal, 0, &lens);
        drop(journal);

        // The power comes back, goes again during the recovery, and comes back.
        let survivor = disk.after_power_loss(&mut dice);
        let again = survivor.clone().cut_at(2);
        drop(Log::open_on(Arc::new(again.clone()), small()));
        for survivor in [survivor.after_power_loss(&mut dice), again.after_power_loss(&mut dice)] {
            let (journal, _) = open(&survivor, &small());
            let count = check(&journal, &lens, acknowledged, appended);

            // It goes on behind that, also over another opening.
            let (_, total) = fill(&journal, count, &lens[..lens.len().min(5)]);
            drop(journal);
            let (journal, found) = open(&survivor, &small());
            prop_assert_eq!(found.next, total);
            prop_assert_eq!(found.torn_bytes, 0, "it was closed");
            prop_assert_eq!(contents(&journal).0.len() as u64, total);
        }
    }
}

#[test]
fn a_ticket_of_a_commit_that_failed_never_becomes_true() {
    let disk = MemoryDisk::default();
    let (journal, _) = open(&disk, &small());
    let first = journal.append(0, &[b"first"]).expect("taken");
    settle(&journal, first).expect("committed");
    disk.set_room(Some(0));
    let refused: Vec<Ticket> = (0..20)
        .map(|_| journal.append(0, &[&[1; 1200]]).expect("taken"))
        .collect();
    for ticket in &refused {
        settle(&journal, *ticket).expect_err("there is no room");
    }
    disk.set_room(None);
    let second = journal.append(0, &[b"second"]).expect("taken");
    settle(&journal, second).expect("committed");
    assert_eq!(second.offset, 1);
    for ticket in &refused {
        assert!(
            matches!(journal.outcome(*ticket), Some(Err(_))),
            "{ticket:?}"
        );
    }
    assert_eq!(journal.outcome(first).expect("known").ok(), Some(()));
}
