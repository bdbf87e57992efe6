//! Networks that benchmarks open and run: real shapes, seeded weights, made on the spot.

use super::tensors::Random;
use splitscope::onnx::build::{float_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::schema::{
    OperatorSetIdProto, TensorShapeProto, TypeProto, data_type, tensor_shape_proto, type_proto,
};
use splitscope::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// DenseNet-121 (Huang et al. 2017, table 1): 120 convolutions and the classifier, 8 M weights, batch-norms apart.
pub(crate) fn densenet121() -> ModelProto {
    let mut net = Maker::new();
    let mut x = net.conv("x", "conv0", [64, 3, 7], 2);
    x = net.batch_norm(&x, "norm0", 64);
    x = net.relu(&x);
    x = net.max_pool(&x);
    let mut channels = 64;
    for (block, layers) in [6, 12, 24, 16].into_iter().enumerate() {
        for layer in 0..layers {
            let name = format!("block{}.layer{}", block + 1, layer + 1);
            let mut y = x.clone();
            for (number, shape) in [(1, [128, channels, 1]), (2, [32, 128, 3])] {
                y = net.batch_norm(&y, &format!("{name}.norm{number}"), shape[1]);
                y = net.relu(&y);
                y = net.conv(&y, &format!("{name}.conv{number}"), shape, 1);
            }
            x = net.op("Concat", &[&x, &y], vec![int_attribute("axis", 1)]);
            channels += 32;
        }
        if block < 3 {
            let name = format!("transition{}", block + 1);
            x = net.batch_norm(&x, &format!("{name}.norm"), channels);
            x = net.relu(&x);
            x = net.conv(&x, &format!("{name}.conv"), [channels / 2, channels, 1], 1);
            channels /= 2;
            let window = vec![
                ints_attribute("kernel_shape", [2, 2]),
                ints_attribute("strides", [2, 2]),
            ];
            x = net.op("AveragePool", &[&x], window);
        }
    }
    x = net.batch_norm(&x, "norm5", channels);
    x = net.relu(&x);
    net.classify(&x, channels, 1000, &[0, 3, 224, 224])
}

/// ResNet-50 (He et al. 2016, table 1): 53 convolutions and the classifier, 25.5 M weights. Batch-norms are folded, as a
/// runtime would do.
pub(crate) fn resnet50() -> ModelProto {
    let mut net = Maker::new();
    let mut x = net.conv("x", "conv1", [64, 3, 7], 2);
    x = net.relu(&x);
    x = net.max_pool(&x);
    let mut channels = 64;
    for (stage, (width, blocks)) in [(64, 3), (128, 4), (256, 6), (512, 3)].into_iter().enumerate() {
        for block in 0..blocks {
            let name = format!("layer{}.{block}", stage + 1);
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            let y = net.conv(&x, &format!("{name}.conv1"), [width, channels, 1], 1);
            let y = net.relu(&y);
            let y = net.conv(&y, &format!("{name}.conv2"), [width, width, 3], stride);
            let y = net.relu(&y);
            let y = net.conv(&y, &format!("{name}.conv3"), [4 * width, width, 1], 1);
            let shortcut = if block == 0 {
                net.conv(&x, &format!("{name}.downsample"), [4 * width, channels, 1], stride)
            } else {
                x
            };
            x = net.op("Add", &[&y, &shortcut], vec![]);
            x = net.relu(&x);
            channels = 4 * width;
        }
    }
    net.classify(&x, channels, 1000, &[0, 3, 224, 224])
}

/// A chain of `layers` small matrices.
pub(crate) fn chain(layers: usize) -> ModelProto {
    const WIDTH: usize = 16;
    let mut net = Maker::new();
    let mut x = "x".to_owned();
    for layer in 0..layers {
        x = net.gemm(
            &x,
            &format!("stage{}.block{}.fc", layer / 100, layer % 100),
            WIDTH,
            WIDTH,
        );
        x = net.relu(&x);
    }
    net.classify_flat(&x, WIDTH, 10, &[0, WIDTH as i64])
}

/// A graph in the making.
struct Maker {
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    random: Random,
}

impl Maker {
    fn new() -> Self {
        Self {
            nodes: Vec::new(),
            weights: Vec::new(),
            random: Random::new(7),
        }
    }

    fn op(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = format!("v{}", self.nodes.len());
        let name = format!("{operator}{}", self.nodes.len());
        let inputs = inputs.iter().copied();
        self.nodes
            .push(node(operator, name, inputs, [output.clone()], attributes));
        output
    }

    fn add(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.weights.push(float_tensor(name, dims, values));
    }

    /// A square convolution `[out, in, side]` that keeps the size, but for its stride.
    fn conv(&mut self, x: &str, name: &str, [outputs, inputs, side]: [usize; 3], stride: i64) -> String {
        let weights = self
            .random
            .weights(outputs * inputs * side * side, inputs * side * side);
        self.add(&format!("{name}.weight"), &[outputs, inputs, side, side], &weights);
        let bias: Vec<f32> = (0..outputs).map(|_| self.random.uniform() * 0.1).collect();
        self.add(&format!("{name}.bias"), &[outputs], &bias);
        let pad = side as i64 / 2;
        let attributes = vec![
            ints_attribute("kernel_shape", [side as i64; 2]),
            ints_attribute("strides", [stride; 2]),
            ints_attribute("pads", [pad; 4]),
            ints_attribute("dilations", [1, 1]),
        ];
        self.op(
            "Conv",
            &[x, &format!("{name}.weight"), &format!("{name}.bias")],
            attributes,
        )
    }

    fn batch_norm(&mut self, x: &str, name: &str, channels: usize) -> String {
        let parts = [
            ("weight", 0.5),
            ("bias", -0.1),
            ("running_mean", 0.0),
            ("running_var", 0.8),
        ];
        for (part, low) in parts {
            let values: Vec<f32> = (0..channels).map(|_| low + 0.4 * self.random.uniform()).collect();
            self.add(&format!("{name}.{part}"), &[channels], &values);
        }
        let inputs = parts.map(|(part, _)| format!("{name}.{part}"));
        let inputs = [x, &inputs[0], &inputs[1], &inputs[2], &inputs[3]];
        self.op("BatchNormalization", &inputs, vec![])
    }

    fn relu(&mut self, x: &str) -> String {
        self.op("Relu", &[x], vec![])
    }

    /// 3x3, stride 2: half the size.
    fn max_pool(&mut self, x: &str) -> String {
        let attributes = vec![
            ints_attribute("kernel_shape", [3, 3]),
            ints_attribute("strides", [2, 2]),
            ints_attribute("pads", [1; 4]),
        ];
        self.op("MaxPool", &[x], attributes)
    }

    fn gemm(&mut self, x: &str, name: &str, inputs: usize, outputs: usize) -> String {
        let weights = self.random.weights(inputs * outputs, inputs);
        self.add(&format!("{name}.weight"), &[outputs, inputs], &weights);
        self.add(&format!("{name}.bias"), &[outputs], &vec![0.0; outputs]);
        let transposed = vec![int_attribute("transB", 1)];
        self.op(
            "Gemm",
            &[x, &format!("{name}.weight"), &format!("{name}.bias")],
            transposed,
        )
    }

    /// The end of a network of pictures.
    fn classify(mut self, x: &str, channels: usize, classes: usize, input: &[i64]) -> ModelProto {
        let x = self.op("GlobalAveragePool", &[x], vec![]);
        let x = self.op("Flatten", &[&x], vec![]);
        self.classify_flat(&x, channels, classes, input)
    }

    fn classify_flat(mut self, x: &str, channels: usize, classes: usize, input: &[i64]) -> ModelProto {
        let logits = self.gemm(x, "classifier", channels, classes);
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                version: Some(17),
                ..OperatorSetIdProto::default()
            }],
            graph: Some(GraphProto {
                name: Some("graph".into()),
                node: self.nodes,
                initializer: self.weights,
                input: vec![port("x", input)],
                output: vec![port(&logits, &[0, classes as i64])],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }
}

/// An input or output of floats; a size of 0 is free.
fn port(name: &str, sizes: &[i64]) -> ValueInfoProto {
    let dimension = |size: &i64| tensor_shape_proto::Dimension {
        value: Some(match size {
            0 => tensor_shape_proto::Value::DimParam("batch".to_owned()),
            size => tensor_shape_proto::Value::DimValue(*size),
        }),
        denotation: None,
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(data_type::FLOAT),
        shape: Some(TensorShapeProto {
            dim: sizes.iter().map(dimension).collect(),
        }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            denotation: None,
        }),
        ..ValueInfoProto::default()
    }
}
