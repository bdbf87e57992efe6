//! Rewriting, on random small networks of every kind of layer: what comes out is valid, computes the same as long as there is no
//! grid, and can be read again with its grids on.

mod kinds;

use crate::common::graph::{self, floats, model, network, value};
use crate::common::relative_difference;
use kinds::{Rare, rare};
use proptest::collection::vec;
use proptest::prelude::*;
use splitscope::inference::{DataOptions, Rten, data_free_activations};
use splitscope::network::{LayerKind, Network};
use splitscope::onnx::build::{float_tensor, int_attribute, ints_attribute, metadata, node, string_attribute};
use splitscope::onnx::{AttributeProto, ModelProto, NodeProto, TensorProto, encode, read_bytes};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Clip, Granularity, Outcome, RECIPE_KEY, Recipe, SplitExport, plan, prepare, rewrite, split_only,
};

/// Samples, channels, height and width of the input.
pub(super) const SHAPE: [usize; 4] = [2, 4, 8, 8];

/// What may stand in the part that works on pictures.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Conv {
        outputs: usize,
        kernel: usize,
        bias: bool,
    },
    Grouped {
        groups: usize,
    },
    Depthwise,
    Norm,
    Relu,
    MaxPool,
    AveragePool,
    /// The value before and what a convolution makes of it, added.
    Residual {
        kernel: usize,
    },
    /// The value before and what a convolution makes of it, side by side.
    Joined {
        outputs: usize,
    },
    Rare(Rare),
}

/// What may stand at the end.
#[derive(Debug, Clone)]
pub(super) enum Head {
    Gemm {
        stored_by_output: bool,
    },
    MatMul,
    Lstm {
        hidden: usize,
        both_directions: bool,
    },
    Gru {
        hidden: usize,
        both_directions: bool,
    },
    /// Two layers, the values between them normalized.
    Perceptron {
        norm: bool,
    },
    /// Rows of a table, added to what comes before the last layer.
    Table {
        rows: usize,
    },
}

/// Operator sets that are drawn from.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=23;

impl Step {
    fn least_opset(&self) -> i64 {
        match self {
            Self::Rare(rare) => rare.least_opset(),
            _ => *OPSETS.start(),
        }
    }
}

impl Head {
    fn least_opset(&self) -> i64 {
        match self {
            Self::Perceptron { norm: true } => 17,
            _ => *OPSETS.start(),
        }
    }
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![usual(), rare().prop_map(Step::Rare)]
}

fn usual() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_usize..9, 0_usize..2, any::<bool>()).prop_map(|(outputs, kernel, bias)| Step::Conv {
            outputs,
            kernel: 1 + 2 * kernel,
            bias
        }),
        (2_usize..4).prop_map(|groups| Step::Grouped { groups }),
        Just(Step::Depthwise),
        Just(Step::Norm),
        Just(Step::Relu),
        Just(Step::MaxPool),
        Just(Step::AveragePool),
        (0_usize..2).prop_map(|kernel| Step::Residual { kernel: 1 + 2 * kernel }),
        (1_usize..5).prop_map(|outputs| Step::Joined { outputs }),
    ]
}

pub(super) fn head() -> impl Strategy<Value = Head> {
    prop_oneof![
        any::<bool>().prop_map(|stored_by_output| Head::Gemm { stored_by_output }),
        Just(Head::MatMul),
        (1_usize..5, any::<bool>()).prop_map(|(hidden, both_directions)| Head::Lstm {
            hidden,
            both_directions
        }),
        (1_usize..5, any::<bool>()).prop_map(|(hidden, both_directions)| Head::Gru {
            hidden,
            both_directions
        }),
        any::<bool>().prop_map(|norm| Head::Perceptron { norm }),
        (2_usize..9).prop_map(|rows| Head::Table { rows }),
    ]
}

/// A network under construction.
struct Build {
    seed: u64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    value: String,
    channels: usize,
    /// Height and width.
    side: usize,
    opset: i64,
}

impl Build {
    fn new(seed: u64, opset: i64) -> Self {
        Self {
            seed,
            nodes: Vec::new(),
            constants: Vec::new(),
            value: "x".to_owned(),
            channels: SHAPE[1],
            side: SHAPE[2],
            opset,
        }
    }

    /// Seeded numbers around 0; one in sixteen is an outlier.
    fn weights(&mut self, shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        let mut draw = || {
            self.seed = self
                .seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 40) as f32 / (1 << 24) as f32
        };
        (0..count)
            .map(|_| {
                let outlier = if draw() < 1.0 / 16.0 { 4.0 } else { 1.0 };
                (draw() - 0.5) * outlier
            })
            .collect()
    }

    fn constant(&mut self, shape: &[usize]) -> String {
        let values = self.weights(shape);
        self.given(shape, &values)
    }

    fn given(&mut self, shape: &[usize], values: &[f32]) -> String {
        let name = format!("t{}", self.constants.len());
        self.constants.push(float_tensor(name.clone(), shape, values));
        name
    }

    fn push(&mut self, op: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) {
        let output = format!("v{}", self.nodes.len());
        let name = format!("{op}{}", self.nodes.len());
        self.nodes.push(node(op, name, inputs, [output.clone()], attributes));
        self.value = output;
    }

    /// A node that reads the value of now and then `others`.
    fn behind(&mut self, op: &str, others: Vec<String>, attributes: Vec<AttributeProto>) {
        let inputs = [vec![self.value.clone()], others].concat();
        self.push(op, inputs, attributes);
    }

    fn conv(&mut self, outputs: usize, kernel: usize, groups: usize, bias: bool) {
        let mut others = vec![self.constant(&[outputs, self.channels / groups, kernel, kernel])];
        if bias {
            others.push(self.constant(&[outputs]));
        }
        let attributes = vec![
            int_attribute("group", groups as i64),
            ints_attribute("pads", [kernel as i64 / 2; 4]),
        ];
        self.behind("Conv", others, attributes);
        self.channels = outputs;
    }

    fn step(&mut self, step: &Step) {
        let pool = || {
            let sides = |name| ints_attribute(name, [3, 3]);
            vec![
                sides("kernel_shape"),
                ints_attribute("strides", [1, 1]),
                ints_attribute("pads", [1; 4]),
            ]
        };
        match *step {
            Step::Conv { outputs, kernel, bias } => self.conv(outputs, kernel, 1, bias),
            Step::Grouped { groups } => {
                // Channels that the groups divide, first.
                self.conv(2 * groups, 1, 1, false);
                self.conv(3 * groups, 3, groups, true);
            }
            Step::Depthwise => self.conv(self.channels, 3, self.channels, false),
            Step::Norm => {
                let channels = self.channels;
                let mut others: Vec<String> = (0..3).map(|_| self.constant(&[channels])).collect();
                let variance: Vec<f32> = self.weights(&[channels]).iter().map(|x| x.abs() + 0.5).collect();
                others.push(self.given(&[channels], &variance));
                self.behind("BatchNormalization", others, vec![]);
            }
            Step::Relu => self.behind("Relu", vec![], vec![]),
            Step::MaxPool => self.behind("MaxPool", vec![], pool()),
            Step::AveragePool => self.behind("AveragePool", vec![], pool()),
            Step::Residual { kernel } => {
                let before = self.value.clone();
                self.conv(self.channels, kernel, 1, true);
                self.behind("Add", vec![before], vec![]);
            }
            Step::Joined { outputs } => {
                let (before, channels) = (self.value.clone(), self.channels);
                self.conv(outputs, 1, 1, false);
                self.behind("Concat", vec![before], vec![int_attribute("axis", 1)]);
                self.channels = outputs + channels;
            }
            Step::Rare(ref rare) => self.rare(rare),
        }
    }

    fn head(&mut self, head: &Head) {
        self.behind("GlobalAveragePool", vec![], vec![]);
        self.behind("Flatten", vec![], vec![int_attribute("axis", 1)]);
        match *head {
            Head::Gemm { stored_by_output } => {
                let shape = if stored_by_output {
                    [5, self.channels]
                } else {
                    [self.channels, 5]
                };
                let others = vec![self.constant(&shape), self.constant(&[5])];
                self.behind(
                    "Gemm",
                    others,
                    vec![int_attribute("transB", i64::from(stored_by_output))],
                );
            }
            Head::MatMul => {
                let weight = self.constant(&[self.channels, 5]);
                self.behind("MatMul", vec![weight], vec![]);
            }
            Head::Lstm {
                hidden,
                both_directions,
            } => self.recurrent(hidden, both_directions, 4),
            Head::Gru {
                hidden,
                both_directions,
            } => self.recurrent(hidden, both_directions, 3),
            Head::Perceptron { norm } => {
                let others = [[self.channels, 6].as_slice(), &[6]].map(|shape| self.constant(shape));
                self.behind("Gemm", others.to_vec(), vec![]);
                if norm {
                    let others = vec![self.constant(&[6]), self.constant(&[6])];
                    self.behind("LayerNormalization", others, vec![]);
                }
                self.behind("Relu", vec![], vec![]);
                let weight = self.constant(&[6, 5]);
                self.behind("MatMul", vec![weight], vec![]);
                let bias = self.constant(&[5]);
                self.behind("Add", vec![bias], vec![]);
            }
            Head::Table { rows } => {
                let before = self.value.clone();
                let table = self.constant(&[rows, self.channels]);
                let places = self.given_i64(&[SHAPE[0]], &[1, rows as i64 - 1]);
                self.push("Gather", vec![table, places], vec![]);
                self.behind("Add", vec![before], vec![]);
                let weight = self.constant(&[self.channels, 5]);
                self.behind("MatMul", vec![weight], vec![]);
            }
        }
    }

    /// An LSTM of 4 gates or a GRU of 3.
    fn recurrent(&mut self, hidden: usize, both_directions: bool, gates: usize) {
        // The samples as a sequence of one batch: [n, c] to [n, 1, c].
        if self.opset < 13 {
            self.behind("Unsqueeze", vec![], vec![ints_attribute("axes", [1])]);
        } else {
            let axes = self.given_i64(&[1], &[1]);
            self.behind("Unsqueeze", vec![axes], vec![]);
        }
        let directions = 1 + usize::from(both_directions);
        let others = vec![
            self.constant(&[directions, gates * hidden, self.channels]),
            self.constant(&[directions, gates * hidden, hidden]),
            self.constant(&[directions, 2 * gates * hidden]),
        ];
        let mut attributes = vec![int_attribute("hidden_size", hidden as i64)];
        if both_directions {
            attributes.push(string_attribute("direction", "bidirectional"));
        }
        if gates == 3 {
            attributes.push(int_attribute("linear_before_reset", 1));
        }
        self.behind(if gates == 3 { "GRU" } else { "LSTM" }, others, attributes);
    }

    fn network(mut self) -> Network {
        let last = self.nodes.last_mut().unwrap();
        last.output = vec!["y".to_owned()];
        let x = floats("x", &SHAPE.map(|size| size as i64));
        network(model(
            self.opset,
            (self.nodes, self.constants),
            vec![x],
            vec![value("y")],
        ))
    }
}

pub(super) fn random_network(seed: u64, steps: &[Step], head: &Head) -> Network {
    let least = steps.iter().map(Step::least_opset).fold(head.least_opset(), i64::max);
    let drawn = OPSETS.start() + (seed % OPSETS.clone().count() as u64) as i64;
    let mut build = Build::new(seed, drawn.max(least));
    steps.iter().for_each(|step| build.step(step));
    build.head(head);
    build.network()
}

fn run(model: &ModelProto) -> Vec<f32> {
    let x = (0..SHAPE.iter().product::<usize>()).map(|i| (i as f32 * 0.7).sin() * 2.0);
    graph::run(model, &SHAPE, &x.collect::<Vec<f32>>())
}

/// The model as it is read from the file that it would be written to: it must hold together and have the same ends.
fn read_again(model: &ModelProto) -> Network {
    let read = read_bytes(encode(model).unwrap().into(), None).unwrap();
    assert!(read == *model);
    let network = network(read);
    assert_eq!(network.graph_inputs(), ["x"]);
    network
}

pub(super) fn recipe() -> impl Strategy<Value = Recipe> {
    let clip = prop_oneof![Just(Clip::None), Just(Clip::Mse), Just(Clip::Percentile(99.0))];
    let bits = (2_u8..=8, prop_oneof![Just(Bits::Float), Just(Bits::Grid(8))]);
    let scales = prop_oneof![
        Just(Granularity::Tensor),
        Just(Granularity::Channel),
        Just(Granularity::Block(16))
    ];
    let flags = (scales, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (bits, 0.0_f64..0.7, clip, flags).prop_map(|((bits, activation_bits), ratio, clip, flags)| {
        let (scales, fold_batch_norm, widen, split_activations, weight_zero_points) = flags;
        // The copies of a channel would have to share their blocks, which is refused.
        let split_activations = split_activations && scales != Granularity::Block(16);
        Recipe {
            weight_bits: Bits::Grid(bits),
            activation_bits,
            expand_ratio: ratio,
            activation_expand_ratio: if split_activations { ratio / 2.0 } else { 0.0 },
            clip,
            scales,
            weight_zero_points,
            fold_batch_norm,
            split_export: if widen { SplitExport::Widen } else { SplitExport::Gather },
            float_first_layer: false,
            float_last_layer: false,
            ..Recipe::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_rewritten_network_is_valid_and_splits_alone_change_nothing(
        seed in any::<u64>(),
        steps in vec(step(), 1..7),
        head in head(),
        recipe in recipe(),
    ) {
        let network = random_network(seed, &steps, &head);
        let float = run(&network.runnable_model());
        let prepared = prepare(&network, &recipe).unwrap();
        prop_assert!(relative_difference(&float, &run(&prepared.runnable_model())) <= 1e-4);
        let progress = Progress::default();
        let activations = recipe.needs_activations().then(|| {
            let engine = Rten::load(encode(&prepared.runnable_model()).unwrap()).unwrap();
            data_free_activations(&prepared, &engine, &DataOptions::default(), &progress).unwrap()
        });
        let plan = plan(&prepared, &recipe, activations.as_ref(), &progress).unwrap();

        let split = split_only(&prepared, &plan).unwrap();
        read_again(&split);
        let before = run(&prepared.runnable_model());
        let difference = relative_difference(&before, &run(&split));
        prop_assert!(difference <= 1e-5, "the splits alone change the outputs by {}", difference);

        let quantized = rewrite(&prepared, &plan).unwrap();
        let again = read_again(&quantized);
        prop_assert_eq!(Recipe::from_toml(metadata(&again.model, RECIPE_KEY).unwrap()).unwrap(), recipe);
        let outputs = run(&quantized);
        prop_assert_eq!(outputs.len(), float.len());
        prop_assert!(outputs.iter().all(|x| x.is_finite()));
        // Each layer on a grid is one to whoever opens the file; none is lost.
        let on_grid = plan.layers.iter().filter(|layer| matches!(layer.outcome, Outcome::Quantized(_))).count();
        let found = again.layers.iter().filter(|layer| layer.kind == LayerKind::Quantized).count();
        prop_assert!(on_grid > 0);
        prop_assert_eq!(found, on_grid);
        for (index, layer) in again.layers.iter().enumerate().filter(|(_, layer)| layer.kind == LayerKind::Quantized) {
            let weights = again.real_weights(index).unwrap().to_vec();
            prop_assert_eq!(weights.len(), layer.layout.elements());
            prop_assert!(layer.shape.iter().product::<usize>() == weights.len());
        }
    }
}
