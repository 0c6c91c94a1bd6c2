use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::measure::Kind;
use crate::store;

const ALL: std::ops::RangeInclusive<i64> = i64::MIN..=i64::MAX;

fn database() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().expect("a folder");
    let conn = store::open(&dir.path().join(store::FILE)).expect("opens");
    (dir, conn)
}

fn sample(id: i64, start_ns: i64) -> Sample {
    Sample {
        start_ns,
        id,
        trace: 1,
        agent: Some(3),
        workflow: None,
        kind: Kind::Handler,
        is_error: false,
        duration_ns: Some(5),
        ttft_ms: None,
        prompt_tokens: None,
        completion_tokens: None,
        total_tokens: None,
        cost_usd: None,
        phases: Vec::new(),
    }
}

fn rest<E: Entry>(mut newest: Newest<'_, E>) -> Vec<E> {
    let mut found = Vec::new();
    while let Some(entry) = newest.next().expect("read") {
        found.push(entry);
    }
    found
}

fn agent_samples(conn: &Connection) -> Vec<Sample> {
    rest(Newest::new(conn, (List::Agent, 3), ALL).expect("read"))
}

fn parts(conn: &Connection, table: &str, block: i64) -> i64 {
    let sql = format!("SELECT coalesce(max(part), -1) + 1 FROM {table} WHERE block = ?1");
    conn.query_row(&sql, [block], |row| row.get(0))
        .expect("counted")
}

/// Ids of several blocks, with starts near each other and far apart.
fn places() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let start = prop_oneof![0..50_i64, Just(i64::MAX), Just(i64::MIN), any::<i64>()];
    prop::collection::btree_map(1..(6_i64 << BITS), start, 1..60)
        .prop_map(|places| places.into_iter().collect())
}

fn samples() -> impl Strategy<Value = Sample> {
    let number = || prop::option::of(any::<i64>());
    let double = || prop::option::of(-1e9..1e9);
    let phases = prop::collection::vec((any::<i64>(), -1e9..1e9), 0..3);
    let who = (number(), number(), any::<bool>(), any::<bool>());
    let figures = (number(), number(), number(), number(), double(), double());
    (
        0..1_i64 << BITS,
        any::<i64>(),
        any::<i64>(),
        who,
        figures,
        phases,
    )
        .prop_map(|(id, start_ns, trace, who, figures, phases)| Sample {
            start_ns,
            id,
            trace,
            agent: who.0,
            workflow: who.1,
            kind: if who.2 {
                Kind::Handler
            } else {
                Kind::ModelCall
            },
            is_error: who.3,
            duration_ns: figures.0,
            prompt_tokens: figures.1,
            completion_tokens: figures.2,
            total_tokens: figures.3,
            ttft_ms: figures.4,
            cost_usd: figures.5,
            phases,
        })
}

proptest! {
    #[test]
    fn lists_come_back(places in places(), samples in prop::collection::vec(samples(), 0..9)) {
        let postings: Vec<_> =
            places.into_iter().map(|(id, start_ns)| Posting { start_ns, id }).collect();
        let (first, second) = postings.split_at(postings.len() / 2);
        let mut body = Vec::new();
        Posting::pack(first, 2, &mut body);
        Posting::pack(second, 2, &mut body);
        let mut found = Vec::new();
        prop_assert_eq!(Posting::unpack(&body, 2, &mut found), Some(()));
        prop_assert_eq!(found, postings);

        let mut body = Vec::new();
        Sample::pack(&samples, 0, &mut body);
        let mut found = Vec::new();
        prop_assert_eq!(Sample::unpack(&body, 0, &mut found), Some(()));
        prop_assert_eq!(found, samples);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        _ = Posting::unpack(&bytes, i64::MAX >> BITS, &mut Vec::new());
        _ = Sample::unpack(&bytes, 0, &mut Vec::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_newest_come_first_whatever_the_clocks_say(
        places in places(), batch in 1..20_usize, held in 1..40_usize, from in -5..40_i64, to in 10..60_i64
    ) {
        let (_dir, conn) = database();
        let mut lists = Lists::default();
        for batch in places.chunks(batch) {
            for (id, start_ns) in batch {
                lists.open(*id, *start_ns);
            }
            lists.write(&conn).expect("written");
        }
        let mut sorted: Vec<_> =
            places.iter().map(|(id, start_ns)| (*start_ns, *id)).collect();
        sorted.sort_unstable();
        sorted.reverse();
        let all: Newest<'_, Posting> = Newest::new(&conn, (List::All, 0), ALL).expect("read");
        let all: Vec<_> = rest(all.holding(held)).iter().map(Entry::place).collect();
        prop_assert_eq!(&all, &sorted);

        let some: Newest<'_, Posting> =
            Newest::new(&conn, (List::All, 0), from..=to).expect("read");
        let middle = sorted[sorted.len() / 2];
        let some: Vec<_> = rest(some.holding(held).before(middle)).iter().map(Entry::place).collect();
        sorted.retain(|place| (from..=to).contains(&place.0) && *place < middle);
        prop_assert_eq!(some, sorted);
        prop_assert_eq!(last_id(&conn).expect("read"), places.last().expect("one").0);
    }
}

#[test]
fn a_block_that_is_full_has_one_row_of_each_list() {
    let (_dir, conn) = database();
    let mut lists = Lists::default();
    let last = first(1) - 1;
    for id in [1, 2, last, first(1)] {
        lists.open(id, id);
        lists.sample(sample(id, id));
        lists.write(&conn).expect("written");
        if id == 2 {
            assert_eq!(
                (parts(&conn, "postings", 0), parts(&conn, "samples", 0)),
                (2, 2)
            );
        }
    }
    // The next block was begun in a transaction of its own.
    assert_eq!(
        (parts(&conn, "postings", 0), parts(&conn, "samples", 0)),
        (1, 1)
    );
    let ids: Vec<_> = agent_samples(&conn).iter().map(|found| found.id).collect();
    assert_eq!(ids, [first(1), last, 2, 1]);
}

#[test]
fn of_a_span_the_last_figures_count_and_of_one_that_has_gone_none() {
    let (_dir, conn) = database();
    let mut lists = Lists::default();
    let completed = Sample {
        workflow: Some(7),
        ..sample(1, 10)
    };
    for (id, start_ns) in [(1, 10), (2, 20), (3, 30)] {
        lists.open(id, start_ns);
        lists.sample(sample(id, start_ns));
    }
    lists.write(&conn).expect("written");
    lists.sample(completed.clone());
    lists.add(List::Gone, 0, 2, 20);
    lists.write(&conn).expect("written");
    let expected = [sample(3, 30), completed.clone()];
    assert_eq!(agent_samples(&conn), expected);
    let of_workflow: Newest<'_, Sample> =
        Newest::new(&conn, (List::Workflow, 7), ALL).expect("read");
    assert_eq!(rest(of_workflow), [completed]);
    // The same when the block is full.
    lists.open(first(1), 40);
    lists.write(&conn).expect("written");
    assert_eq!(agent_samples(&conn), expected);
}

#[test]
fn who_is_there_is_known_by_block() {
    let (_dir, conn) = database();
    let mut lists = Lists::default();
    for (id, agent, start_ns) in [(1, 5, 10), (2, 6, 20), (first(3), 7, 90)] {
        lists.open(id, start_ns);
        lists.add_who([Some(agent), None, None, None, None, None], id, start_ns);
    }
    lists.write(&conn).expect("written");
    assert_eq!(
        values(&conn, List::Agent, ALL).expect("read"),
        BTreeSet::from([5, 6, 7])
    );
    assert_eq!(
        values(&conn, List::Agent, 0..=50).expect("read"),
        BTreeSet::from([5, 6])
    );
    assert_eq!(
        values(&conn, List::User, ALL).expect("read"),
        BTreeSet::new()
    );
}

#[test]
fn a_list_that_cannot_be_read_is_told_by_its_block() {
    let (_dir, conn) = database();
    let mut lists = Lists::default();
    lists.open(1, 10);
    lists.write(&conn).expect("written");
    conn.execute("UPDATE postings SET body = x'05ff'", [])
        .expect("damaged");
    let mut newest: Newest<'_, Posting> = Newest::new(&conn, (List::All, 0), ALL).expect("read");
    let error = newest.next().expect_err("damaged").to_string();
    assert!(
        error.starts_with("the postings of block 0 are damaged"),
        "{error}"
    );
}
