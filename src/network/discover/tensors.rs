//! The layers of a weights-only file: every tensor of numbers with two or more dimensions, read as torch writes them.

use super::site::{NOTHING, axis_layout};
use super::weight_source::{Weight, shape};
use crate::network::StoredWeights;
use crate::network::layer::{Layer, LayerKind, Support, TensorPlace, Unsupported, WeightSource};
use crate::network::unpacked::{CodesError, Unpacked, of_checkpoint};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, TensorProto, is_float, is_number, undecoded_name};
use std::collections::{HashMap, HashSet};

/// The axis of the input channels as torch writes weights: `W[O, I, k…]`. An embedding looks the same.
const CHANNEL_AXIS: usize = 1;

/// A layer for each tensor. What is on a grid already (integers, 8-bit floats) is there to look at.
pub(super) fn layers(graph: &GraphProto, stored: &StoredWeights, found: &mut Vec<Layer>) {
    let named: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect();
    let companions: HashSet<&str> = stored.companions().collect();
    for (position, tensor) in graph.initializer.iter().enumerate() {
        let own = stored.of_codes(tensor.name());
        let is_companion = companions.contains(tensor.name()) || is_companion(tensor.name(), &named);
        let undecoded = undecoded_name(tensor.data_type());
        let holds_numbers = is_number(tensor.data_type()) || is_complex(tensor) || undecoded.is_some();
        if own.is_none() && (tensor.dims.len() < 2 || !holds_numbers || is_companion) {
            continue;
        }
        let weight = Weight {
            name: tensor.name().to_owned(),
            tensor,
            source: WeightSource {
                subgraphs: Vec::new(),
                tensor: TensorPlace::Initializer(position),
                chain: Vec::new(),
            },
            shape: shape(tensor),
            axes: (0..tensor.dims.len()).collect(),
            dequantized: false,
            obstacle: None,
        };
        let find = |name: &str| named.get(name).copied();
        if let Some((name, stored)) = own {
            let unpacked = stored.unpacked(tensor, find);
            found.push(packed_layer(name.to_owned(), weight, stored.channel_axis, unpacked));
            continue;
        }
        if let Some(unpacked) = of_checkpoint(tensor, &find) {
            let module = weight.name.rsplit_once('.').map_or("", |(module, _)| module);
            found.push(packed_layer(format!("{module}.weight"), weight, CHANNEL_AXIS, unpacked));
            continue;
        }
        let (layout, support) = match (undecoded, weight.sizes()) {
            (Some(kind), _) => {
                let reason = format!("stored as {kind}, which is not decoded");
                (NOTHING, Support::View(reason.into()))
            }
            (None, Ok(_)) if is_complex(tensor) => (NOTHING, Support::View(Unsupported::NotFloats(weight.type_name()))),
            (None, Ok(sizes)) if is_mask(tensor) => {
                let reason = "a mask of attention, kept with the weights: it is no weight";
                (axis_layout(&sizes, CHANNEL_AXIS), Support::View(reason.into()))
            }
            (None, Ok(sizes)) if is_float(tensor) => (axis_layout(&sizes, CHANNEL_AXIS), Support::Split),
            (None, Ok(sizes)) => {
                let reason = Unsupported::WithoutScale(weight.type_name());
                (axis_layout(&sizes, CHANNEL_AXIS), Support::View(reason))
            }
            (None, Err(reason)) => (NOTHING, Support::View(reason)),
        };
        found.push(Layer {
            name: weight.name.clone(),
            kind: LayerKind::Tensor,
            op: "Tensor".to_owned(),
            weight: weight.name,
            shape: weight.shape,
            layout,
            weight_input: 0,
            input: None,
            chosen_axis: None,
            support,
            node: None,
            source: weight.source,
        });
    }
}

/// The layer of a weight that is on a grid, called as in the float file.
fn packed_layer(name: String, weight: Weight<'_>, axis: usize, unpacked: Result<Unpacked, CodesError>) -> Layer {
    let (layout, shape, support) = match unpacked {
        Ok(unpacked) => {
            let reason = Unsupported::Quantized(unpacked.scheme);
            (
                axis_layout(&unpacked.shape, axis),
                unpacked.shape,
                Support::View(reason),
            )
        }
        Err(why) => (
            NOTHING,
            weight.shape,
            Support::View(format!("packed weights: {why}").into()),
        ),
    };
    Layer {
        name,
        kind: LayerKind::Tensor,
        op: "Tensor".to_owned(),
        weight: weight.name,
        shape,
        layout,
        weight_input: 0,
        input: None,
        chosen_axis: None,
        support,
        node: None,
        source: weight.source,
    }
}

/// What formats of quantized checkpoints put beside the integers of `MODULE`: scales, zero points, shapes, groups.
const COMPANIONS: [&str; 12] = [
    "scales",
    "qzeros",
    "g_idx",
    "weight_scale",
    "weight_scale_inv",
    "weight_scale_2",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
    "input_scale",
    "scale",
    "SCB",
];

/// Whether `name` is the companion of integers (GPTQ, AWQ, compressed-tensors, 8-bit floats): no weight, and without a meaning of
/// its own.
pub(in crate::network) fn is_companion(name: &str, named: &HashMap<&str, &TensorProto>) -> bool {
    let Some((module, last)) = name.rsplit_once('.') else {
        return false;
    };
    if !COMPANIONS.contains(&last) {
        return false;
    }
    let beside = |part: &str| named.get(format!("{module}.{part}").as_str()).copied();
    let of_integers = |tensor: &TensorProto| !is_float(tensor);
    beside("qweight").is_some() || beside("weight_packed").is_some() || beside("weight").is_some_and(of_integers)
}

/// Whether `tensor` holds complex numbers, of which there is nothing to look at.
fn is_complex(tensor: &TensorProto) -> bool {
    matches!(tensor.data_type(), data_type::COMPLEX64 | data_type::COMPLEX128)
}

/// Whether `tensor` is a causal mask that old checkpoints keep as a buffer, `[1, 1, n, n]` under the name of a bias.
fn is_mask(tensor: &TensorProto) -> bool {
    let is_square = matches!(tensor.dims[..], [1, 1, rows, columns] if rows == columns);
    let last = tensor.name().rsplit('.').next().unwrap_or_default();
    is_square && matches!(last, "bias" | "masked_bias" | "mask" | "causal_mask")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, i8_tensor, i32_tensor};

    fn found(tensors: Vec<TensorProto>) -> Vec<(String, bool)> {
        let graph = GraphProto {
            initializer: tensors,
            ..GraphProto::default()
        };
        let mut found = Vec::new();
        layers(&graph, &StoredWeights::default(), &mut found);
        found
            .into_iter()
            .map(|layer| (layer.name, layer.support.can_quantize()))
            .collect()
    }

    #[test]
    fn companions_of_packed_weights_are_no_layers() {
        let gptq = found(vec![
            i32_tensor("q.qweight", &[1, 2], &[0; 2]),
            i32_tensor("q.qzeros", &[1, 1], &[0]),
            float_tensor("q.scales", &[1, 2], &[1.0; 2]),
            float_tensor("other.scales", &[1, 2], &[1.0; 2]),
        ]);
        assert_eq!(
            gptq,
            [("q.weight".to_owned(), false), ("other.scales".to_owned(), true)]
        );
        let eight_bits = found(vec![
            i8_tensor("a.weight", &[2, 2], &[0; 4]),
            float_tensor("a.weight_scale", &[2, 1], &[1.0; 2]),
        ]);
        assert_eq!(eight_bits, [("a.weight".to_owned(), false)]);
        // Beside floats a tensor of that name may be anything.
        let floats = found(vec![
            float_tensor("a.weight", &[2, 2], &[0.0; 4]),
            float_tensor("a.scale", &[2, 2], &[1.0; 4]),
        ]);
        assert_eq!(floats.len(), 2);
    }

    #[test]
    fn complex_numbers_are_listed_and_not_read() {
        let mut complex = float_tensor("rotary.freqs_cis", &[1, 2], &[1.0, 0.0, 0.0, 1.0]);
        complex.data_type = Some(data_type::COMPLEX64);
        assert_eq!(found(vec![complex]), [("rotary.freqs_cis".to_owned(), false)]);
    }

    #[test]
    fn a_causal_mask_is_no_weight() {
        let mask = float_tensor("h.0.attn.bias", &[1, 1, 2, 2], &[1.0, 0.0, 1.0, 1.0]);
        assert_eq!(found(vec![mask]), [("h.0.attn.bias".to_owned(), false)]);
    }
}
