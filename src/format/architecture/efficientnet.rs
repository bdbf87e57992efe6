//! EfficientNet (Tan and Le 2019) and its Lite kin (no gates, ReLU6), in torchvision's and timm's names; MobileNet-V2 in
//! timm's, which differs in kernels only.
//!
//! timm's `tf_…` weights pad as TensorFlow does and have another epsilon: only `config.json` tells.

use super::Family;
use super::image::{Activation, Conv, EPSILON, Gate, Usual};
use super::inverted_residual::{Names, STRIDES, Style, WIDE_EPSILON, block, from_tensorflow, timm_names};
use super::net::{Net, Output};
use crate::network::Interpolation;

pub(super) const TORCHVISION: Family = Family {
    name: "EfficientNet",
    build: build_torchvision,
};

pub(super) const TIMM: Family = Family {
    name: "EfficientNet",
    build: build_timm,
};

/// Depthwise kernels of the stages.
const KERNELS: [usize; 7] = [3, 3, 5, 3, 5, 5, 3];

/// Picture sizes of B0 to B7, and what share of the resized picture they are (torchvision's).
const PICTURES: [(usize, f32); 8] = [
    (224, 0.875),
    (240, 0.9375),
    (288, 1.0),
    (300, 0.9375),
    (380, 0.99),
    (456, 1.0),
    (528, 1.0),
    (600, 1.0),
];

/// The first of torchvision's networks with [`WIDE_EPSILON`].
const FIRST_WIDE: usize = 5;

/// What a network is, by the number of its blocks and the widths of its ends.
struct Variant {
    name: String,
    /// The 0 of B0.
    size: usize,
    gated: bool,
    mobile: bool,
}

/// `stages`: blocks in each; `last`: first convolution of the last stage that makes its width; `stem`: the first of all.
fn variant(net: &Net<'_>, stages: &[usize], stem: &str, last: &str, gated: bool, kernel: &str) -> Variant {
    let blocks: usize = stages.iter().sum();
    let made = |module: &str| net.dict.size(&format!("{module}.weight"), 0).unwrap_or(1);
    // B2 and Lite2 are a tenth wider than B1 and Lite1, and their stem is not.
    let wider = made(last) > 10 * made(stem);
    let size = match (gated, blocks) {
        (true, 23) | (false, 21) => 1 + usize::from(wider),
        (true, 26) | (false, 24) => 3,
        (true, 32) | (false, 30) => 4,
        (true, 39) => 5,
        (true, 45) => 6,
        (true, 55) => 7,
        _ => 0,
    };
    let mobile = !gated && net.dict.size(&format!("{kernel}.weight"), 2) == Some(3);
    Variant {
        name: match (mobile, gated) {
            (true, _) => "MobileNet-V2".to_owned(),
            (false, true) => format!("EfficientNet-B{size}"),
            (false, false) => format!("EfficientNet-Lite{size}"),
        },
        size,
        gated,
        mobile,
    }
}

impl Variant {
    fn usual(&self) -> Usual {
        if self.mobile {
            return Usual::IMAGENET;
        }
        let (size, crop) = PICTURES[self.size];
        Usual {
            size,
            crop: Some(crop),
            interpolation: Some(Interpolation::Bicubic),
            ..Usual::IMAGENET
        }
    }

    fn activation(&self) -> Activation {
        if self.gated {
            Activation::Silu
        } else {
            Activation::Relu6
        }
    }

    fn kernel(&self, stage: usize) -> usize {
        if self.mobile { 3 } else { KERNELS[stage] }
    }
}

/// Names of the parts that stand around the blocks.
struct Ends {
    stem: [String; 2],
    head: [String; 2],
    classifier: &'static str,
}

fn build(
    net: &mut Net<'_>,
    variant: &Variant,
    style: Style,
    stages: &[usize],
    ends: &Ends,
    names: impl Fn(&Net<'_>, usize, usize) -> Names,
) -> Output {
    net.call(variant.name.clone());
    let mut x = net.pictures(&ends.stem[0], variant.usual());
    x = style.layer(net, &x, &ends.stem, Conv::square(3).stride(2), true);
    for (stage, (stride, blocks)) in STRIDES.into_iter().zip(stages).enumerate() {
        for number in 0..*blocks {
            let names = names(net, stage, number);
            let stride = if number == 0 { stride } else { 1 };
            x = block(net, &x, &names, stride, Some(variant.kernel(stage)), style);
        }
    }
    x = style.layer(net, &x, &ends.head, Conv::square(1), true);
    let pooled = net.global_pool(&x, "avgpool");
    net.linear(&pooled, ends.classifier).output()
}

/// Stages are `features.1` to `features.7`; within a block everything is a number.
fn build_torchvision(net: &mut Net<'_>) -> Output {
    let stages: Vec<usize> = (1..=STRIDES.len())
        .map(|stage| net.dict.count(&format!("features.{stage}")).max(1))
        .collect();
    let variant = variant(net, &stages, "features.0.0", "features.7.0.block.3.0", true, "");
    let style = Style {
        activation: variant.activation(),
        epsilon: if variant.size >= FIRST_WIDE {
            WIDE_EPSILON
        } else {
            EPSILON
        },
        tensorflow: false,
    };
    let pair = |module: &str| [format!("{module}.0"), format!("{module}.1")];
    let ends = Ends {
        stem: pair("features.0"),
        head: pair("features.8"),
        classifier: "classifier.1",
    };
    build(net, &variant, style, &stages, &ends, |net, stage, number| {
        let module = format!("features.{}.{number}.block", stage + 1);
        let part = |part: usize| format!("{module}.{part}");
        let expands = net.dict.has(&part(3));
        let first = usize::from(expands);
        Names {
            expand: expands.then(|| pair(&part(0))),
            depthwise: pair(&part(first)),
            gate: Some(Gate {
                module: part(first + 1),
                parts: ["fc1", "fc2"],
                inner: Activation::Silu,
                hard: false,
            }),
            project: pair(&part(first + 2)),
            residual: true,
            module,
        }
    })
}

/// Stages are `blocks.0` to `blocks.6`.
fn build_timm(net: &mut Net<'_>) -> Output {
    let stages: Vec<usize> = (0..STRIDES.len())
        .map(|stage| net.dict.count(&format!("blocks.{stage}")).max(1))
        .collect();
    let gated = net.dict.has("blocks.0.0.se");
    let variant = variant(
        net,
        &stages,
        "conv_stem",
        "blocks.6.0.conv_pwl",
        gated,
        "blocks.2.0.conv_dw",
    );
    let tensorflow = from_tensorflow(net);
    let style = Style {
        activation: variant.activation(),
        epsilon: if tensorflow { WIDE_EPSILON } else { EPSILON },
        tensorflow,
    };
    let ends = Ends {
        stem: ["conv_stem", "bn1"].map(str::to_owned),
        head: ["conv_head", "bn2"].map(str::to_owned),
        classifier: "classifier",
    };
    build(net, &variant, style, &stages, &ends, |net, stage, number| {
        let gate = gated.then_some((Activation::Silu, false));
        timm_names(net, format!("blocks.{stage}.{number}"), gate)
    })
}
