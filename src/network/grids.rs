//! Weights that quantized checkpoints pack, as tensors that a `DequantizeLinear` reads: for the graph of a file that has none.

use super::discover::is_companion;
use super::unpacked::{Unpacked, of_checkpoint};
use crate::onnx::build::{float_tensor, i8_tensor, int_attribute, node, raw_tensor, u8_tensor, uint4_tensor};
use crate::onnx::schema::data_type;
use crate::onnx::{AttributeProto, Conversion, GraphProto, ModelProto, NodeProto, TensorProto};
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How the codes of a weight become numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PackedGrid {
    /// Names of the tensors of scales and of zero points.
    scale: String,
    zero: Option<String>,
    attributes: Vec<AttributeProto>,
    /// The operator set that `DequantizeLinear` needs for it.
    pub(crate) operator_set: i64,
    /// Which format it was, for a person.
    pub(crate) scheme: String,
}

impl PackedGrid {
    /// The node that reads the codes `codes` and gives numbers.
    pub(crate) fn node(&self, name: &str, codes: &str, output: &str) -> NodeProto {
        let inputs = [codes.to_owned(), self.scale.clone()]
            .into_iter()
            .chain(self.zero.clone());
        node("DequantizeLinear", name, inputs, [output], self.attributes.clone())
    }

    /// Names of the tensors beside the codes.
    pub(crate) fn companions(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.scale.as_str()).chain(self.zero.as_deref())
    }
}

/// Weights of a file that may be packed in the order of activations: each of them gets a scale of its own, which takes ten times the
/// file.
const MAX_LISTED: usize = 1 << 28;

/// A file whose weights are no longer packed.
pub(crate) struct OnGrids {
    /// Each packed weight as its codes, under the name `MODULE.weight` of a float file, its scales and zero points; the other tensors
    /// as they are.
    pub(crate) model: ModelProto,
    /// The grids by the names of the weights.
    pub(crate) grids: HashMap<String, PackedGrid>,
    /// A tensor that is packed in the order of activations, if there are too many such.
    pub(crate) too_large: Option<String>,
}

/// The tensors of `model` without packing. Nothing where none is packed; what cannot be read stays as it is.
pub(crate) fn on_grids(model: &ModelProto) -> Option<OnGrids> {
    within(model, MAX_LISTED)
}

fn within(model: &ModelProto, most_listed: usize) -> Option<OnGrids> {
    let tensors = model.graph.as_ref()?.initializer.as_slice();
    let named: HashMap<&str, &TensorProto> = tensors.iter().map(|tensor| (tensor.name(), tensor)).collect();
    let find = |name: &str| named.get(name).copied();
    let (listed, too_large) = (AtomicUsize::new(0), OnceLock::new());
    let parts_of = |tensor: &TensorProto| {
        let module = tensor.name().rsplit_once('.')?.0;
        let unpacked = of_checkpoint(tensor, &find)?.ok()?;
        let weights: usize = unpacked.shape.iter().product();
        let is_listed = unpacked.conversion.as_ref().is_ok_and(Conversion::is_listed);
        if is_listed && listed.fetch_add(weights, Ordering::Relaxed) + weights > most_listed {
            too_large.get_or_init(|| tensor.name().to_owned());
            return None;
        }
        Parts::of(&unpacked, module)
    };
    let parts: Vec<Option<Parts>> = tensors.par_iter().map(parts_of).collect();
    let module_of = |tensor: &'_ TensorProto| tensor.name().rsplit_once('.').map(|(module, _)| module.to_owned());
    let packed = tensors.iter().zip(&parts).filter(|(_, parts)| parts.is_some());
    let modules: HashSet<String> = packed.filter_map(|(tensor, _)| module_of(tensor)).collect();
    let too_large = too_large.into_inner();
    if modules.is_empty() && too_large.is_none() {
        return None;
    }
    let (mut initializer, mut grids) = (Vec::with_capacity(tensors.len()), HashMap::new());
    for (tensor, parts) in tensors.iter().zip(parts) {
        let of_packed = || module_of(tensor).is_some_and(|module| modules.contains(&module));
        if let Some(parts) = parts {
            grids.insert(parts.codes.name().to_owned(), parts.grid);
            let codes_and_scale = [parts.codes, parts.scale];
            initializer.extend(codes_and_scale.into_iter().chain(parts.zero));
        } else if !(of_packed() && is_companion(tensor.name(), &named)) {
            initializer.push(tensor.clone());
        }
    }
    let graph = GraphProto {
        initializer,
        ..GraphProto::default()
    };
    let spread = ModelProto {
        graph: Some(graph),
        metadata_props: model.metadata_props.clone(),
        ..ModelProto::default()
    };
    Some(OnGrids {
        model: spread,
        grids,
        too_large,
    })
}

/// The tensors of a weight.
struct Parts {
    codes: TensorProto,
    scale: TensorProto,
    zero: Option<TensorProto>,
    grid: PackedGrid,
}

impl Parts {
    fn of(unpacked: &Unpacked, module: &str) -> Option<Self> {
        let conversion = unpacked.conversion.as_ref().ok()?;
        let [outputs, ref rest @ ..] = unpacked.shape[..] else {
            return None;
        };
        let inputs: usize = rest.iter().product();
        let (scales, zeros, block) = conversion.in_rows(outputs, inputs)?;
        let block = block.max(1);
        let whole = scales.len() == 1;
        let by_row = whole || block >= inputs;
        if !by_row && rest.len() != 1 {
            return None;
        }
        let dims: Vec<usize> = match (whole, by_row) {
            (true, _) => Vec::new(),
            (_, true) => vec![outputs],
            _ => vec![outputs, inputs.div_ceil(block)],
        };
        // Two bits have no type before operator set 25, and a zero point may be one beyond four bits.
        let code_type = match unpacked.element_type {
            data_type::UINT2 => data_type::UINT4,
            other => other,
        };
        let code_type = match code_type {
            data_type::UINT4 if zeros.iter().any(|zero| *zero > 15.0) => data_type::UINT8,
            other => other,
        };
        let [weight, scale, zero] =
            ["weight", "weight_scale", "weight_zero_point"].map(|part| format!("{module}.{part}"));
        let zero_point = match zeros.as_slice() {
            [] => None,
            zeros => Some(integers(zero.clone(), code_type, &dims, zeros)?),
        };
        let codes = match unpacked.codes.as_stored() {
            Some(bytes) if code_type == unpacked.element_type => raw_tensor(weight, code_type, &unpacked.shape, bytes),
            _ => integers(weight, code_type, &unpacked.shape, &unpacked.codes.converted())?,
        };
        let (attributes, operator_set) = match (code_type, by_row) {
            (_, false) => (
                vec![
                    int_attribute("axis", 1),
                    int_attribute("block_size", i64::try_from(block).ok()?),
                ],
                21,
            ),
            (data_type::INT8 | data_type::UINT8, true) => (vec![int_attribute("axis", 0)], 13),
            (_, true) => (vec![int_attribute("axis", 0)], 21),
        };
        Some(Self {
            grid: PackedGrid {
                scale: scale.clone(),
                zero: zero_point.as_ref().map(|_| zero),
                attributes,
                operator_set,
                scheme: unpacked.scheme.clone(),
            },
            codes,
            scale: float_tensor(scale, &dims, &scales),
            zero: zero_point,
        })
    }
}

/// A tensor of integers; `None` where one is no such integer.
fn integers(name: String, element_type: i32, dims: &[usize], values: &[f32]) -> Option<TensorProto> {
    let range = match element_type {
        data_type::INT8 => -128.0..=127.0,
        data_type::UINT8 => 0.0..=255.0,
        data_type::UINT4 => 0.0..=15.0,
        _ => return None,
    };
    let fits = values.iter().all(|value| range.contains(value) && value.fract() == 0.0);
    let unsigned = || values.iter().map(|value| *value as u8).collect::<Vec<u8>>();
    fits.then(|| match element_type {
        data_type::INT8 => i8_tensor(
            name,
            dims,
            &values.iter().map(|value| *value as i8).collect::<Vec<i8>>(),
        ),
        data_type::UINT8 => u8_tensor(name, dims, &unsigned()),
        _ => uint4_tensor(name, dims, &unsigned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::i32_tensor;

    /// 8 outputs of 16 inputs in two groups, whose inputs belong to `group`.
    fn gptq(group: fn(i32) -> i32) -> ModelProto {
        let initializer = vec![
            i32_tensor("q.qweight", &[2, 8], &[0x7654_3210; 16]),
            i32_tensor("q.qzeros", &[2, 1], &[0x7777_7777; 2]),
            float_tensor("q.scales", &[2, 8], &[0.5; 16]),
            i32_tensor("q.g_idx", &[16], &(0..16).map(group).collect::<Vec<i32>>()),
            float_tensor("q.bias", &[8], &[0.0; 8]),
        ];
        ModelProto {
            graph: Some(GraphProto {
                initializer,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn what_is_not_packed_stays_and_companions_go() {
        let spread = within(&gptq(|input| input / 8), 0).unwrap();
        let tensors = spread.model.graph.unwrap().initializer;
        let names: Vec<&str> = tensors.iter().map(TensorProto::name).collect();
        assert_eq!(names, ["q.weight", "q.weight_scale", "q.weight_zero_point", "q.bias"]);
        assert_eq!(
            (tensors[0].dims.as_slice(), tensors[1].dims.as_slice()),
            (&[8, 16][..], &[8, 2][..])
        );
        // Four bits stay four bits.
        assert_eq!(tensors[0].raw_data.as_ref().unwrap().len(), 64);
        assert_eq!(spread.grids["q.weight"].operator_set, 21);
        assert_eq!(spread.too_large, None);
    }

    #[test]
    fn a_large_file_in_the_order_of_activations_is_told() {
        let model = gptq(|input| input % 2);
        assert_eq!(within(&model, 128).unwrap().too_large, None);
        assert_eq!(within(&model, 127).unwrap().too_large.as_deref(), Some("q.qweight"));
    }
}
