//! Reading and writing the messages of the hot path without building them.
//!
//! A relay needs an event's head and nothing else: [`EventHead::scan`] walks the protobuf fields once and borrows what it
//! finds. [`EventParts`] and [`put_delivery`] write an event and a delivery straight into the batch that is being filled.
//! All of it is plain protobuf; the tests compare with the generated messages.

mod fields;
mod read;
mod write;

pub use fields::{Field, Fields, Value, WireError};
pub use read::{DeliveryHead, EnvelopeHead, EventHead, FieldError};
pub use write::{
    EventParts, put_bytes_field, put_delivery, put_event, put_message_field, put_varint,
    put_varint_field,
};

/// Field numbers of `ClientEvent` and `ServerEvent` that are read and written by hand.
pub mod number {
    /// `ClientEvent.hello`.
    pub const HELLO: u32 = 1;
    /// `ClientEvent.publish`.
    pub const PUBLISH: u32 = 2;
    /// `ClientEvent.credit`.
    pub const CREDIT: u32 = 3;
    /// `ClientEvent.call` and `ServerEvent.call`.
    pub const CALL: u32 = 4;
    /// `ClientEvent.reply` and `ServerEvent.reply`.
    pub const REPLY: u32 = 5;
    /// `ClientEvent.cancel` and `ServerEvent.cancel`.
    pub const CANCEL: u32 = 6;
    /// `ClientEvent.heartbeat`.
    pub const HEARTBEAT: u32 = 7;
    /// `ClientEvent.goodbye`.
    pub const CLIENT_GOODBYE: u32 = 8;
    /// `ClientEvent.ack_now`.
    pub const ACK_NOW: u32 = 9;
    /// `ClientEvent.outcome`.
    pub const OUTCOME: u32 = 10;
    /// `ServerEvent.welcome`.
    pub const WELCOME: u32 = 1;
    /// `ServerEvent.delivery`.
    pub const DELIVERY: u32 = 2;
    /// `ServerEvent.ack`.
    pub const ACK: u32 = 3;
    /// `ServerEvent.goodbye`.
    pub const SERVER_GOODBYE: u32 = 7;
}
