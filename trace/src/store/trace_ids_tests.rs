use proptest::prelude::*;

use super::*;
use crate::store::{FILE, upkeep};
use crate::testing::{expire_to, plan, span, stored, writer};

pub(super) fn id(number: u64) -> TraceId {
    // As random ids are: neighbours in time are none in the list.
    let random = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    TraceId::from_bytes(&random.to_be_bytes()).expect("not zero")
}

fn in_list(conn: &Connection, list: &str) -> u64 {
    let sql = format!("SELECT count(*) FROM {list}");
    let count: i64 = conn.query_row(&sql, [], |row| row.get(0)).expect("counted");
    count.unsigned_abs()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_trace_is_found_in_whichever_list_it_is(
        steps in prop::collection::vec((0u64..40, 0u8..3), 1..60),
        most in 0i64..6,
    ) {
        let (_dir, conn) = writable();
        let mut known = std::collections::BTreeMap::new();
        for (place, (trace, step)) in (0..).zip(steps) {
            let trace = id(trace);
            match step {
                0 => {
                    conn.execute("DELETE FROM traces WHERE trace_id = ?1", [&trace.as_bytes()[..]])
                        .expect("deleted");
                    known.remove(&trace.to_string());
                }
                1 => settle_beyond(&conn, most).expect("settled"),
                _ if known.contains_key(&trace.to_string()) => {}
                _ => {
                    conn.execute("INSERT INTO traces (id, trace_id) VALUES (?1, ?2)", (place, &trace.as_bytes()[..]))
                        .expect("inserted");
                    add(&conn, trace, place).expect("added");
                    known.insert(trace.to_string(), place);
                }
            }
            for trace in (0..40).map(id) {
                let expected = known.get(&trace.to_string()).copied();
                prop_assert_eq!(number(&conn, trace).expect("readable"), expected);
            }
        }
    }
}

/// An empty store without its writer.
pub(super) fn writable() -> (tempfile::TempDir, Connection) {
    let (dir, conn) = stored(&[]);
    drop(conn);
    let conn = Connection::open(dir.path().join(FILE)).expect("opens");
    (dir, conn)
}

#[test]
fn both_lists_are_looked_up_by_their_keys() {
    let (_dir, conn) = stored(&[]);
    let sql = format!("SELECT * FROM span_rows WHERE trace = {NUMBER}");
    let plan = plan(&conn, &sql, [[0; 16]]);
    for list in ["new_trace_ids", "trace_ids"] {
        let search = format!("SEARCH {list} USING PRIMARY KEY (trace_id=?)");
        assert!(plan.contains(&search), "{plan:?}");
    }
}

#[test]
fn a_trace_keeps_its_number_when_its_id_goes_over_and_goes_from_both_lists() {
    let (dir, conn) = stored(&[]);
    let mut writer = writer(&dir);
    let mut store = |traces: std::ops::Range<u64>, span_number| {
        let written = writer.transaction::<_, StoreError>(|batch| {
            for trace in traces {
                let mut span = span(span_number, 0, "x", trace, trace + 1);
                span.trace_id = id(trace);
                batch.insert(&span, 0)?;
            }
            Ok((crate::spool::Position::default(), ()))
        });
        written.expect("written").0.stored
    };
    let many = MOST_NEW as u64 + 1;
    assert_eq!(store(0..many, 1), many);
    assert_eq!(
        (in_list(&conn, "new_trace_ids"), in_list(&conn, "trace_ids")),
        (0, many)
    );
    // Later spans of an old trace and of new ones.
    assert_eq!(store(0..1, 2), 1);
    assert_eq!(store(many..many + 5, 1), 5);
    assert_eq!(
        (in_list(&conn, "new_trace_ids"), in_list(&conn, "trace_ids")),
        (5, many)
    );
    assert_eq!(number(&conn, id(0)).expect("readable"), Some(1));
    assert_eq!(upkeep::verify(dir.path()).expect("read"), []);
    expire_to(&mut writer, 3);
    assert_eq!(
        (in_list(&conn, "new_trace_ids"), in_list(&conn, "trace_ids")),
        (3, 0)
    );
    assert_eq!(upkeep::verify(dir.path()).expect("read"), []);
}
