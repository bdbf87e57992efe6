//! DenseNet (Huang et al. 2017): torchvision and timm share their names. Old files write `norm.1` for `norm1`.

use super::Family;
use super::image::{Conv, EPSILON, Map, Usual, Window};
use super::net::{Net, Output};

pub(super) const FAMILY: Family = Family {
    name: "DenseNet",
    build,
};

fn build(net: &mut Net<'_>) -> Output {
    let blocks = (1..)
        .take_while(|block| net.dict.has(&format!("features.denseblock{block}")))
        .count();
    net.call(title(net, blocks));
    let x = net.pictures("features.conv0", Usual::IMAGENET);
    let x = net.conv(&x, "features.conv0", Conv::square(7).stride(2));
    let x = net.batch_norm(&x, "features.norm0", EPSILON);
    let x = net.relu(&x, "features.relu0");
    let mut x = net.max_pool(&x, "features.pool0", Window::new(3, 2, 1));
    for block in 1..=blocks.max(1) {
        let module = format!("features.denseblock{block}");
        for layer in 1..=layers(net, block).max(1) {
            x = dense_layer(net, &x, &format!("{module}.denselayer{layer}"));
        }
        if block < blocks {
            x = transition(net, &x, &format!("features.transition{block}"));
        }
    }
    let x = net.batch_norm(&x, "features.norm5", EPSILON);
    let x = net.relu(&x, "features.relu5");
    let pooled = net.global_pool(&x, "global_pool");
    net.linear(&pooled, "classifier").output()
}

fn layers(net: &Net<'_>, block: usize) -> usize {
    let module = |layer: &usize| format!("features.denseblock{block}.denselayer{layer}");
    (1..).take_while(|layer| net.dict.has(&module(layer))).count()
}

/// New channels from all that came before, put behind them.
fn dense_layer(net: &mut Net<'_>, x: &Map, module: &str) -> Map {
    let dot = if net.dict.has(&format!("{module}.norm.1")) {
        "."
    } else {
        ""
    };
    let name = |part: &str, number: usize| format!("{module}.{part}{dot}{number}");
    let mut y = x.clone();
    for (number, kernel) in [(1, 1), (2, 3)] {
        y = net.batch_norm(&y, &name("norm", number), EPSILON);
        y = net.relu(&y, &name("relu", number));
        y = net.conv(&y, &name("conv", number), Conv::square(kernel));
    }
    net.concat(&[x.clone(), y], &format!("{module}.concat"))
}

/// Fewer channels, half the size.
fn transition(net: &mut Net<'_>, x: &Map, module: &str) -> Map {
    let y = net.batch_norm(x, &format!("{module}.norm"), EPSILON);
    let y = net.relu(&y, &format!("{module}.relu"));
    let y = net.conv(&y, &format!("{module}.conv"), Conv::square(1));
    net.average_pool(&y, &format!("{module}.pool"), Window::new(2, 2, 0), true)
}

/// The depth counts two convolutions a layer, one a transition, the stem and the classifier.
fn title(net: &Net<'_>, blocks: usize) -> String {
    let layers: usize = (1..=blocks).map(|block| layers(net, block)).sum();
    match layers {
        0 => "DenseNet".to_owned(),
        _ => format!("DenseNet-{}", 2 * layers + blocks + 1),
    }
}
