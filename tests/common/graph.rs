//! Graphs of a few nodes as models and networks, and what they compute.

use splitscope::data::Tensor;
use splitscope::inference::{Engine, Rten};
use splitscope::network::{Format, Network};
use splitscope::onnx::schema::{
    OperatorSetIdProto, TensorShapeProto, TypeProto, data_type, tensor_shape_proto, type_proto,
};
use splitscope::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};

/// An input or output of which only the name is known.
pub(crate) fn value(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..ValueInfoProto::default()
    }
}

/// An input or output of this type; a size of 0 is free.
pub(crate) fn typed(name: &str, element_type: i32, sizes: &[i64]) -> ValueInfoProto {
    let dimension = |(axis, size): (usize, &i64)| tensor_shape_proto::Dimension {
        value: Some(if *size == 0 {
            tensor_shape_proto::Value::DimParam(format!("axis{axis}"))
        } else {
            tensor_shape_proto::Value::DimValue(*size)
        }),
        denotation: None,
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(element_type),
        shape: Some(TensorShapeProto {
            dim: sizes.iter().enumerate().map(dimension).collect(),
        }),
    };
    ValueInfoProto {
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..value(name)
    }
}

/// [`typed`], of floats.
pub(crate) fn floats(name: &str, sizes: &[i64]) -> ValueInfoProto {
    typed(name, data_type::FLOAT, sizes)
}

/// A model of one graph.
pub(crate) fn model(
    opset: i64,
    (nodes, constants): (Vec<NodeProto>, Vec<TensorProto>),
    inputs: Vec<ValueInfoProto>,
    outputs: Vec<ValueInfoProto>,
) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(opset),
        }],
        graph: Some(GraphProto {
            name: Some("g".to_owned()),
            node: nodes,
            initializer: constants,
            input: inputs,
            output: outputs,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// A model as a network that comes from no file.
pub(crate) fn network(model: ModelProto) -> Network {
    Network::new("test", None, Format::Onnx, model).unwrap()
}

/// What the engine makes `y` when `x` is these numbers.
pub(crate) fn run(model: &ModelProto, shape: &[usize], x: &[f32]) -> Vec<f32> {
    let engine = Rten::load(encode(model).unwrap()).unwrap();
    let x = Tensor::from_shape(shape, x.to_vec()).unwrap();
    let y = engine.run(&[("x", &x)], &["y"]).unwrap().remove(0);
    y.floats().unwrap().to_vec()
}
