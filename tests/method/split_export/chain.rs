//! Networks whose nodes stand in a row.

use crate::common::graph::{floats, model, network, value};
use splitscope::network::Network;
use splitscope::onnx::build::{float_tensor, int_attribute, ints_attribute, node, scalar_f32};
use splitscope::onnx::{AttributeProto, NodeProto, TensorProto};

/// A network under construction: nodes in a row, each reading what the one before made.
pub(crate) struct Chain {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<NodeProto>,
    pub(crate) constants: Vec<TensorProto>,
    pub(crate) value: String,
    pub(crate) channels: usize,
}

impl Chain {
    pub(crate) fn new(seed: u64, channels: usize) -> Self {
        Self {
            seed,
            nodes: Vec::new(),
            constants: Vec::new(),
            value: "x".to_owned(),
            channels,
        }
    }

    /// Seeded, uniform from 0 to 1.
    pub(crate) fn draw(&mut self) -> f32 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 40) as f32 / (1 << 24) as f32
    }

    pub(crate) fn choose(&mut self, count: usize) -> usize {
        ((self.draw() * count as f32) as usize).min(count - 1)
    }

    pub(crate) fn constant(&mut self, shape: &[usize], low: f32, high: f32) -> String {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| low + (high - low) * self.draw()).collect();
        let name = format!("t{}", self.constants.len());
        self.constants.push(float_tensor(name.clone(), shape, &values));
        name
    }

    /// Adds a node that reads the value of the chain and then `constants`.
    pub(crate) fn push(&mut self, op: &str, constants: &[String], attributes: Vec<AttributeProto>) {
        let output = format!("v{}", self.nodes.len());
        let inputs = [std::mem::replace(&mut self.value, output.clone())];
        let inputs = inputs.into_iter().chain(constants.iter().cloned());
        let name = format!("{op}{}", self.nodes.len());
        self.nodes.push(node(op, name, inputs, [output], attributes));
    }

    pub(crate) fn conv(&mut self, outputs: usize, size: usize, groups: usize) {
        let mut inputs = vec![self.constant(&[outputs, self.channels / groups, size, size], -0.5, 0.5)];
        if self.choose(2) == 1 {
            inputs.push(self.constant(&[outputs], -1.0, 1.0));
        }
        let (groups, pad) = (groups as i64, size as i64 / 2);
        let attributes = vec![
            int_attribute("group", groups),
            ints_attribute("strides", [1, 1]),
            ints_attribute("dilations", [1, 1]),
            ints_attribute("pads", [pad; 4]),
        ];
        self.push("Conv", &inputs, attributes);
        self.channels = outputs;
    }

    pub(crate) fn norm(&mut self) {
        let channels = [self.channels];
        let ranges = [(0.5, 1.5), (-1.0, 1.0), (-1.0, 1.0), (0.5, 2.0)];
        let parts: Vec<String> = (ranges.iter())
            .map(|(low, high)| self.constant(&channels, *low, *high))
            .collect();
        self.push("BatchNormalization", &parts, vec![]);
    }

    /// One of the nodes that keep channels apart, on a picture.
    pub(crate) fn between(&mut self) {
        let channels = self.channels;
        let windows = |kernel: i64| {
            vec![
                ints_attribute("kernel_shape", [kernel; 2]),
                ints_attribute("strides", [1, 1]),
            ]
        };
        match self.choose(9) {
            0 => self.push("Relu", &[], vec![]),
            1 => self.push("Sigmoid", &[], vec![]),
            2 => self.push("HardSwish", &[], vec![]),
            3 => {
                let bounds = [(-1.0, "low"), (2.0, "high")].map(|(bound, end)| {
                    let name = format!("{end}{}", self.constants.len());
                    self.constants.push(scalar_f32(name.clone(), bound));
                    name
                });
                self.push("Clip", &bounds, vec![]);
            }
            4 => self.push("MaxPool", &[], windows(2)),
            5 => self.push("AveragePool", &[], windows(2)),
            6 => self.norm(),
            7 => {
                let shift = self.constant(&[channels, 1, 1], -1.0, 1.0);
                self.push("Add", &[shift], vec![]);
            }
            _ => {
                let slope = self.constant(&[1, channels, 1, 1], 0.0, 0.5);
                self.push("Mul", &[slope], vec![]);
            }
        }
    }

    pub(crate) fn gemm(&mut self, outputs: usize) {
        let stored_by_output = self.choose(2) == 1;
        let shape = if stored_by_output {
            [outputs, self.channels]
        } else {
            [self.channels, outputs]
        };
        let mut inputs = vec![self.constant(&shape, -0.5, 0.5)];
        match self.choose(3) {
            0 => inputs.push(self.constant(&[outputs], -1.0, 1.0)),
            1 => inputs.push(self.constant(&[1, outputs], -1.0, 1.0)),
            _ => {}
        }
        self.push(
            "Gemm",
            &inputs,
            vec![int_attribute("transB", i64::from(stored_by_output))],
        );
        self.channels = outputs;
    }

    pub(crate) fn matmul(&mut self, outputs: usize) {
        let weight = self.constant(&[self.channels, outputs], -0.5, 0.5);
        self.push("MatMul", &[weight], vec![]);
        let bias = self.constant(&[outputs], -1.0, 1.0);
        self.push("Add", &[bias], vec![]);
        self.channels = outputs;
    }

    pub(crate) fn network(mut self) -> Network {
        if let Some(last) = self.nodes.last_mut() {
            last.output = vec!["y".to_owned()];
        }
        let x = floats("x", &SHAPE.map(|size| size as i64));
        network(model(14, (self.nodes, self.constants), vec![x], vec![value("y")]))
    }
}

pub(crate) const SHAPE: [usize; 4] = [2, 3, 12, 12];

/// Convolutions, also depthwise, with what may stand between them, then matrices.
pub(crate) fn random_network(seed: u64) -> Network {
    let mut chain = Chain::new(seed, SHAPE[1]);
    for _ in 0..3 {
        let outputs = 4 + chain.choose(6);
        let size = 1 + 2 * chain.choose(2);
        chain.conv(outputs, size, 1);
        for _ in 0..chain.choose(4) {
            chain.between();
        }
        if chain.choose(3) == 0 {
            chain.conv(outputs, 3, outputs);
            chain.between();
        }
    }
    chain.push("GlobalAveragePool", &[], vec![]);
    chain.push("Flatten", &[], vec![]);
    chain.gemm(7);
    chain.push("Tanh", &[], vec![]);
    chain.matmul(6);
    chain.push("LeakyRelu", &[], vec![]);
    chain.gemm(5);
    chain.network()
}
