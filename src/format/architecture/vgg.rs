//! VGG (Simonyan and Zisserman 2015) with and without batch-norms, in torchvision's and timm's names, and its small kin for
//! CIFAR. The numbers of the modules tell all: every convolution is followed by its batch-norm (if any) and a ReLU, and a
//! number left out is a pool.

use super::Family;
use super::image::{Activation, Conv, EPSILON, Features, Map, Usual, Window};
use super::misfit::Fault;
use super::net::{Net, Output};

pub(super) const FAMILY: Family = Family { name: "VGG", build };

fn build(net: &mut Net<'_>) -> Output {
    let usual = if reads_one_pixel(net) {
        Usual::small(32)
    } else {
        Usual::IMAGENET
    };
    let x = net.pictures("features.0", usual);
    let (x, convolutions) = features(net, x);
    let (y, linears) = match net.dict.has("pre_logits") {
        true => timm_head(net, &x),
        false => head(net, &x),
    };
    let normed = if net.dict.has("features.1.running_mean") {
        " with batch-norm"
    } else {
        ""
    };
    net.call(format!("VGG-{}{normed}", convolutions + linears));
    y.output()
}

/// The last convolution's channels are the first matrix's columns: the picture has shrunk to a single pixel.
fn reads_one_pixel(net: &Net<'_>) -> bool {
    let convolutions = net.dict.numbers("features");
    let last = convolutions.iter().rev().find_map(|n| {
        let shape = net.dict.shape(&format!("features.{n}.weight"))?;
        (shape.len() == 4).then(|| shape[0])
    });
    let columns = ["classifier", "classifier.0"]
        .iter()
        .find_map(|name| net.dict.size(&format!("{name}.weight"), 1));
    last.is_some() && last == columns
}

fn features(net: &mut Net<'_>, mut x: Map) -> (Map, usize) {
    let mut convolutions = 0;
    let mut expected = 0;
    for number in net.dict.numbers("features") {
        let module = format!("features.{number}");
        if net
            .dict
            .shape(&format!("{module}.weight"))
            .is_some_and(|shape| shape.len() == 1)
        {
            // Its convolution took it along.
            continue;
        }
        if number > expected + 1 {
            let reason = format!("stands where modules {expected} to {} are unknown", number - 1);
            net.fail(&format!("{module}.weight"), Fault::Other(reason));
        }
        if number > expected {
            x = net.max_pool(&x, &format!("features.{expected}"), Window::new(2, 2, 0));
        }
        x = net.conv(&x, &module, Conv::square(3));
        convolutions += 1;
        expected = number + 1;
        if net.dict.has(&format!("features.{expected}.running_mean")) {
            x = net.batch_norm(&x, &format!("features.{expected}"), EPSILON);
            expected += 1;
        }
        x = net.relu(&x, &format!("features.{expected}"));
        expected += 1;
    }
    (
        net.max_pool(&x, &format!("features.{expected}"), Window::new(2, 2, 0)),
        convolutions,
    )
}

/// Linear layers with ReLUs between them; torchvision numbers them 0, 3 and 6.
fn head(net: &mut Net<'_>, x: &Map) -> (Features, usize) {
    if net.dict.has("classifier.weight") {
        let y = net.flatten(x, "flatten");
        return (net.linear(&y, "classifier"), 1);
    }
    let numbers = net.dict.numbers("classifier");
    let columns = net.dict.size("classifier.0.weight", 1).unwrap_or(x.channels * 49);
    let side = (columns / x.channels.max(1)).isqrt();
    let x = net.adaptive_pool(x, "avgpool", side, "classifier.0.weight");
    let mut y = net.flatten(&x, "flatten");
    let count = numbers.len().max(1);
    for (position, number) in numbers.into_iter().enumerate() {
        y = net.linear(&y, &format!("classifier.{number}"));
        if position + 1 < count {
            y.value = net.activate_value(&y.value, &format!("classifier.{}", number + 1), Activation::Relu);
        }
    }
    (y, count)
}

/// timm writes the first two matrices as convolutions, the first of them over the whole picture.
fn timm_head(net: &mut Net<'_>, x: &Map) -> (Features, usize) {
    let [height, width] = x.size;
    if [height, width] != [7, 7] {
        let reason = format!("reads 7 x 7 pixels, and {height} x {width} arrive: give pictures of 224 x 224 pixels");
        net.fail("pre_logits.fc1.weight", Fault::Other(reason));
    }
    let mut y = net.conv(x, "pre_logits.fc1", Conv::square(7).padding(0));
    y = net.relu(&y, "pre_logits.act1");
    y = net.conv(&y, "pre_logits.fc2", Conv::square(1));
    y = net.relu(&y, "pre_logits.act2");
    let pooled = net.global_pool(&y, "head.global_pool");
    (net.linear(&pooled, "head.fc"), 3)
}
