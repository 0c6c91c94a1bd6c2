//! Requests of every shape that the schema allows, and with faults of every kind that a sender can make.

use loom_proto::wire::put_varint;
use proptest::prelude::*;

use super::scan::{Message, REQUEST, Type};

/// Whether a request is good protobuf of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Faults {
    /// It is.
    None,
    /// A few fields are not.
    Some,
}

/// What a request is made from: each byte decides one thing.
pub(super) fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..2_000)
}

/// A request, with repeated fields, fields that nobody knows, and groups.
pub(super) fn request(choices: &[u8], faults: Faults) -> Vec<u8> {
    let mut choices = Choices {
        left: choices.iter(),
        faults,
    };
    choices.message(&REQUEST, 9)
}

struct Choices<'a> {
    left: std::slice::Iter<'a, u8>,
    faults: Faults,
}

impl Choices<'_> {
    /// A number below `n`; 0 when nothing is left, so that every request ends.
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.left.next().copied().unwrap_or(0)) % n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Once in `n` times, where faults are wanted and something is left to choose.
    fn fault(&mut self, n: usize) -> bool {
        self.faults == Faults::Some && self.below(n) == n - 1
    }

    /// With fewer than `most` fields, and with fewer still in what is inside, so that one branch does not use up all choices.
    fn message(&mut self, message: &'static Message, most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Nearly all spans and links have good ids.
        let has_ids = matches!(message.field(1), Some(Type::Id(_) | Type::Bytes));
        if has_ids && self.below(8) > 0 {
            put_bytes(&mut bytes, 1, &[7; 16]);
            put_bytes(&mut bytes, 2, &[7; 8]);
        }
        for _ in 0..self.below(most) {
            self.field(message, most, &mut bytes);
        }
        if self.fault(60) {
            bytes.truncate(self.below(256));
        }
        bytes
    }

    fn field(&mut self, message: &Message, most: usize, bytes: &mut Vec<u8>) {
        let numbers = 1..20;
        let known = numbers.clone().filter(|n| message.field(*n).is_some());
        let inner = |n: &u32| matches!(message.field(*n), Some(Type::Message(_)));
        let (known, inner): (Vec<u32>, Vec<u32>) =
            (known.collect(), numbers.filter(inner).collect());
        let number = match self.below(20) {
            0 => 1 + self.below(20) as u32,
            1..12 if !inner.is_empty() => self.one_of(&inner),
            _ => self.one_of(&known),
        };
        match message.field(number) {
            Some(_) if self.fault(120) => self.unknown(number, bytes),
            Some(Type::Varint) => {
                let numbers = [0, 1, 2, 5, 99, 1 << 32 | 2, 1 << 31, u64::MAX];
                put_varint(bytes, u64::from(number << 3));
                put_varint(bytes, self.one_of(&numbers));
            }
            Some(Type::Fixed32) => {
                put_varint(bytes, u64::from(number << 3 | 5));
                bytes.extend([self.below(256) as u8; 4]);
            }
            Some(Type::Fixed64) => {
                // As doubles: an infinity, NaN, zero below zero, and what the byte makes.
                let numbers = [0x7ff0 << 48, 0x7ff8 << 48, 1 << 63, self.below(256) as u64];
                put_varint(bytes, u64::from(number << 3 | 1));
                bytes.extend(self.one_of(&numbers).to_le_bytes());
            }
            Some(Type::Bytes | Type::Id(_)) => {
                let ids: [&[u8]; 7] = [&[7; 16], &[7; 8], &[9; 8], &[0; 16], &[0; 8], &[1], &[]];
                put_bytes(bytes, number, self.one_of(&ids));
            }
            Some(Type::String) if self.fault(60) => put_bytes(bytes, number, b"\xc3("),
            Some(Type::String) => put_bytes(bytes, number, self.one_of(TEXTS).as_bytes()),
            Some(Type::Message(inner)) => {
                let inner = self.message(inner, (most - 1).max(2));
                put_bytes(bytes, number, &inner);
            }
            None => self.unknown(number, bytes),
        }
    }

    /// A field of this number and of any wire type.
    fn unknown(&mut self, number: u32, bytes: &mut Vec<u8>) {
        let wire_type = self.one_of(&[0, 1, 2, 3, 5]);
        put_varint(bytes, u64::from(number << 3 | wire_type));
        match wire_type {
            0 => put_varint(bytes, self.below(256) as u64),
            1 => bytes.extend([1; 8]),
            5 => bytes.extend([1; 4]),
            2 => {
                let length = self.below(4);
                put_varint(bytes, length as u64);
                bytes.extend(&[0xff; 4][..length]);
            }
            _ => {
                for _ in 0..self.below(3) {
                    let inside = 1 + self.below(20) as u32;
                    self.unknown(inside, bytes);
                }
                let end = if self.fault(20) { 1 } else { number };
                put_varint(bytes, u64::from(end << 3 | 4));
            }
        }
    }
}

fn put_bytes(to: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(to, u64::from(number << 3 | 2));
    put_varint(to, bytes.len() as u64);
    to.extend(bytes);
}

/// Keys and values alike.
const TEXTS: &[&str] = &[
    "",
    "k",
    "ä€😀",
    "agent.id",
    "agent_id",
    "gen_ai.conversation.id",
    "user.id",
    "gen_ai.system",
    "gen_ai.provider.name",
    "llm.system",
    "llm.request.type",
    "completion",
    "a value that is longer than a key would be, as texts of models are",
];
