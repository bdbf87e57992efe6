//! Small constructors and getters for those who read or rewrite graphs: tensors, nodes, attributes, opset, metadata.
//!
//! Every tensor made here holds its elements in `raw_data`, little-endian. The constructors trust their caller that
//! `dims` and the number of values agree; [`super::tensor_bytes`] refuses a tensor where they don't.

use super::schema::{
    OperatorSetIdProto, StringStringEntryProto, TensorShapeProto, TypeProto, attribute_type, data_type,
    tensor_shape_proto, type_proto,
};
use super::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use bytes::Bytes;

/// An F32 tensor of shape `dims`, `values` in row-major order.
pub fn float_tensor(name: impl Into<String>, dims: &[usize], values: &[f32]) -> TensorProto {
    let raw = if cfg!(target_endian = "little") {
        bytemuck::cast_slice(values).to_vec()
    } else {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    };
    raw_tensor(name, data_type::FLOAT, dims, raw)
}

/// An INT8 tensor of shape `dims`.
pub fn i8_tensor(name: impl Into<String>, dims: &[usize], values: &[i8]) -> TensorProto {
    raw_tensor(name, data_type::INT8, dims, bytemuck::cast_slice(values).to_vec())
}

/// A UINT8 tensor of shape `dims`.
pub fn u8_tensor(name: impl Into<String>, dims: &[usize], values: &[u8]) -> TensorProto {
    raw_tensor(name, data_type::UINT8, dims, values.to_vec())
}

/// An INT4 tensor of shape `dims` (operator set 21 and later): two integers a byte, the first in the low half. Of each value the
/// lowest four bits are kept, which hold -8 to 7.
///
/// ```
/// # use splitscope::onnx::build::int4_tensor;
/// assert_eq!(int4_tensor("w", &[3], &[-8, 7, -1]).raw_data.as_deref(), Some(&[0x78, 0x0f][..]));
/// ```
pub fn int4_tensor(name: impl Into<String>, dims: &[usize], values: &[i8]) -> TensorProto {
    packed_tensor(name, data_type::INT4, 4, dims, bytemuck::cast_slice(values))
}

/// A UINT4 tensor of shape `dims` (operator set 21 and later), packed as [`int4_tensor`]: 0 to 15.
pub fn uint4_tensor(name: impl Into<String>, dims: &[usize], values: &[u8]) -> TensorProto {
    packed_tensor(name, data_type::UINT4, 4, dims, values)
}

/// An INT2 tensor of shape `dims` (operator set 25 and later): four integers a byte, the first in the lowest two bits. Of each
/// value the lowest two bits are kept, which hold -2 to 1.
pub fn int2_tensor(name: impl Into<String>, dims: &[usize], values: &[i8]) -> TensorProto {
    packed_tensor(name, data_type::INT2, 2, dims, bytemuck::cast_slice(values))
}

/// A UINT2 tensor of shape `dims` (operator set 25 and later), packed as [`int2_tensor`]: 0 to 3.
pub fn uint2_tensor(name: impl Into<String>, dims: &[usize], values: &[u8]) -> TensorProto {
    packed_tensor(name, data_type::UINT2, 2, dims, values)
}

/// A tensor of elements of `bits` bits, which divide 8: the lowest bits of each code, the first code in the low end of its byte.
pub(super) fn packed_tensor(
    name: impl Into<String>,
    element_type: i32,
    bits: usize,
    dims: &[usize],
    codes: &[u8],
) -> TensorProto {
    let mask = (1_u8 << bits) - 1;
    let byte = |codes: &[u8]| {
        let shifted = codes.iter().enumerate().map(|(at, code)| (code & mask) << (at * bits));
        shifted.fold(0, |byte, code| byte | code)
    };
    let bytes: Vec<u8> = codes.chunks(8 / bits).map(byte).collect();
    raw_tensor(name, element_type, dims, bytes)
}

/// An INT32 tensor of shape `dims`.
pub fn i32_tensor(name: impl Into<String>, dims: &[usize], values: &[i32]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, data_type::INT32, dims, raw)
}

/// An INT64 tensor of shape `dims`.
pub fn i64_tensor(name: impl Into<String>, dims: &[usize], values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    raw_tensor(name, data_type::INT64, dims, raw)
}

/// An F32 tensor without dimensions.
pub fn scalar_f32(name: impl Into<String>, value: f32) -> TensorProto {
    float_tensor(name, &[], &[value])
}

/// An INT64 tensor without dimensions.
pub fn scalar_i64(name: impl Into<String>, value: i64) -> TensorProto {
    i64_tensor(name, &[], &[value])
}

/// An INT8 tensor without dimensions.
pub fn scalar_i8(name: impl Into<String>, value: i8) -> TensorProto {
    i8_tensor(name, &[], &[value])
}

/// A UINT8 tensor without dimensions.
pub fn scalar_u8(name: impl Into<String>, value: u8) -> TensorProto {
    u8_tensor(name, &[], &[value])
}

/// A tensor of any element type (see [`data_type`]) from its little-endian bytes.
pub fn raw_tensor(
    name: impl Into<String>,
    element_type: i32,
    dims: &[usize],
    little_endian: impl Into<Bytes>,
) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        data_type: Some(element_type),
        // No machine has a dimension that i64 cannot hold; a size beyond it would be refused when the tensor is read.
        dims: dims.iter().map(|&size| i64::try_from(size).unwrap_or(-1)).collect(),
        raw_data: Some(little_endian.into()),
        ..TensorProto::default()
    }
}

/// The description of an F32 value of shape `dims`.
pub fn float_value_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |&size: &i64| tensor_shape_proto::Dimension {
        value: Some(tensor_shape_proto::Value::DimValue(size)),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(data_type::FLOAT),
        shape: Some(TensorShapeProto {
            dim: dims.iter().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}

/// One axis of an input or output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// Of this size.
    Size(usize),
    /// Of any size, by the name of the axis.
    Free(&'static str),
}

/// The description of a value of `element_type` (see [`data_type`]) with these axes.
pub fn value_info(name: &str, element_type: i32, axes: &[Axis]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, Value};
    let dim = axes.iter().map(|axis| Dimension {
        value: Some(match axis {
            Axis::Size(size) => Value::DimValue(i64::try_from(*size).unwrap_or(i64::MAX)),
            Axis::Free(name) => Value::DimParam((*name).to_owned()),
        }),
        denotation: None,
    });
    let tensor = type_proto::Tensor {
        elem_type: Some(element_type),
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}

/// A node of the standard operator set.
pub fn node<I: Into<String>, O: Into<String>>(
    op_type: impl Into<String>,
    name: impl Into<String>,
    inputs: impl IntoIterator<Item = I>,
    outputs: impl IntoIterator<Item = O>,
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        op_type: Some(op_type.into()),
        name: Some(name.into()),
        input: inputs.into_iter().map(Into::into).collect(),
        output: outputs.into_iter().map(Into::into).collect(),
        attribute: attributes,
        ..NodeProto::default()
    }
}

/// The attribute `name = value`, an integer.
pub fn int_attribute(name: impl Into<String>, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute_of(name, attribute_type::INT)
    }
}

/// The attribute `name = values`, integers.
pub fn ints_attribute(name: impl Into<String>, values: impl Into<Vec<i64>>) -> AttributeProto {
    AttributeProto {
        ints: values.into(),
        ..attribute_of(name, attribute_type::INTS)
    }
}

/// The attribute `name = value`, a float.
pub fn float_attribute(name: impl Into<String>, value: f32) -> AttributeProto {
    AttributeProto {
        f: Some(value),
        ..attribute_of(name, attribute_type::FLOAT)
    }
}

/// The attribute `name = value`, a string.
pub fn string_attribute(name: impl Into<String>, value: impl Into<String>) -> AttributeProto {
    AttributeProto {
        s: Some(Bytes::from(value.into())),
        ..attribute_of(name, attribute_type::STRING)
    }
}

/// The attribute `name = value`, a tensor.
pub fn tensor_attribute(name: impl Into<String>, value: TensorProto) -> AttributeProto {
    AttributeProto {
        t: Some(value),
        ..attribute_of(name, attribute_type::TENSOR)
    }
}

fn attribute_of(name: impl Into<String>, kind: i32) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        r#type: Some(kind),
        ..AttributeProto::default()
    }
}

/// The attribute of `node` called `name`.
pub fn attribute<'node>(node: &'node NodeProto, name: &str) -> Option<&'node AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name() == name)
}

/// The integer attribute of `node` called `name`.
pub fn attribute_int(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name)?.i
}

/// The attribute of `node` called `name`, a list of integers; `None` when there is no such attribute.
pub fn attribute_ints<'node>(node: &'node NodeProto, name: &str) -> Option<&'node [i64]> {
    attribute(node, name).map(|attribute| attribute.ints.as_slice())
}

/// The float attribute of `node` called `name`.
pub fn attribute_float(node: &NodeProto, name: &str) -> Option<f32> {
    attribute(node, name)?.f
}

/// The string attribute of `node` called `name`, if it is UTF-8.
pub fn attribute_string<'node>(node: &'node NodeProto, name: &str) -> Option<&'node str> {
    std::str::from_utf8(attribute(node, name)?.s.as_ref()?).ok()
}

/// The tensor attribute of `node` called `name`.
pub fn attribute_tensor<'node>(node: &'node NodeProto, name: &str) -> Option<&'node TensorProto> {
    attribute(node, name)?.t.as_ref()
}

/// Whether `domain` names the standard operator set.
pub fn is_standard_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Version of the standard operator set (domain `""` or `"ai.onnx"`) that the model imports.
pub fn opset_version(model: &ModelProto) -> Option<i64> {
    model
        .opset_import
        .iter()
        .find(|import| is_standard_domain(import.domain()))
        .map(super::schema::OperatorSetIdProto::version)
}

/// The free metadata entry of the model called `key`.
pub fn metadata<'model>(model: &'model ModelProto, key: &str) -> Option<&'model str> {
    model
        .metadata_props
        .iter()
        .find(|entry| entry.key() == key)
        .map(StringStringEntryProto::value)
}

/// Sets the free metadata entry of the model called `key`, replacing what it held.
pub fn set_metadata(model: &mut ModelProto, key: impl Into<String>, value: impl Into<String>) {
    let key = key.into();
    model.metadata_props.retain(|entry| entry.key() != key);
    model.metadata_props.push(StringStringEntryProto {
        key: Some(key),
        value: Some(value.into()),
    });
}

/// A model of that graph in the standard operator set of version `opset`, IR version 8.
pub fn model_of(opset: i64, graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(opset),
            ..OperatorSetIdProto::default()
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::schema::OperatorSetIdProto;

    #[test]
    fn a_float_tensor_holds_its_values_as_little_endian_raw_data() {
        let tensor = float_tensor("w", &[1, 2], &[1.0, -2.5]);
        assert_eq!(tensor.dims, [1, 2]);
        assert_eq!(tensor.data_type, Some(data_type::FLOAT));
        assert_eq!(tensor.raw_data.as_deref(), Some(&[0, 0, 128, 63, 0, 0, 32, 192][..]));
        assert!(tensor.float_data.is_empty());
    }

    #[test]
    fn integers_keep_their_sign() {
        assert_eq!(i8_tensor("q", &[2], &[-1, 7]).raw_data.as_deref(), Some(&[255, 7][..]));
        assert_eq!(
            scalar_i64("n", -2).raw_data.as_deref(),
            Some(&(-2_i64).to_le_bytes()[..])
        );
        assert_eq!(scalar_i64("n", -2).dims, [0_i64; 0]);
    }

    #[test]
    fn attributes_are_found_by_name_and_kind() {
        let node = node(
            "Gather",
            "g",
            ["x", "index"],
            ["y"],
            vec![
                int_attribute("axis", -1),
                ints_attribute("pads", [1, 2]),
                float_attribute("alpha", 0.5),
                string_attribute("mode", "linear"),
            ],
        );
        assert_eq!(attribute_int(&node, "axis"), Some(-1));
        assert_eq!(attribute_int(&node, "alpha"), None);
        assert_eq!(attribute_ints(&node, "pads"), Some(&[1, 2][..]));
        assert_eq!(attribute_ints(&node, "strides"), None);
        assert_eq!(attribute_float(&node, "alpha"), Some(0.5));
        assert_eq!(attribute_string(&node, "mode"), Some("linear"));
    }

    #[test]
    fn the_standard_opset_has_two_names() {
        let import = |domain: Option<&str>, version| OperatorSetIdProto {
            domain: domain.map(str::to_owned),
            version: Some(version),
        };
        let model = |imports| ModelProto {
            opset_import: imports,
            ..ModelProto::default()
        };
        assert_eq!(
            opset_version(&model(vec![import(Some("com.microsoft"), 1), import(None, 17)])),
            Some(17)
        );
        assert_eq!(opset_version(&model(vec![import(Some("ai.onnx"), 9)])), Some(9));
        assert_eq!(opset_version(&model(vec![import(Some("ai.onnx.ml"), 3)])), None);
    }

    #[test]
    fn metadata_set_twice_is_kept_once() {
        let mut model = ModelProto::default();
        set_metadata(&mut model, "recipe", "a");
        set_metadata(&mut model, "recipe", "b");
        assert_eq!(metadata(&model, "recipe"), Some("b"));
        assert_eq!(model.metadata_props.len(), 1);
    }
}
