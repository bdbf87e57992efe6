//! SqueezeNet 1.0 and 1.1 (Iandola et al. 2016), as torchvision has them. Fire modules keep their number; a number left out
//! is a pool.

use super::Family;
use super::image::{Conv, Map, Usual, Window};
use super::net::{Net, Output};

pub(super) const FAMILY: Family = Family {
    name: "SqueezeNet",
    build,
};

/// The first fire module comes after convolution, ReLU and pool.
const FIRST_FIRE: usize = 3;
const POOL: Window = Window::new(3, 2, 0).ceil();

fn build(net: &mut Net<'_>) -> Output {
    let kernel = net
        .dict
        .size("features.0.weight", 2)
        .filter(|kernel| *kernel == 7)
        .unwrap_or(3);
    net.call(if kernel == 7 {
        "SqueezeNet 1.0"
    } else {
        "SqueezeNet 1.1"
    });
    let x = net.pictures("features.0", Usual::IMAGENET);
    let x = net.conv(&x, "features.0", Conv::square(kernel).stride(2).padding(0));
    let x = net.relu(&x, "features.1");
    let mut x = net.max_pool(&x, "features.2", POOL);
    let mut expected = FIRST_FIRE;
    let numbers = net.dict.numbers("features");
    for number in numbers.into_iter().filter(|number| *number >= FIRST_FIRE) {
        if number > expected {
            x = net.max_pool(&x, &format!("features.{expected}"), POOL);
        }
        x = fire(net, &x, &format!("features.{number}"));
        expected = number + 1;
    }
    let x = net.conv(&x, "classifier.1", Conv::square(1));
    let x = net.relu(&x, "classifier.2");
    net.global_pool(&x, "classifier.3").output()
}

/// Few channels, then many, half of them with a 3 x 3 kernel.
fn fire(net: &mut Net<'_>, x: &Map, module: &str) -> Map {
    let name = |part: &str| format!("{module}.{part}");
    let squeezed = net.conv(x, &name("squeeze"), Conv::square(1));
    let squeezed = net.relu(&squeezed, &name("squeeze_activation"));
    let both = [("expand1x1", 1), ("expand3x3", 3)].map(|(part, kernel)| {
        let expanded = net.conv(&squeezed, &name(part), Conv::square(kernel));
        net.relu(&expanded, &name(&format!("{part}_activation")))
    });
    net.concat(&both, &name("concat"))
}
