//! AlexNet in the form of Krizhevsky 2014 ("One weird trick"), as torchvision has it.

use super::Family;
use super::image::{Activation, Conv, Usual, Window};
use super::net::{Net, Output};

pub(super) const FAMILY: Family = Family { name: "AlexNet", build };

/// Module number, convolution, and whether a pool follows its ReLU.
const CONVOLUTIONS: [(usize, Conv, bool); 5] = [
    (0, Conv::square(11).stride(4).padding(2), true),
    (3, Conv::square(5), true),
    (6, Conv::square(3), false),
    (8, Conv::square(3), false),
    (10, Conv::square(3), true),
];

/// Module numbers of the linear layers.
const LINEARS: [usize; 3] = [1, 4, 6];

/// Side of the pooled picture that the first linear layer reads, pixels.
const POOLED: usize = 6;

fn build(net: &mut Net<'_>) -> Output {
    let mut x = net.pictures("features.0", Usual::IMAGENET);
    for (number, conv, pooled) in CONVOLUTIONS {
        x = net.conv(&x, &format!("features.{number}"), conv);
        x = net.relu(&x, &format!("features.{}", number + 1));
        if pooled {
            x = net.max_pool(&x, &format!("features.{}", number + 2), Window::new(3, 2, 0));
        }
    }
    let x = net.adaptive_pool(&x, "avgpool", POOLED, "classifier.1.weight");
    let mut y = net.flatten(&x, "flatten");
    for number in LINEARS {
        y = net.linear(&y, &format!("classifier.{number}"));
        if number != LINEARS[2] {
            y.value = net.activate_value(&y.value, &format!("classifier.{}", number + 1), Activation::Relu);
        }
    }
    y.output()
}
