use std::io::{Seek, SeekFrom};

use proptest::prelude::*;

use super::record::HEADER_LEN;
use super::*;

fn config() -> SpoolConfig {
    SpoolConfig {
        max_bytes: 1 << 20,
        segment_bytes: 1 << 10,
    }
}

fn open(dir: &Path, start: Position) -> (Spool, Reader, Backlog) {
    Spool::open(dir, config(), start).expect("opens")
}

/// Everything up to the tail: payloads and damages.
fn read_all(reader: &mut Reader) -> (Vec<Vec<u8>>, Vec<Damage>) {
    let (mut payloads, mut damages) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next().expect("readable") {
        match item {
            Item::Record(header) => {
                assert_eq!(header.len as usize, reader.payload().len());
                payloads.push(reader.payload().to_vec());
            }
            Item::Damaged(damage) => damages.push(damage),
        }
    }
    (payloads, damages)
}

/// Changes one byte of segment `number`.
fn flip(dir: &Path, number: u64, offset: u64) {
    let path = path(dir, number);
    let mut bytes = fs::read(&path).expect("there");
    bytes[offset as usize] ^= 0x10;
    fs::write(&path, bytes).expect("writable");
}

#[test]
fn what_is_appended_is_read_in_order_while_both_go_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, mut reader, backlog) = open(dir.path(), Position::default());
    assert_eq!(backlog.spans, 0);
    assert_eq!(read_all(&mut reader).0.len(), 0);
    for round in 0..200_u8 {
        spool.append(&[round; 60], 1, 5).expect("room");
        let (payloads, damages) = read_all(&mut reader);
        assert_eq!((payloads, damages), (vec![vec![round; 60]], vec![]));
        assert_eq!(reader.position(), spool.tail());
    }
    assert!(spool.tail().segment > 10, "segments of 1 KiB were rolled");
    spool.release(reader.position()).expect("deletes");
    let left = list(dir.path()).expect("listed");
    assert_eq!(left.len(), 1);
    assert_eq!(spool.used_bytes(), left[0].bytes);
}

#[test]
fn a_second_process_reads_on_where_the_first_one_stopped() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, mut reader, _) = open(dir.path(), Position::default());
    for number in 0..100_u8 {
        spool.append(&[number; 30], 3, 0).expect("room");
    }
    for _ in 0..40 {
        reader.next().expect("readable");
    }
    let position = reader.position();
    drop((spool, reader));

    let (spool, mut reader, backlog) = open(dir.path(), position);
    assert_eq!(backlog.spans, 60 * 3);
    spool.append(b"new", 1, 0).expect("room");
    let (payloads, damages) = read_all(&mut reader);
    assert_eq!(damages, []);
    assert_eq!(payloads.len(), 61);
    assert_eq!(payloads[0], vec![40; 30]);
    assert_eq!(payloads[60], b"new");
}

#[test]
fn a_torn_tail_costs_only_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, reader, _) = open(dir.path(), Position::default());
    spool.append(b"first", 1, 0).expect("room");
    let tail = spool.append(b"second", 1, 0).expect("room");
    drop((spool, reader));
    for cut in [1, 6, HEADER_LEN as u64 + 5] {
        let file = File::options()
            .write(true)
            .open(path(dir.path(), 1))
            .expect("there");
        file.set_len(tail.offset - cut).expect("shorter");
        let (spool, mut reader, backlog) = open(dir.path(), Position::default());
        assert_eq!(backlog.spans, 1);
        spool.append(b"third", 1, 0).expect("room");
        let (payloads, damages) = read_all(&mut reader);
        assert_eq!(payloads, [b"first".to_vec(), b"third".to_vec()]);
        assert_eq!(damages.len(), 1);
        assert_eq!(damages[0].bytes, HEADER_LEN as u64 + 6 - cut);
        drop(spool);
        // The next round begins with one segment again.
        fs::remove_file(path(dir.path(), 2)).expect("there");
    }
}

#[test]
fn a_flipped_bit_in_a_payload_costs_one_record_and_in_a_header_the_segment() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, reader, _) = open(dir.path(), Position::default());
    let mut ends = Vec::new();
    while spool.tail().segment < 3 {
        ends.push(spool.append(&[7; 100], 2, 0).expect("room"));
    }
    drop((spool, reader));
    let in_first = ends.iter().filter(|end| end.segment == 1).count();
    let all = ends.len();

    flip(dir.path(), 1, ends[0].offset + HEADER_LEN as u64);
    let (_, mut reader, _) = open(dir.path(), Position::default());
    let (payloads, damages) = read_all(&mut reader);
    assert_eq!(payloads.len(), all - 1);
    assert_eq!((damages.len(), damages[0].spans), (1, Some(2)));

    flip(dir.path(), 1, ends[1].offset);
    let (_, mut reader, backlog) = open(dir.path(), Position::default());
    let (payloads, damages) = read_all(&mut reader);
    assert_eq!(payloads.len(), all - in_first + 1);
    assert_eq!(damages.len(), 2);
    assert_eq!((damages[1].at, damages[1].spans), (ends[1], None));
    // The headers alone do not show the damaged payload.
    assert_eq!(backlog.spans, 2 * (all - in_first + 2) as u64);
}

#[test]
fn damage_in_the_segment_that_is_being_written_makes_the_writer_go_on_elsewhere() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, mut reader, _) = open(dir.path(), Position::default());
    spool.append(b"first", 1, 0).expect("room");
    assert_eq!(read_all(&mut reader).0.len(), 1);
    let at = reader.position();
    spool.append(b"second", 1, 0).expect("room");
    flip(dir.path(), 1, at.offset);
    reader.seek(at);
    let (payloads, damages) = read_all(&mut reader);
    assert_eq!((payloads.len(), damages.len()), (0, 1));
    spool.append(b"third", 1, 0).expect("room");
    assert_eq!(read_all(&mut reader).0, [b"third".to_vec()]);
}

#[test]
fn a_segment_that_is_none_is_skipped() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(path(dir.path(), 3), b"").expect("writable");
    fs::write(path(dir.path(), 4), b"not a segment at all").expect("writable");
    fs::write(dir.path().join("notes.txt"), b"not ours").expect("writable");
    let (spool, mut reader, backlog) = open(dir.path(), Position::default());
    assert_eq!(backlog.spans, 0);
    spool.append(b"good", 1, 0).expect("room");
    let (payloads, damages) = read_all(&mut reader);
    assert_eq!(payloads, [b"good".to_vec()]);
    assert_eq!(damages.iter().map(|d| d.bytes).sum::<u64>(), 12);
    assert!(dir.path().join("notes.txt").exists());
}

#[test]
fn a_full_spool_refuses_until_it_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, mut reader, _) = Spool::open(
        dir.path(),
        SpoolConfig {
            max_bytes: 4_000,
            segment_bytes: 1_000,
        },
        Position::default(),
    )
    .expect("opens");
    let mut taken = 0;
    let error = loop {
        match spool.append(&[1; 100], 1, 0) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, SpoolError::Full { max: 4_000, .. }),
        "{error}"
    );
    assert!(spool.used_bytes() <= 4_000);
    assert_eq!(read_all(&mut reader).0.len(), taken);
    spool.release(reader.position()).expect("deletes");
    spool.append(&[1; 100], 1, 0).expect("room again");
    let huge = spool.append(&[1; 4_000], 1, 0).expect_err("more than all");
    assert!(matches!(huge, SpoolError::TooLarge { size: 4_000, .. }));
    assert_eq!(read_all(&mut reader).0.len(), 1);
}

#[test]
fn an_empty_payload_is_a_record() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, mut reader, _) = open(dir.path(), Position::default());
    spool.append(b"", 0, 0).expect("room");
    assert_eq!(read_all(&mut reader).0, [Vec::<u8>::new()]);
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_each_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let (spool, mut reader, _) = open(dir.path(), Position::default());
    // A file where the segment should be; permissions would not stop root.
    fs::write(path(dir.path(), 1), b"in the way").expect("writable");
    let error = spool.append(b"x", 1, 0).expect_err("exists");
    assert!(
        matches!(
            error,
            SpoolError::Io {
                action: "create",
                ..
            }
        ),
        "{error}"
    );
    spool.append(b"y", 1, 0).expect("the next number is free");
    assert_eq!(read_all(&mut reader).0, [b"y".to_vec()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever single byte is damaged: no panic, no hang, and every record before the damage is read.
    #[test]
    fn any_damaged_byte_is_survived(
        sizes in proptest::collection::vec(0_usize..400, 1..20),
        place in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let (spool, reader, _) = open(dir.path(), Position::default());
        let mut ends = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            ends.push(spool.append(&vec![number as u8; *size], 1, 0).expect("room"));
        }
        drop((spool, reader));
        let segments = list(dir.path()).expect("listed");
        let segment = segments[place.index(segments.len())];
        let offset = place.index(segment.bytes as usize) as u64;
        let mut file = File::options().write(true).open(path(dir.path(), segment.number)).expect("there");
        file.seek(SeekFrom::Start(offset)).expect("seeks");
        file.write_all(&[byte]).expect("writes");

        let (spool, mut reader, _) = open(dir.path(), Position::default());
        let damaged = Position { segment: segment.number, offset };
        let before = ends.iter().take_while(|end| **end <= damaged).count();
        let (payloads, _) = read_all(&mut reader);
        prop_assert!(payloads.len() >= before);
        for (number, payload) in payloads.iter().take(before).enumerate() {
            prop_assert_eq!(payload, &vec![number as u8; sizes[number]]);
        }
        spool.append(b"after", 1, 0).expect("room");
        prop_assert_eq!(read_all(&mut reader).0, [b"after".to_vec()]);
    }
}
