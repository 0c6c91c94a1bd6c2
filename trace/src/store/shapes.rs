//! Finds the [`Shape`] of a span's attributes, by what spans with the same keys have said before.

use std::collections::HashSet;
use std::hash::BuildHasher as _;

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::shape::{Column, Known, Place, Shape};
use crate::model::value::{append_json, to_json};
use crate::model::{Attributes, Value};

/// Longer texts are hardly ever said again.
const CONSTANT_BYTES: usize = 64;
/// Room for a row's list, which most do not exceed.
const USUAL_BYTES: usize = 128;
/// Shapes with the same keys. When there are more, what varies most among them is a constant no more.
const SHAPES_PER_KEYS: usize = 64;
/// Lists of keys that are remembered.
const KEYS: usize = 1024;
/// Attributes in which texts are looked for that are said twice.
const COMPARED: usize = 32;

/// Attributes as they are stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// `shapes.id`; `None`: the values are the attributes as a JSON object.
    pub(super) shape: Option<i64>,
    /// The row's own list as JSON; `None` when it is empty.
    pub(super) own: Option<String>,
}

/// What is remembered of shapes. All of it can be forgotten at any time. The tables are small, so that a sender who makes keys
/// with the same hash gains little.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    by_keys: FxHashMap<Box<[u8]>, Keys>,
    /// Hashes of lists of keys that have come once. Only who comes again and again gets shapes: keys may be made up as they
    /// go.
    once: HashSet<u64>,
    /// Kept for their capacity.
    keys: Vec<u8>,
    constants: Vec<u8>,
    sorts: Vec<Sort>,
}

/// Shapes with the same keys.
#[derive(Debug, Default)]
struct Keys {
    /// Places of texts that vary too much to be constants.
    varying: Vec<usize>,
    /// By their constants.
    shapes: FxHashMap<Box<[u8]>, i64>,
}

/// Where a value belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Listed,
    Constant,
    /// Where the value at this place is, which is the same.
    Same(usize),
    Column(Column),
}

impl Shapes {
    /// Packs attributes; `id` finds or makes the number of a shape by its JSON.
    pub(super) fn pack<E>(
        &mut self,
        attributes: &Attributes,
        known: &Known<'_>,
        id: impl FnOnce(&str) -> Result<i64, E>,
    ) -> Result<Packed, E> {
        sort(attributes, known, &mut self.sorts, &mut self.keys);
        let Some(keys) = self.by_keys.get_mut(&*self.keys) else {
            self.meet();
            return Ok(Packed {
                shape: None,
                own: Some(to_json(attributes)),
            });
        };
        for at in &keys.varying {
            self.sorts[*at] = Sort::Listed;
        }
        constants(attributes, &self.sorts, &mut self.constants);
        let shape = if let Some(shape) = keys.shapes.get(&*self.constants) {
            *shape
        } else {
            if keys.shapes.len() >= SHAPES_PER_KEYS {
                keys.forget_one(&self.sorts);
                for at in &keys.varying {
                    self.sorts[*at] = Sort::Listed;
                }
                constants(attributes, &self.sorts, &mut self.constants);
            }
            let shape = id(&shape(attributes, &self.sorts).to_json())?;
            keys.shapes.insert(self.constants.as_slice().into(), shape);
            shape
        };
        Ok(Packed {
            shape: Some(shape),
            own: own(attributes, &self.sorts),
        })
    }

    /// Takes note of a list of keys that has no shapes.
    fn meet(&mut self) {
        if self.once.len() >= KEYS {
            self.once.clear();
        }
        if self.once.insert(FxBuildHasher.hash_one(&self.keys)) {
            return;
        }
        if self.by_keys.len() >= KEYS {
            self.by_keys.clear();
        }
        self.by_keys
            .insert(self.keys.as_slice().into(), Keys::default());
    }

    pub(super) fn clear(&mut self) {
        self.by_keys.clear();
        self.once.clear();
    }
}

impl Keys {
    /// What varies most among the shapes is a constant no more, and the shapes with it count no more.
    fn forget_one(&mut self, sorts: &[Sort]) {
        let mut values: Vec<HashSet<&[u8]>> = Vec::new();
        for mut constants in self.shapes.keys().map(|constants| &**constants) {
            let mut number = 0;
            while let Some((length, rest)) = constants.split_first_chunk() {
                let (value, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
                if values.len() == number {
                    values.push(HashSet::new());
                }
                values[number].insert(value);
                (constants, number) = (rest, number + 1);
            }
        }
        let is_constant = |(_, sort): &(usize, &Sort)| **sort == Sort::Constant;
        let places = sorts.iter().enumerate().filter(is_constant);
        let most = places.zip(values).max_by_key(|(_, values)| values.len());
        self.varying.extend(most.map(|((place, _), _)| place));
        self.shapes.clear();
    }
}

/// Sorts values, and tells apart what has other keys or is sorted in another way.
fn sort(attributes: &Attributes, known: &Known<'_>, sorts: &mut Vec<Sort>, keys: &mut Vec<u8>) {
    sorts.clear();
    keys.clear();
    for (at, (key, value)) in attributes.iter().enumerate() {
        let sort = match value {
            Value::String(text) => sort_text(&attributes.0[..at], text, known),
            Value::Empty | Value::Bool(_) => Sort::Constant,
            _ => Sort::Listed,
        };
        sorts.push(sort);
        let (kind, number) = match sort {
            Sort::Listed => (0, 0),
            Sort::Constant => (1, 0),
            Sort::Same(at) => (2, at as u32),
            Sort::Column(column) => (3, column as u32),
        };
        keys.push(kind);
        keys.extend_from_slice(&number.to_le_bytes());
        keys.extend_from_slice(&(key.len() as u64).to_le_bytes());
        keys.extend_from_slice(key.as_bytes());
    }
}

fn sort_text(before: &[(String, Value)], text: &str, known: &Known<'_>) -> Sort {
    let is_it = |column: &Column| known.says(*column, text);
    if let Some(column) = Column::ALL.into_iter().find(is_it) {
        return Sort::Column(column);
    }
    let is_same =
        |(_, value): &(String, Value)| matches!(value, Value::String(said) if said == text);
    match before.iter().take(COMPARED).position(is_same) {
        Some(at) => Sort::Same(at),
        None if text.len() <= CONSTANT_BYTES => Sort::Constant,
        None => Sort::Listed,
    }
}

/// The constants one after the other, each with its length before it.
fn constants(attributes: &Attributes, sorts: &[Sort], buffer: &mut Vec<u8>) {
    buffer.clear();
    for (value, sort) in attributes.0.iter().map(|(_, value)| value).zip(sorts) {
        if *sort != Sort::Constant {
            continue;
        }
        // No text is one of the others: it is valid UTF-8.
        let bytes: &[u8] = match value {
            Value::String(text) => text.as_bytes(),
            Value::Bool(true) => &[0xff, 1],
            Value::Bool(false) => &[0xff, 0],
            _ => &[0xff],
        };
        buffer.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        buffer.extend_from_slice(bytes);
    }
}

fn shape(attributes: &Attributes, sorts: &[Sort]) -> Shape {
    let mut places: Vec<Place> = Vec::with_capacity(sorts.len());
    let mut listed = 0;
    for ((_, value), sort) in attributes.0.iter().zip(sorts) {
        places.push(match sort {
            Sort::Listed => {
                listed += 1;
                Place::Listed(listed - 1)
            }
            Sort::Constant => Place::Constant(value.clone()),
            Sort::Same(at) => places[*at].clone(),
            Sort::Column(column) => Place::Column(*column),
        });
    }
    let keys = attributes.0.iter().map(|(key, _)| key.clone());
    Shape(keys.zip(places).collect())
}

fn own(attributes: &Attributes, sorts: &[Sort]) -> Option<String> {
    let mut json = Vec::new();
    for ((_, value), sort) in attributes.0.iter().zip(sorts) {
        if *sort == Sort::Listed {
            if json.is_empty() {
                json.reserve(USUAL_BYTES);
                json.push(b'[');
            } else {
                json.push(b',');
            }
            append_json(value, &mut json);
        }
    }
    if json.is_empty() {
        return None;
    }
    json.push(b']');
    Some(String::from_utf8(json).expect("JSON is text"))
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
