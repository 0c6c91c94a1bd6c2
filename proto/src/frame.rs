//! A stream message as the bytes of its protobuf encoding, and the gRPC codec that carries it so.
//!
//! The bridge reads a few fields of an event and copies the rest; decoding all of it would cost more than all other
//! work on it. On the wire nothing is special: other languages use the stubs of `bridge.proto`.

use bytes::Bytes;

/// An encoded `ClientEvent` or `ServerEvent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame(pub Bytes);

/// A batch is sent when its queue is drained or when it has grown to this size.
pub const BATCH_BYTES: usize = 64 * 1024;

#[cfg(feature = "_grpc")]
pub use codec::FrameCodec;

#[cfg(feature = "_grpc")]
mod codec {
    use bytes::{Buf, BufMut};
    use tonic::Status;
    use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

    use super::{BATCH_BYTES, Frame};

    /// Passes frames through as they are.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct FrameCodec;

    /// tonic's 8 KiB would be grown and copied several times for each batch.
    fn buffers() -> BufferSettings {
        BufferSettings::new(2 * BATCH_BYTES, 2 * BATCH_BYTES)
    }

    impl Codec for FrameCodec {
        type Encode = Frame;
        type Decode = Frame;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self::Encoder {
            Self
        }

        fn decoder(&mut self) -> Self::Decoder {
            Self
        }
    }

    impl Encoder for FrameCodec {
        type Item = Frame;
        type Error = Status;

        fn encode(&mut self, frame: Frame, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
            to.put(frame.0);
            Ok(())
        }

        fn buffer_settings(&self) -> BufferSettings {
            buffers()
        }
    }

    impl Decoder for FrameCodec {
        type Item = Frame;
        type Error = Status;

        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Frame>, Status> {
            Ok(Some(Frame(from.copy_to_bytes(from.remaining()))))
        }

        fn buffer_settings(&self) -> BufferSettings {
            buffers()
        }
    }
}
