//! ResNet (He et al. 2016) and what differs from it in widths only: ResNeXt, Wide ResNet, SE-ResNet, ResNet-D, and the small
//! ones for CIFAR with shortcuts of option A (no weights) or B.

use super::Family;
use super::image::{Activation, Conv, EPSILON, Gate, Map, Usual, Window};
use super::misfit::Fault;
use super::net::{Net, Output};

pub(super) const FAMILY: Family = Family { name: "ResNet", build };

/// Names of the last layer, and of the shortcut's modules: torchvision's and timm's first.
const HEADS: [&str; 3] = ["fc", "linear", "classifier"];
const SHORTCUTS: [&str; 2] = ["downsample", "shortcut"];

/// Parts of timm's names for networks that smooth the picture before they take every second pixel, without weights of their
/// own for it.
const SMOOTHING: [&str; 2] = ["resnetaa", "resnetblur"];

fn build(net: &mut Net<'_>) -> Output {
    net.call(title(net));
    let smoothing = (net.config.architecture()).filter(|name| SMOOTHING.iter().any(|part| name.contains(part)));
    if let Some(name) = smoothing {
        let reason = format!("belongs to a {name}, which smooths where its names do not tell");
        net.fail("layer2.0.conv2.weight", Fault::Other(reason));
    }
    let mut x = stem(net);
    let stages = (1..).take_while(|stage| net.dict.has(&format!("layer{stage}"))).count();
    for stage in 1..=stages.max(1) {
        for index in 0..net.dict.count(&format!("layer{stage}")).max(1) {
            let stride = if stage > 1 && index == 0 { 2 } else { 1 };
            x = block(net, &x, &format!("layer{stage}.{index}"), stride);
        }
    }
    let head = HEADS.into_iter().find(|head| net.dict.has(head)).unwrap_or(HEADS[0]);
    let pooled = net.global_pool(&x, "avgpool");
    net.linear(&pooled, head).output()
}

/// A 7 x 7 convolution (or three of 3 x 3) and a pool for large pictures; for small ones a single 3 x 3 convolution.
fn stem(net: &mut Net<'_>) -> Map {
    if net.dict.has("conv1.0") {
        let mut x = net.pictures("conv1.0", Usual::IMAGENET);
        for (conv, norm, stride) in [(0, 1, 2), (3, 4, 1)] {
            x = net.conv(&x, &format!("conv1.{conv}"), Conv::square(3).stride(stride));
            x = net.batch_norm(&x, &format!("conv1.{norm}"), EPSILON);
            x = net.relu(&x, &format!("conv1.{}", norm + 1));
        }
        x = net.conv(&x, "conv1.6", Conv::square(3));
        x = net.batch_norm(&x, "bn1", EPSILON);
        x = net.relu(&x, "relu");
        return net.max_pool(&x, "maxpool", Window::new(3, 2, 1));
    }
    let (small, channels) = (is_small(net), net.dict.size("conv1.weight", 1));
    let usual = match (small, channels) {
        (false, _) => Usual::IMAGENET,
        // Grey pictures are those of MNIST and its kin.
        (true, Some(1)) => Usual::small(28),
        (true, _) => Usual::small(32),
    };
    let conv = if small {
        Conv::square(3)
    } else {
        Conv::square(7).stride(2)
    };
    let x = net.pictures("conv1", usual);
    let x = net.conv(&x, "conv1", conv);
    let x = net.batch_norm(&x, "bn1", EPSILON);
    let x = net.relu(&x, "relu");
    if small {
        x
    } else {
        net.max_pool(&x, "maxpool", Window::new(3, 2, 1))
    }
}

fn is_small(net: &Net<'_>) -> bool {
    net.dict.size("conv1.weight", 2) == Some(3)
}

fn block(net: &mut Net<'_>, x: &Map, module: &str, stride: usize) -> Map {
    let name = |part: &str| format!("{module}.{part}");
    let convolutions = if net.dict.has(&name("conv3")) {
        vec![
            Conv::square(1),
            Conv::square(3).stride(stride).grouped(),
            Conv::square(1),
        ]
    } else {
        vec![Conv::square(3).stride(stride), Conv::square(3)]
    };
    let last = convolutions.len();
    let mut y = x.clone();
    for (conv, number) in convolutions.into_iter().zip(1..) {
        y = net.conv(&y, &name(&format!("conv{number}")), conv);
        y = net.batch_norm(&y, &name(&format!("bn{number}")), EPSILON);
        if number < last {
            y = net.relu(&y, &name(&format!("relu{number}")));
        }
    }
    if net.dict.has(&name("se")) {
        let gate = Gate {
            module: name("se"),
            parts: ["fc1", "fc2"],
            inner: Activation::Relu,
            hard: false,
        };
        y = net.squeeze_excite(&y, &gate);
    }
    let passed = shortcut(net, x, module, stride, y.channels);
    let sum = net.add(&y, &passed, &name("add"), &name(&format!("conv{last}.weight")));
    net.relu(&sum, &name(&format!("relu{last}")))
}

fn shortcut(net: &mut Net<'_>, x: &Map, module: &str, stride: usize, channels: usize) -> Map {
    let found = SHORTCUTS
        .map(|part| format!("{module}.{part}"))
        .into_iter()
        .find(|name| net.dict.has(name));
    let Some(shortcut) = found else {
        if stride == 1 && channels == x.channels {
            return x.clone();
        }
        return net.subsample_and_widen(x, &format!("{module}.shortcut"), stride, channels);
    };
    // ResNet-D: the pool comes first and halves the picture.
    let (x, conv, norm, stride) = if net
        .dict
        .shape(&format!("{shortcut}.1.weight"))
        .is_some_and(|shape| shape.len() == 4)
    {
        let pool = Window::new(2, 2, 0).ceil();
        let pooled = if stride == 1 {
            x.clone()
        } else {
            net.average_pool(x, &format!("{shortcut}.0"), pool, false)
        };
        (pooled, 1, 2, 1)
    } else {
        (x.clone(), 0, 1, stride)
    };
    let y = net.conv(&x, &format!("{shortcut}.{conv}"), Conv::square(1).stride(stride));
    net.batch_norm(&y, &format!("{shortcut}.{norm}"), EPSILON)
}

/// The depth counts the convolutions of all blocks, the stem and the last layer, as in the paper.
fn title(net: &Net<'_>) -> String {
    let size = |part: &str, axis| net.dict.size(&format!("layer1.0.{part}.weight"), axis);
    let blocks: usize = (1..=4).map(|stage| net.dict.count(&format!("layer{stage}"))).sum();
    if blocks == 0 {
        return "ResNet".to_owned();
    }
    let bottleneck = size("conv3", 0).is_some();
    let depth = blocks * if bottleneck { 3 } else { 2 } + 2;
    let small = if is_small(net) { " for small pictures" } else { "" };
    let deep = if net.dict.has("conv1.0") { "-D" } else { "" };
    let excited = if net.dict.has("layer1.0.se") { "SE-" } else { "" };
    if let (true, Some(inner), Some(read), Some(outer)) =
        (bottleneck, size("conv2", 0), size("conv2", 1), size("conv3", 0))
    {
        let groups = inner / read.max(1);
        if groups > 1 {
            return format!("{excited}ResNeXt-{depth}{deep} {groups}x{read}d{small}");
        }
        // Plainly the inside is a quarter as wide as the outside.
        let factor = 4 * inner / outer.max(1);
        if factor > 1 {
            return format!("{excited}Wide ResNet-{depth}{deep}-{factor}{small}");
        }
    }
    format!("{excited}ResNet-{depth}{deep}{small}")
}
