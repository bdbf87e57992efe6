//! MobileNet-V3, large and small (Howard et al. 2019), in torchvision's and timm's names.

use super::Family;
use super::image::{Activation, Conv, EPSILON, Gate, Map, Usual};
use super::inverted_residual::{Names, Style, WIDE_EPSILON, block, from_tensorflow, timm_names};
use super::net::{Net, Output};

pub(super) const TORCHVISION: Family = Family {
    name: "MobileNet-V3",
    build: build_torchvision,
};

pub(super) const TIMM: Family = Family {
    name: "MobileNet-V3",
    build: build_timm,
};

use Activation::{HardSwish, Relu};

/// Kernel, stride and activation of each block, in order.
type Blocks = [(usize, usize, Activation)];

const LARGE: &Blocks = &[
    (3, 1, Relu),
    (3, 2, Relu),
    (3, 1, Relu),
    (5, 2, Relu),
    (5, 1, Relu),
    (5, 1, Relu),
    (3, 2, HardSwish),
    (3, 1, HardSwish),
    (3, 1, HardSwish),
    (3, 1, HardSwish),
    (3, 1, HardSwish),
    (3, 1, HardSwish),
    (5, 2, HardSwish),
    (5, 1, HardSwish),
    (5, 1, HardSwish),
];

const SMALL: &Blocks = &[
    (3, 2, Relu),
    (3, 2, Relu),
    (3, 1, Relu),
    (5, 2, HardSwish),
    (5, 1, HardSwish),
    (5, 1, HardSwish),
    (5, 1, HardSwish),
    (5, 1, HardSwish),
    (5, 2, HardSwish),
    (5, 1, HardSwish),
    (5, 1, HardSwish),
];

/// The network of so many blocks; the large one unless it is the small one.
fn table(net: &mut Net<'_>, blocks: usize) -> &'static Blocks {
    let (name, table) = if blocks == SMALL.len() {
        ("small", SMALL)
    } else {
        ("large", LARGE)
    };
    net.call(format!("MobileNet-V3 {name}"));
    table
}

/// timm's minimal networks have ReLUs and kernels of 3 x 3 everywhere, and no gates: told by the first kernel of 5 x 5 that is
/// none.
fn is_minimal(net: &Net<'_>, table: &Blocks, places: &[String]) -> bool {
    let first = table.iter().position(|(kernel, ..)| *kernel == 5);
    let place = first.and_then(|number| places.get(number));
    place.and_then(|place| net.dict.size(&format!("{place}.conv_dw.weight"), 2)) == Some(3)
}

/// All up to the last convolution of the feature map.
fn features(
    net: &mut Net<'_>,
    table: &Blocks,
    style: Style,
    [stem, last]: [&[String; 2]; 2],
    names: impl Fn(&Net<'_>, usize) -> Names,
) -> Map {
    let mut x = net.pictures(&stem[0], Usual::IMAGENET);
    x = style.layer(net, &x, stem, Conv::square(3).stride(2), true);
    for (number, (kernel, stride, activation)) in table.iter().copied().enumerate() {
        let names = names(net, number);
        x = block(net, &x, &names, stride, Some(kernel), Style { activation, ..style });
    }
    style.layer(net, &x, last, Conv::square(1), true)
}

/// Blocks are numbered through; the last convolution has the number behind them.
fn build_torchvision(net: &mut Net<'_>) -> Output {
    let blocks = net.dict.count("features").saturating_sub(2);
    let table = table(net, blocks);
    let style = Style {
        activation: HardSwish,
        epsilon: WIDE_EPSILON,
        tensorflow: false,
    };
    let pair = |module: &str| [format!("{module}.0"), format!("{module}.1")];
    let (stem, last) = (pair("features.0"), pair(&format!("features.{}", table.len() + 1)));
    let x = features(net, table, style, [&stem, &last], |net, number| {
        let module = format!("features.{}.block", number + 1);
        let part = |part: usize| format!("{module}.{part}");
        let gated = (1..3).find(|number| net.dict.has(&format!("{}.fc1", part(*number))));
        let parts = net.dict.count(&module);
        let expands = parts - usize::from(gated.is_some()).min(parts) == 3;
        Names {
            expand: expands.then(|| pair(&part(0))),
            depthwise: pair(&part(usize::from(expands))),
            gate: gated.map(|number| Gate {
                module: part(number),
                parts: ["fc1", "fc2"],
                inner: Relu,
                hard: true,
            }),
            project: pair(&part(parts.saturating_sub(1))),
            residual: true,
            module,
        }
    });
    let pooled = net.global_pool(&x, "avgpool");
    let mut y = net.linear(&pooled, "classifier.0");
    y.value = net.activate_value(&y.value, "classifier.1", HardSwish);
    net.linear(&y, "classifier.3").output()
}

/// Blocks are numbered within their stage; the last stage is the last convolution. The head comes behind the pool.
fn build_timm(net: &mut Net<'_>) -> Output {
    let last = net.dict.count("blocks").saturating_sub(1);
    let places: Vec<String> = (0..last)
        .flat_map(|stage| (0..net.dict.count(&format!("blocks.{stage}"))).map(move |number| (stage, number)))
        .map(|(stage, number)| format!("blocks.{stage}.{number}"))
        .collect();
    let table = table(net, places.len());
    let tensorflow = from_tensorflow(net);
    let minimal = is_minimal(net, table, &places);
    let plain: Vec<_> = table.iter().map(|(_, stride, _)| (3, *stride, Relu)).collect();
    let table = if minimal { plain.as_slice() } else { table };
    let activation = if minimal { Relu } else { HardSwish };
    // timm's first weights (`mobilenetv3_rw`), made before the paper's were known: the head has no bias, a gate has the
    // activation of its block, and the first block does not add its input.
    let first = !net.dict.has("conv_head.bias");
    let style = Style {
        activation,
        epsilon: if tensorflow || first { WIDE_EPSILON } else { EPSILON },
        tensorflow,
    };
    let stem = ["conv_stem", "bn1"].map(str::to_owned);
    let last = ["conv", "bn1"].map(|part| format!("blocks.{last}.0.{part}"));
    let x = features(net, table, style, [&stem, &last], |net, number| {
        let place = (places.get(number).cloned()).unwrap_or_else(|| format!("block {number}"));
        let inner = if first { table[number].2 } else { Relu };
        let gate = net.dict.has(&format!("{place}.se")).then_some((inner, true));
        Names {
            residual: !(first && number == 0),
            ..timm_names(net, place, gate)
        }
    });
    let pooled = net.pool_to_pixel(&x, "global_pool");
    let head = net.conv(&pooled, "conv_head", Conv::square(1));
    let head = net.activate(&head, "act2", activation);
    let features = net.flatten(&head, "flatten");
    net.linear(&features, "classifier").output()
}
