//! Small networks without an architecture of their own: layers that are fully connected (MLP), with convolutions before them
//! (LeNet, LeCun et al. 1998, and what tutorials make of it). Their names tell the order of the layers, the first matrix tells
//! how large a picture is left behind the convolutions; what is usual is taken for the rest, and said.

use super::Family;
use super::image::{Activation, Conv, EPSILON, Features, Map, Usual, Window};
use super::misfit::Fault;
use super::net::{Axis, Net, Output};
use crate::onnx::schema::data_type;

pub(super) const FAMILY: Family = Family {
    name: "small network",
    build,
};

/// Last parts of the modules' names, without their numbers. A number alone is a place in a sequence.
const CONVOLUTIONS: [&str; 3] = ["conv", "cnn", ""];
const LINEARS: [&str; 12] = [
    "input",
    "fc",
    "linear",
    "lin",
    "l",
    "layer",
    "dense",
    "hidden",
    "",
    "out",
    "output",
    "classifier",
];
/// Those that come first or last whatever their number.
const FIRST: [&str; 1] = ["input"];
const LAST: [&str; 3] = ["out", "output", "classifier"];
/// What a batch-norm is called that has the number of its convolution.
const NORMS: [&str; 4] = ["bn", "norm", "batch_norm", "batchnorm"];

/// Widths that are a known kind of picture in a row: MNIST's and CIFAR's; channels and side.
const ROWS_OF_PIXELS: [(usize, [usize; 2]); 2] = [(784, [1, 28]), (3072, [3, 32])];
/// Sides of pictures to try, by the number of channels.
const GREY: [usize; 2] = [28, 32];
const COLOURED: [usize; 4] = [32, 64, 28, 224];

/// A module with a weight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Layer {
    /// 0 for the first, 1 for those in the middle, 2 for the last.
    place: usize,
    number: usize,
    word: String,
    /// The modules around it, with the dot.
    container: String,
}

impl Layer {
    fn module(&self) -> String {
        match self.number {
            usize::MAX => format!("{}{}", self.container, self.word),
            number => format!("{}{}{number}", self.container, self.word),
        }
    }
}

fn build(net: &mut Net<'_>) -> Output {
    let convolutions = layers(net, 4, &CONVOLUTIONS);
    let linears = layers(net, 2, &LINEARS);
    let Some(first) = linears.first().filter(|_| convolutions.len() + linears.len() > 1) else {
        net.fail("fc1.weight", Fault::Missing(vec![None, None]));
        return nothing();
    };
    let columns = net.dict.size(&format!("{}.weight", first.module()), 1).unwrap_or(1);
    let x = if convolutions.is_empty() {
        numbers(net, columns)
    } else {
        convolve(net, &convolutions, columns, &format!("{}.weight", first.module()))
    };
    let mut widths = vec![x.width.to_string()];
    let mut x = x;
    for (position, layer) in linears.iter().enumerate() {
        x = net.linear(&x, &layer.module());
        widths.push(x.width.to_string());
        if position + 1 < linears.len() {
            x.value = net.activate_value(&x.value, &format!("{}.relu", layer.module()), Activation::Relu);
        }
    }
    net.call(match convolutions.len() {
        0 => format!("MLP {}", widths.join("-")),
        count => format!("small network {count} conv + {}", widths.join("-")),
    });
    net.note("names and shapes tell no activation: a ReLU is taken between layers, nothing behind the last");
    x.output()
}

fn nothing() -> Output {
    Output {
        value: String::new(),
        axes: Vec::new(),
    }
}

/// Modules called by one of `words` whose weights have `rank` axes, in their order.
fn layers(net: &Net<'_>, rank: usize, words: &[&str]) -> Vec<Layer> {
    let mut layers: Vec<Layer> = net
        .dict
        .names()
        .filter(|name| net.dict.shape(name).is_some_and(|shape| shape.len() == rank))
        .filter_map(|name| layer(name.strip_suffix(".weight")?, words))
        .collect();
    layers.sort();
    layers
}

fn layer(module: &str, words: &[&str]) -> Option<Layer> {
    let (container, last) = module
        .rsplit_once('.')
        .map_or(("", module), |(_, last)| (&module[..module.len() - last.len()], last));
    let word = last.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &last[word.len()..];
    // In a deeper place it is a part of something larger.
    if container.matches('.').count() > 1 || !words.contains(&word) || (word.is_empty() && digits.is_empty()) {
        return None;
    }
    Some(Layer {
        place: match word {
            word if FIRST.contains(&word) => 0,
            word if LAST.contains(&word) => 2,
            _ => 1,
        },
        number: if digits.is_empty() {
            usize::MAX
        } else {
            digits.parse().ok()?
        },
        word: word.to_owned(),
        container: container.to_owned(),
    })
}

/// What a network without convolutions reads: a picture, where the width is that of a known one.
fn numbers(net: &mut Net<'_>, width: usize) -> Features {
    let Some((_, [channels, side])) = ROWS_OF_PIXELS.into_iter().find(|(known, _)| *known == width) else {
        let axes = [Axis::Free("batch"), Axis::Size(width)];
        return Features {
            value: net.input("input", data_type::FLOAT, &axes),
            width,
        };
    };
    net.note(format!(
        "{width} inputs are taken to be {channels} x {side} x {side} pixels"
    ));
    let picture = net.pictures_of(channels, [side; 2], Usual::small(side));
    net.flatten(&picture, "flatten")
}

/// What names and shapes do not tell of a stack of convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guess {
    side: usize,
    padding: Padding,
    pools: Pools,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Without,
    Same,
    /// So that the 28 pixels of MNIST are the 32 of LeNet-5.
    SameFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pools {
    Each,
    Last,
    Without,
}

impl Guess {
    fn pads(self, position: usize) -> bool {
        self.padding == Padding::Same || (self.padding == Padding::SameFirst && position == 0)
    }

    fn pools(self, position: usize, count: usize) -> bool {
        self.pools == Pools::Each || (self.pools == Pools::Last && position + 1 == count)
    }

    /// Side of what is left behind convolutions with these kernels.
    fn left(self, kernels: &[usize]) -> Option<usize> {
        let mut side = self.side;
        for (position, kernel) in kernels.iter().enumerate() {
            if !self.pads(position) || kernel % 2 == 0 {
                side = (side + 1).checked_sub(*kernel).filter(|side| *side > 0)?;
            }
            if self.pools(position, kernels.len()) {
                side /= 2;
            }
        }
        Some(side).filter(|side| *side > 0)
    }

    fn all(sides: &[usize]) -> impl Iterator<Item = Self> {
        let paddings = [Padding::Without, Padding::Same, Padding::SameFirst];
        let pools = [Pools::Each, Pools::Last, Pools::Without];
        sides.iter().flat_map(move |&side| {
            paddings
                .into_iter()
                .flat_map(move |padding| pools.map(|pools| Self { side, padding, pools }))
        })
    }
}

/// The convolutions, with what makes `columns` numbers of a picture of a usual size.
fn convolve(net: &mut Net<'_>, layers: &[Layer], columns: usize, matrix: &str) -> Features {
    let weight = |layer: &Layer| format!("{}.weight", layer.module());
    let size = |net: &Net<'_>, layer: Option<&Layer>, axis| layer.and_then(|l| net.dict.size(&weight(l), axis));
    let read = size(net, layers.first(), 1).unwrap_or(1);
    let made = size(net, layers.last(), 0).unwrap_or(1).max(1);
    let kernels: Vec<usize> = layers.iter().map(|l| size(net, Some(l), 2).unwrap_or(1)).collect();
    let configured = net.configured_size().map(|[height, _]| [height]);
    let sides: &[usize] = match (&configured, read) {
        (Some(side), _) => side,
        (None, 1) => &GREY,
        (None, _) => &COLOURED,
    };
    let fits = |guess: &Guess| guess.left(&kernels).is_some_and(|side| side * side * made == columns);
    let Some(guess) = Guess::all(sides).find(fits) else {
        let reason = format!(
            "has {columns} columns, which no usual size of picture, padding and pooling make of {made} channels: give a \
             config.json with input_size"
        );
        net.fail(matrix, Fault::Other(reason));
        return Features {
            value: String::new(),
            width: columns,
        };
    };
    net.note(describe(guess));
    let mut x = net.pictures_of(read, [guess.side; 2], Usual::small(guess.side));
    for (position, layer) in layers.iter().enumerate() {
        x = convolution(net, &x, layer, guess.pads(position));
        if guess.pools(position, layers.len()) {
            x = net.max_pool(&x, &format!("{}.pool", layer.module()), Window::new(2, 2, 0));
        }
    }
    net.flatten(&x, "flatten")
}

fn convolution(net: &mut Net<'_>, x: &Map, layer: &Layer, padded: bool) -> Map {
    let module = layer.module();
    let kernel = net.dict.size(&format!("{module}.weight"), 2).unwrap_or(1);
    let padding = if padded && kernel % 2 == 1 { kernel / 2 } else { 0 };
    let mut x = net.conv(x, &module, Conv::square(kernel).padding(padding));
    let norms = if layer.word.is_empty() {
        vec![format!("{}{}", layer.container, layer.number.saturating_add(1))]
    } else {
        let named = |norm: &str| format!("{}{norm}{}", layer.container, layer.number);
        NORMS.into_iter().map(named).collect()
    };
    let norm = norms.iter().find(|norm| net.dict.has(&format!("{norm}.running_mean")));
    if let Some(norm) = norm {
        x = net.batch_norm(&x, norm, EPSILON);
    }
    net.relu(&x, &format!("{module}.relu"))
}

fn describe(guess: Guess) -> String {
    let padding = match guess.padding {
        Padding::Without => "no padding",
        Padding::Same => "padding that keeps the size",
        Padding::SameFirst => "padding that keeps the size in the first convolution only",
    };
    let pools = match guess.pools {
        Pools::Each => "a max pool of 2 x 2 behind each convolution",
        Pools::Last => "a max pool of 2 x 2 behind the last convolution",
        Pools::Without => "no pools",
    };
    let side = guess.side;
    format!("the shapes fit pictures of {side} x {side} pixels, {padding} and {pools}: this is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(sides: &[usize], kernels: &[usize], area: usize) -> Option<Guess> {
        Guess::all(sides).find(|guess| guess.left(kernels).is_some_and(|side| side * side == area))
    }

    #[test]
    fn the_first_matrix_tells_paddings_and_pools() {
        let of = |side, padding, pools| Some(Guess { side, padding, pools });
        // PyTorch's MNIST example: 9216 = 64 * 12 * 12; its older one: 320 = 20 * 4 * 4.
        assert_eq!(guess(&GREY, &[3, 3], 144), of(28, Padding::Without, Pools::Last));
        assert_eq!(guess(&GREY, &[5, 5], 16), of(28, Padding::Without, Pools::Each));
        // LeNet-5 on MNIST: 400 = 16 * 5 * 5; PyTorch's CIFAR tutorial has the same matrix for 32 pixels.
        assert_eq!(guess(&GREY, &[5, 5], 25), of(28, Padding::SameFirst, Pools::Each));
        assert_eq!(guess(&COLOURED, &[5, 5], 25), of(32, Padding::Without, Pools::Each));
        assert_eq!(guess(&GREY, &[3, 3], 49), of(28, Padding::Same, Pools::Each));
        assert_eq!(guess(&GREY, &[3, 3], 10_000), None);
    }

    #[test]
    fn modules_are_ordered_by_number_with_the_output_last() {
        let mut found: Vec<Layer> = [
            "output",
            "fc10",
            "fc2",
            "input",
            "net.0",
            "blocks.0.fc1.x",
            "gate",
            "fc3",
        ]
        .iter()
        .filter_map(|module| layer(module, &LINEARS))
        .collect();
        found.sort();
        let names: Vec<String> = found.iter().map(Layer::module).collect();
        assert_eq!(names, ["input", "net.0", "fc2", "fc3", "fc10", "output"]);
        assert_eq!(layer("blocks.0.mlp.fc1", &LINEARS), None);
    }
}
