//! The rarer parts of the random networks: strides, dilations and pads, transposed convolutions, pools that round up, activation
//! functions, normalizations, gates of channels and sizes that change.

use super::Build;
use proptest::prelude::*;
use splitscope::onnx::build::{float_attribute, i64_tensor, int_attribute, ints_attribute, string_attribute};

/// Sides beyond which nothing is enlarged.
const LARGEST_SIDE: usize = 8;

/// One of the rarer parts.
#[derive(Debug, Clone)]
pub(crate) enum Rare {
    /// A convolution with stride 2 whose pads differ from side to side.
    Strided {
        outputs: usize,
        pads: Pads,
    },
    /// A convolution whose kernel has gaps.
    Dilated {
        outputs: usize,
    },
    /// Twice as high and wide.
    Transposed {
        outputs: usize,
        grouped: bool,
    },
    /// A pool with stride 2.
    Pool {
        is_max: bool,
        ceil: bool,
        counts_pads: bool,
    },
    Activation(Activation),
    /// One factor for each channel, of the means of all.
    Gate {
        inner: usize,
    },
    InstanceNorm,
    /// Along the last axis.
    LayerNorm,
    Resize {
        is_linear: bool,
        aligned: bool,
    },
    /// A constant for each channel, added or multiplied.
    Affine {
        is_sum: bool,
    },
    /// The first channels and the others in another order.
    Shuffled,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Pads {
    Given,
    SameUpper,
    SameLower,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Activation {
    LeakyRelu,
    PRelu,
    Relu6,
    Sigmoid,
    Tanh,
    Elu,
    HardSigmoid,
    HardSwish,
    Swish,
}

impl Rare {
    /// The first operator set that has it, as it is written here.
    pub(super) fn least_opset(&self) -> i64 {
        match self {
            Self::LayerNorm => 17,
            Self::Activation(Activation::HardSwish) => 14,
            Self::Resize { .. } => 13,
            Self::Pool { .. } => 10,
            _ => 7,
        }
    }
}

pub(super) fn rare() -> impl Strategy<Value = Rare> {
    use Activation as A;
    let pads = prop_oneof![Just(Pads::Given), Just(Pads::SameUpper), Just(Pads::SameLower)];
    let activation = prop_oneof![
        Just(A::LeakyRelu),
        Just(A::PRelu),
        Just(A::Relu6),
        Just(A::Sigmoid),
        Just(A::Tanh),
        Just(A::Elu),
        Just(A::HardSigmoid),
        Just(A::HardSwish),
        Just(A::Swish),
    ];
    prop_oneof![
        (1_usize..9, pads).prop_map(|(outputs, pads)| Rare::Strided { outputs, pads }),
        (1_usize..9).prop_map(|outputs| Rare::Dilated { outputs }),
        (1_usize..4, any::<bool>()).prop_map(|(outputs, grouped)| Rare::Transposed { outputs, grouped }),
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(is_max, ceil, counts_pads)| Rare::Pool {
            is_max,
            ceil,
            counts_pads
        }),
        activation.prop_map(Rare::Activation),
        (1_usize..4).prop_map(|inner| Rare::Gate { inner }),
        Just(Rare::InstanceNorm),
        Just(Rare::LayerNorm),
        (any::<bool>(), any::<bool>()).prop_map(|(is_linear, aligned)| Rare::Resize { is_linear, aligned }),
        any::<bool>().prop_map(|is_sum| Rare::Affine { is_sum }),
        Just(Rare::Shuffled),
    ]
}

impl Build {
    /// Adds a part; nothing where the picture is too large or too small for it.
    pub(super) fn rare(&mut self, part: &Rare) {
        match *part {
            Rare::Strided { outputs, pads } => self.strided(outputs, pads),
            Rare::Dilated { outputs } => {
                let weight = self.constant(&[outputs, self.channels, 3, 3]);
                let attributes = vec![ints_attribute("dilations", [2, 2]), ints_attribute("pads", [2; 4])];
                self.behind("Conv", vec![weight], attributes);
                self.channels = outputs;
            }
            Rare::Transposed { outputs, grouped } => self.transposed(outputs, grouped),
            Rare::Pool {
                is_max,
                ceil,
                counts_pads,
            } => self.pool(is_max, ceil, counts_pads),
            Rare::Activation(activation) => self.activation(activation),
            Rare::Gate { inner } => self.gate(inner),
            Rare::InstanceNorm => {
                let others = vec![self.constant(&[self.channels]), self.constant(&[self.channels])];
                // Of few equal numbers a difference is divided by almost nothing.
                self.behind("InstanceNormalization", others, vec![float_attribute("epsilon", 0.1)]);
            }
            Rare::LayerNorm => {
                let others = vec![self.constant(&[self.side]), self.constant(&[self.side])];
                let attributes = vec![int_attribute("axis", -1), float_attribute("epsilon", 0.1)];
                self.behind("LayerNormalization", others, attributes);
            }
            Rare::Resize { is_linear, aligned } => self.resize(is_linear, aligned),
            Rare::Affine { is_sum } => {
                let other = self.constant(&[self.channels, 1, 1]);
                self.behind(if is_sum { "Add" } else { "Mul" }, vec![other], vec![]);
            }
            Rare::Shuffled if self.channels > 1 => {
                let channels = self.channels as i64;
                let order: Vec<i64> = (0..channels).rev().collect();
                let order = self.given_i64(&[self.channels], &order);
                self.behind("Gather", vec![order], vec![int_attribute("axis", 1)]);
            }
            Rare::Shuffled => {}
        }
    }

    fn strided(&mut self, outputs: usize, pads: Pads) {
        if self.side < 2 {
            return;
        }
        let weight = self.constant(&[outputs, self.channels, 3, 3]);
        let bias = self.constant(&[outputs]);
        let (pads, side) = match pads {
            Pads::Given => (ints_attribute("pads", [1, 0, 0, 1]), self.side / 2),
            Pads::SameUpper => (string_attribute("auto_pad", "SAME_UPPER"), self.side.div_ceil(2)),
            Pads::SameLower => (string_attribute("auto_pad", "SAME_LOWER"), self.side.div_ceil(2)),
        };
        let attributes = vec![ints_attribute("strides", [2, 2]), pads];
        self.behind("Conv", vec![weight, bias], attributes);
        (self.channels, self.side) = (outputs, side);
    }

    fn transposed(&mut self, outputs: usize, grouped: bool) {
        if self.side > LARGEST_SIDE {
            return;
        }
        let groups = if grouped && self.channels.is_multiple_of(2) {
            2
        } else {
            1
        };
        let others = vec![
            self.constant(&[self.channels, outputs, 3, 3]),
            self.constant(&[outputs * groups]),
        ];
        let attributes = vec![
            int_attribute("group", groups as i64),
            ints_attribute("strides", [2, 2]),
            ints_attribute("pads", [1; 4]),
            ints_attribute("output_padding", [1, 1]),
        ];
        self.behind("ConvTranspose", others, attributes);
        self.channels = outputs * groups;
        self.side *= 2;
    }

    fn pool(&mut self, is_max: bool, ceil: bool, counts_pads: bool) {
        let mut attributes = vec![
            ints_attribute("kernel_shape", [3, 3]),
            ints_attribute("strides", [2, 2]),
            ints_attribute("pads", [1; 4]),
            int_attribute("ceil_mode", i64::from(ceil)),
        ];
        if !is_max {
            attributes.push(int_attribute("count_include_pad", i64::from(counts_pads)));
        }
        self.behind(if is_max { "MaxPool" } else { "AveragePool" }, vec![], attributes);
        let beyond_one = self.side - 1;
        self.side = 1 + if ceil { beyond_one.div_ceil(2) } else { beyond_one / 2 };
    }

    fn activation(&mut self, activation: Activation) {
        match activation {
            Activation::LeakyRelu => self.behind("LeakyRelu", vec![], vec![float_attribute("alpha", 0.1)]),
            Activation::PRelu => {
                let slope = self.constant(&[self.channels, 1, 1]);
                self.behind("PRelu", vec![slope], vec![]);
            }
            Activation::Relu6 if self.opset < 11 => {
                let ends = vec![float_attribute("min", 0.0), float_attribute("max", 6.0)];
                self.behind("Clip", vec![], ends);
            }
            Activation::Relu6 => {
                let ends = vec![self.given(&[], &[0.0]), self.given(&[], &[6.0])];
                self.behind("Clip", ends, vec![]);
            }
            Activation::Sigmoid => self.behind("Sigmoid", vec![], vec![]),
            Activation::Tanh => self.behind("Tanh", vec![], vec![]),
            Activation::Elu => self.behind("Elu", vec![], vec![]),
            Activation::HardSigmoid => self.behind("HardSigmoid", vec![], vec![]),
            Activation::HardSwish => {
                self.behind("HardSwish", vec![], vec![]);
            }
            Activation::Swish => {
                let before = self.value.clone();
                self.behind("Sigmoid", vec![], vec![]);
                self.behind("Mul", vec![before], vec![]);
            }
        }
    }

    fn gate(&mut self, inner: usize) {
        let (before, channels) = (self.value.clone(), self.channels);
        self.behind("GlobalAveragePool", vec![], vec![]);
        self.conv(inner, 1, 1, true);
        self.behind("Relu", vec![], vec![]);
        self.conv(channels, 1, 1, true);
        self.behind("Sigmoid", vec![], vec![]);
        self.push("Mul", vec![before, self.value.clone()], vec![]);
    }

    fn resize(&mut self, is_linear: bool, aligned: bool) {
        if self.side > LARGEST_SIDE || self.side < 2 {
            return;
        }
        let scales = self.given(&[4], &[1.0, 1.0, 2.0, 2.0]);
        let place = match (is_linear, aligned) {
            (true, true) => "align_corners",
            (true, false) => "half_pixel",
            (false, _) => "asymmetric",
        };
        let mut attributes = vec![
            string_attribute("mode", if is_linear { "linear" } else { "nearest" }),
            string_attribute("coordinate_transformation_mode", place),
        ];
        if !is_linear {
            attributes.push(string_attribute("nearest_mode", "floor"));
        }
        self.behind("Resize", vec![String::new(), scales], attributes);
        self.side *= 2;
    }

    pub(super) fn given_i64(&mut self, shape: &[usize], values: &[i64]) -> String {
        let name = format!("t{}", self.constants.len());
        self.constants.push(i64_tensor(name.clone(), shape, values));
        name
    }
}
