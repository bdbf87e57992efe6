//! What a model's structure will take in memory, told before it is decoded.
//!
//! In protobuf two bytes can begin a message that takes a thousand in memory, so a small file could fill any memory. This walk
//! over the bytes knows which fields are messages and adds up what decoding them will allocate; the elements of tensors in
//! `raw_data` are shared with the file and count nothing.

use super::schema::{AttributeProto, GraphProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto};

/// Most bytes that the structure of a model (all but its `raw_data`) may take in memory: a graph of a million nodes fits.
pub(super) const LARGEST_STRUCTURE: u64 = 1 << 30;

/// As deep as the decoder goes.
const DEEPEST: usize = 100;

/// What a message is.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Training,
    Function,
    /// Types, shapes, annotations: messages of a few fields that hold no tensors.
    Small,
}

/// A field that has a length.
enum Field {
    Message(Kind),
    /// A text or bytes that are copied, one of a list.
    Text,
    /// Numbers, so many bytes of memory for each byte in the file at most.
    Numbers(u64),
    /// Shared with the file.
    Shared,
}

/// Memory of small messages for each byte in the file: an empty dimension of a shape takes 2 bytes there, 56 here.
const SMALL_FACTOR: u64 = 32;
/// Memory of a text besides its bytes: its place in a list, its allocation.
const TEXT: u64 = 48;

fn field(kind: Kind, number: u64) -> Field {
    use Field::{Message, Numbers, Shared, Text};
    match (kind, number) {
        (Kind::Model, 7) | (Kind::Attribute, 6 | 11) | (Kind::Training, 1 | 2) => Message(Kind::Graph),
        (Kind::Model, 20) => Message(Kind::Training),
        (Kind::Model, 25) => Message(Kind::Function),
        (Kind::Graph, 1) | (Kind::Function, 7) => Message(Kind::Node),
        (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::Sparse, 1 | 2) => Message(Kind::Tensor),
        (Kind::Graph, 15) | (Kind::Attribute, 22 | 23) => Message(Kind::Sparse),
        (Kind::Node, 5) | (Kind::Function, 11) => Message(Kind::Attribute),
        (Kind::Graph, 11..=14 | 16)
        | (Kind::Model, 8 | 14 | 26)
        | (Kind::Node, 9 | 10)
        | (Kind::Attribute, 14 | 15)
        | (Kind::Tensor, 3 | 13 | 16)
        | (Kind::Training, 3 | 4)
        | (Kind::Function, 9 | 12 | 14) => Message(Kind::Small),
        (Kind::Tensor, 9) => Shared,
        (Kind::Tensor, 4 | 10) | (Kind::Attribute, 7) => Numbers(1),
        (Kind::Tensor, 5) => Numbers(4),
        (Kind::Tensor, 1 | 7 | 11) | (Kind::Attribute, 8) | (Kind::Sparse, 3) => Numbers(8),
        _ => Text,
    }
}

/// Memory of a message itself.
fn size(kind: Kind) -> u64 {
    let bytes = match kind {
        Kind::Graph => size_of::<GraphProto>(),
        Kind::Node => size_of::<NodeProto>(),
        Kind::Attribute => size_of::<AttributeProto>(),
        Kind::Tensor => size_of::<TensorProto>(),
        Kind::Sparse => size_of::<SparseTensorProto>(),
        Kind::Training | Kind::Function => 2 * size_of::<GraphProto>(),
        Kind::Small => size_of::<ValueInfoProto>(),
        Kind::Model => 0,
    };
    bytes as u64
}

/// Bytes of memory that decoding the model in `bytes` will take, about; broken bytes count as far as they can be read.
pub(super) fn memory(bytes: &[u8]) -> u64 {
    inside(Kind::Model, bytes, 0)
}

fn inside(kind: Kind, mut rest: &[u8], depth: usize) -> u64 {
    let mut sum = 0_u64;
    // Groups are no part of this format: the decoder skips them with all that they hold.
    let mut groups = 0_usize;
    while let Some(key) = varint(&mut rest) {
        let number = key >> 3;
        let skipped = match key & 7 {
            // A number in a list of its own: 8 bytes at most.
            0 => varint(&mut rest).map(|_| 8),
            1 => skip(&mut rest, 8).map(|_| 8),
            5 => skip(&mut rest, 4).map(|_| 4),
            2 => varint(&mut rest).and_then(|length| {
                let content = skip(&mut rest, usize::try_from(length).ok()?)?;
                Some(match field(kind, number) {
                    Field::Message(Kind::Small) if groups == 0 => {
                        size(Kind::Small).saturating_add(SMALL_FACTOR.saturating_mul(length))
                    }
                    _ if groups > 0 => 0,
                    Field::Message(inner) if depth < DEEPEST => {
                        size(inner).saturating_add(inside(inner, content, depth + 1))
                    }
                    Field::Message(_) => 0,
                    Field::Text => TEXT + length,
                    Field::Numbers(factor) => length.saturating_mul(factor),
                    Field::Shared => 0,
                })
            }),
            3 => {
                groups += 1;
                Some(0)
            }
            4 if groups > 0 => {
                groups -= 1;
                Some(0)
            }
            _ => None,
        };
        let Some(bytes) = skipped else { break };
        sum = sum.saturating_add(bytes);
    }
    sum
}

fn skip<'bytes>(rest: &mut &'bytes [u8], length: usize) -> Option<&'bytes [u8]> {
    let (skipped, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(skipped)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::float_tensor;
    use crate::onnx::{ModelProto, OnnxError, encode, read_bytes};

    const DEMOS: [&[u8]; 2] = [
        include_bytes!("../../assets/fashion_resnet.onnx"),
        include_bytes!("../../assets/shakespeare_lstm.onnx"),
    ];

    #[test]
    fn elements_of_tensors_cost_nothing_and_real_networks_little() {
        for demo in DEMOS {
            let memory = memory(demo);
            assert!(memory > 10_000 && memory < LARGEST_STRUCTURE / 1000, "{memory}");
        }
        let model = |count: usize| ModelProto {
            graph: Some(GraphProto {
                initializer: vec![float_tensor("w", &[count], &vec![0.0; count])],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        let of = |count| memory(&encode(&model(count)).unwrap());
        assert!(of(100_000) < of(1) + 64);
    }

    /// A graph of `count` times the field `bytes`.
    fn repeated(bytes: &[u8], count: usize) -> Vec<u8> {
        let mut model = vec![8, 8, 7 << 3 | 2];
        prost::encoding::encode_varint((count * bytes.len()) as u64, &mut model);
        for _ in 0..count {
            model.extend(bytes);
        }
        model
    }

    #[test]
    fn a_small_file_of_empty_messages_is_refused_before_it_fills_the_memory() {
        let empty_nodes = repeated(&[1 << 3 | 2, 0], 5_000_000);
        let empty_attributes = repeated(&[1 << 3 | 2, 2, 5 << 3 | 2, 0], 2_000_000);
        let empty_tensors = repeated(&[5 << 3 | 2, 0], 4_000_000);
        let empty_values = repeated(&[11 << 3 | 2, 0], 16_000_000);
        for bytes in [empty_nodes, empty_attributes, empty_tensors, empty_values] {
            assert!(memory(&bytes) > LARGEST_STRUCTURE, "{}", memory(&bytes));
            let Err(OnnxError::Decode(reason)) = read_bytes(bytes.into(), None) else {
                panic!("it must be refused");
            };
            assert!(reason.contains("would take more than 1024 MiB"), "{reason}");
        }
    }

    #[test]
    fn what_decoding_takes_is_not_underrated() {
        // Counted: the messages, without what hangs on them.
        let model = read_bytes(DEMOS[0].into(), None).unwrap();
        let graph = model.graph.unwrap();
        let nodes = graph.node.len() * size_of::<NodeProto>();
        let attributes: usize = graph.node.iter().map(|node| node.attribute.len()).sum();
        let messages =
            nodes + attributes * size_of::<AttributeProto>() + graph.initializer.len() * size_of::<TensorProto>();
        assert!(memory(DEMOS[0]) >= messages as u64);
    }
}
