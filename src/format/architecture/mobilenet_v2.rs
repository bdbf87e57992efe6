//! MobileNet-V2 (Sandler et al. 2018) in torchvision's names; timm's are those of its EfficientNets.

use super::Family;
use super::image::{Activation, Conv, EPSILON, Usual};
use super::inverted_residual::{Names, STRIDES, Style, block};
use super::misfit::Fault;
use super::net::{Net, Output};

pub(super) const FAMILY: Family = Family {
    name: "MobileNet-V2",
    build,
};

/// Blocks in each stage: torchvision numbers them through, so that names do not tell where a stage begins.
const REPEATS: [usize; 7] = [1, 2, 3, 4, 3, 3, 1];

const STYLE: Style = Style {
    activation: Activation::Relu6,
    epsilon: EPSILON,
    tensorflow: false,
};

fn build(net: &mut Net<'_>) -> Output {
    let pair = |number: usize| [format!("features.{number}.0"), format!("features.{number}.1")];
    let mut x = net.pictures("features.0.0", Usual::IMAGENET);
    x = STYLE.layer(net, &x, &pair(0), Conv::square(3).stride(2), true);
    let mut number = 1;
    for (repeats, stride) in REPEATS.into_iter().zip(STRIDES) {
        for repeat in 0..repeats {
            let names = names(net, number);
            let stride = if repeat == 0 { stride } else { 1 };
            x = block(net, &x, &names, stride, Some(3), STYLE);
            number += 1;
        }
    }
    if net.dict.has(&format!("features.{}", number + 1)) {
        let reason = format!("is one of more than {number} modules, and it is not known where the picture is halved");
        net.fail(&format!("features.{}", number + 1), Fault::Other(reason));
    }
    x = STYLE.layer(net, &x, &pair(number), Conv::square(1), true);
    let pooled = net.global_pool(&x, "avgpool");
    net.linear(&pooled, "classifier.1").output()
}

fn names(net: &Net<'_>, number: usize) -> Names {
    let module = format!("features.{number}.conv");
    let nested = |part: usize| [format!("{module}.{part}.0"), format!("{module}.{part}.1")];
    let expands = net.dict.has(&format!("{module}.3"));
    let project = if expands { 2 } else { 1 };
    Names {
        expand: expands.then(|| nested(0)),
        depthwise: nested(project - 1),
        gate: None,
        residual: true,
        project: [format!("{module}.{project}"), format!("{module}.{}", project + 1)],
        module,
    }
}
