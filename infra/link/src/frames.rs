//! Frames of the protocol as protobuf, in buffers no larger than they need to be.
//!
//! Most calls live as long as an agent's connection and carry small words, for which tonic's buffers (8 KiB each way for
//! each call) are much. A larger frame makes its buffer grow.

use std::any::TypeId;
use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::wire::ControlFrame;

const BUFFER_BYTES: usize = 512;
/// What is ready together goes out together, up to so much (tonic's own limit).
const YIELD_BYTES: usize = 32 * 1_024;
/// Orders go out in smaller pieces: a leader has a buffer for each of thousands of agents, as large as its largest piece was.
const YIELD_ORDER_BYTES: usize = 2 * 1_024;

/// What the generated code encodes and decodes with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for Frames<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

fn settings<Out: 'static>() -> BufferSettings {
    let is_order = TypeId::of::<Out>() == TypeId::of::<ControlFrame>();
    BufferSettings::new(BUFFER_BYTES, if is_order { YIELD_ORDER_BYTES } else { YIELD_BYTES })
}

impl<Out, In> Codec for Frames<Out, In>
where
    Out: Message + 'static,
    In: Message + Default + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = ProstEncoder<Out>;
    type Decoder = ProstDecoder<In>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(settings::<Out>())
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(settings::<Out>())
    }
}
