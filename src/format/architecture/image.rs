//! Layers of networks that look at pictures, as calls on a [`Net`]. A layer's node has the name of its module, so that the
//! layer table speaks the names of the state dict.

use super::misfit::Fault;
use super::net::{Axis, Net, Output};
use crate::network::{Interpolation, PreprocessHint};
use crate::onnx::build::{float_attribute, i64_tensor, int_attribute, ints_attribute, scalar_f32};
use crate::onnx::schema::data_type;

/// Epsilon of torch's batch-norms.
pub(super) const EPSILON: f32 = 1e-5;

/// Largest side of a picture that a configuration may ask for, pixels.
const LARGEST: usize = 8192;

/// What pictures a family is usually trained on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    /// Side of the square picture, pixels.
    pub(super) size: usize,
    /// Mean and standard deviation of each channel of pixels in 0..1; `None` where trainings differ.
    pub(super) normalization: Option<[[f32; 3]; 2]>,
    /// Share of the resized picture that the centre crop keeps.
    pub(super) crop: Option<f32>,
    pub(super) interpolation: Option<Interpolation>,
}

impl Usual {
    /// torchvision's pictures of ImageNet: 224 of 256 pixels.
    pub(super) const IMAGENET: Self = Self {
        size: 224,
        normalization: Some([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]),
        crop: Some(0.875),
        interpolation: Some(Interpolation::Bilinear),
    };

    /// Small pictures of `size` x `size`.
    pub(super) const fn small(size: usize) -> Self {
        Self {
            size,
            normalization: None,
            crop: None,
            interpolation: None,
        }
    }
}

/// Channels of a picture or feature map `[batch, channels, height, width]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) value: String,
    pub(super) channels: usize,
    /// Height and width.
    pub(super) size: [usize; 2],
}

/// A row of numbers for each sample, `[batch, width]`.
#[derive(Debug, Clone)]
pub(super) struct Features {
    pub(super) value: String,
    pub(super) width: usize,
}

impl Features {
    /// As what the network gives.
    pub(super) fn output(self) -> Output {
        Output {
            axes: vec![Axis::Free("batch"), Axis::Size(self.width)],
            value: self.value,
        }
    }
}

/// How channels are tied together in a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Groups {
    One,
    /// As many as the shape of the weight says.
    Any,
    /// One for each channel.
    Depthwise,
}

/// What is known of a convolution before its weight is seen. Padding keeps the size unless something else is said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    /// Height and width; `None`: any odd square.
    kernel: Option<[usize; 2]>,
    stride: usize,
    padding: Option<[usize; 2]>,
    /// As TensorFlow pads: the stride decides, and an odd pixel goes to the bottom and to the right.
    tensorflow: bool,
    groups: Groups,
}

impl Conv {
    /// A kernel of `size` x `size`.
    pub(super) const fn square(size: usize) -> Self {
        Self::kernel(size, size)
    }

    /// A kernel of `height` x `width`.
    pub(super) const fn kernel(height: usize, width: usize) -> Self {
        Self {
            kernel: Some([height, width]),
            ..Self::any()
        }
    }

    /// A square kernel whose size the weight tells.
    pub(super) const fn any() -> Self {
        Self {
            kernel: None,
            stride: 1,
            padding: None,
            tensorflow: false,
            groups: Groups::One,
        }
    }

    pub(super) const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Pixels around the picture, the same on all sides.
    pub(super) const fn padding(self, padding: usize) -> Self {
        Self {
            padding: Some([padding, padding]),
            ..self
        }
    }

    /// Pads as TensorFlow does, if `tensorflow`.
    pub(super) const fn tensorflow(self, tensorflow: bool) -> Self {
        Self { tensorflow, ..self }
    }

    /// The shape of the weight tells the number of groups.
    pub(super) const fn grouped(self) -> Self {
        Self {
            groups: Groups::Any,
            ..self
        }
    }

    /// Each channel by itself.
    pub(super) const fn depthwise(self) -> Self {
        Self {
            groups: Groups::Depthwise,
            ..self
        }
    }
}

/// A window that moves over a picture and pools what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    /// Whether a window that reaches over the edge counts (torch's `ceil_mode`).
    pub(super) ceil: bool,
}

impl Window {
    pub(super) const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel,
            stride,
            padding,
            ceil: false,
        }
    }

    pub(super) const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }
}

/// What stands behind a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * min(max(x + 3, 0), 6) / 6`
    HardSwish,
}

/// What [`Net::squeeze_excite`] has to know.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) module: String,
    /// What the names of its two convolutions end with.
    pub(super) parts: [&'static str; 2],
    /// What stands between them.
    pub(super) inner: Activation,
    /// Whether the gate is `min(max(x + 3, 0), 6) / 6` and not a sigmoid.
    pub(super) hard: bool,
}

impl Net<'_> {
    /// The pictures: as many channels as the first convolution `stem` reads, of the configured size, else the usual one.
    pub(super) fn pictures(&mut self, stem: &str, usual: Usual) -> Map {
        let channels = self.dict.size(&format!("{stem}.weight"), 1).unwrap_or(3);
        let size = self.configured_size().unwrap_or([usual.size; 2]);
        self.pictures_of(channels, size, usual)
    }

    /// The height and width that the configuration asks for, if they are believable.
    pub(super) fn configured_size(&self) -> Option<[usize; 2]> {
        let size = self.config.preprocess.size?;
        size.iter().all(|side| (1..=LARGEST).contains(side)).then_some(size)
    }

    /// Pictures of `channels` and this height and width; only what else is usual is taken from `usual`.
    pub(super) fn pictures_of(&mut self, channels: usize, size: [usize; 2], usual: Usual) -> Map {
        self.usually(PreprocessHint {
            mean: usual.normalization.map(|[mean, _]| mean.to_vec()),
            std: usual.normalization.map(|[_, std]| std.to_vec()),
            size: Some(size),
            crop: usual.crop,
            interpolation: usual.interpolation,
            ..PreprocessHint::default()
        });
        let axes = [
            Axis::Free("batch"),
            Axis::Size(channels),
            Axis::Size(size[0]),
            Axis::Size(size[1]),
        ];
        Map {
            value: self.input("input", data_type::FLOAT, &axes),
            channels,
            size,
        }
    }

    /// A convolution, with a bias if the file has one.
    pub(super) fn conv(&mut self, x: &Map, module: &str, conv: Conv) -> Map {
        let name = format!("{module}.weight");
        let found = |axis| self.dict.size(&name, axis);
        let kernel = match conv.kernel {
            Some([height, width]) => [Some(height), Some(width)],
            None => [found(2).filter(|size| size % 2 == 1); 2].map(|size| size.or(Some(1))),
        };
        let reads = match conv.groups {
            Groups::One => x.channels,
            Groups::Depthwise => 1,
            Groups::Any => found(1)
                .filter(|&read| read > 0 && x.channels.is_multiple_of(read))
                .unwrap_or(x.channels),
        };
        let made = (conv.groups == Groups::Depthwise).then_some(x.channels);
        let weight = self.parameter(&name, &[made, Some(reads), kernel[0], kernel[1]]);
        let kernel = [weight.shape[2], weight.shape[3]];
        let channels = weight.shape[0];
        let groups = x.channels / reads.max(1);
        if !channels.is_multiple_of(groups.max(1)) {
            let reason = format!("makes {channels} channels, which do not divide into {groups} groups");
            self.fail(&name, Fault::Other(reason));
        }
        let mut inputs = vec![x.value.clone(), weight.value];
        if self.dict.has(&format!("{module}.bias")) {
            inputs.push(self.parameter(&format!("{module}.bias"), &[Some(channels)]).value);
        }
        let sides: [Side; 2] = std::array::from_fn(|axis| Side::of_conv(conv, x.size[axis], kernel[axis], axis));
        let attributes = vec![
            int_attribute("group", as_i64(groups)),
            ints_attribute("kernel_shape", kernel.map(as_i64)),
            ints_attribute("strides", [as_i64(conv.stride); 2]),
            ints_attribute("pads", pads(&sides)),
        ];
        Map {
            size: self.sizes(&name, x.size, sides),
            value: self.node("Conv", module, inputs, attributes),
            channels,
        }
    }

    /// A batch-norm with fixed statistics.
    pub(super) fn batch_norm(&mut self, x: &Map, module: &str, epsilon: f32) -> Map {
        let mut inputs = vec![x.value.clone()];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.parameter(&format!("{module}.{part}"), &[Some(x.channels)]).value);
        }
        let attributes = vec![float_attribute("epsilon", epsilon)];
        Map {
            value: self.node("BatchNormalization", module, inputs, attributes),
            ..x.clone()
        }
    }

    /// An activation; its node is called `name`.
    pub(super) fn activate(&mut self, x: &Map, name: &str, activation: Activation) -> Map {
        Map {
            value: self.activate_value(&x.value, name, activation),
            ..x.clone()
        }
    }

    /// [`Net::activate`] for a value of any shape.
    pub(super) fn activate_value(&mut self, value: &str, name: &str, activation: Activation) -> String {
        match activation {
            Activation::Relu => self.node("Relu", name, [value], vec![]),
            Activation::HardSwish => self.node("HardSwish", name, [value], vec![]),
            Activation::Relu6 => {
                let bounds = [("min", 0.0), ("max", 6.0)];
                let [low, high] = bounds.map(|(end, bound)| self.constant(scalar_f32(format!("{name}.{end}"), bound)));
                self.node("Clip", name, [value.to_owned(), low, high], vec![])
            }
            Activation::Silu => {
                let gate = self.node("Sigmoid", &format!("{name}.sigmoid"), [value], vec![]);
                self.node("Mul", name, [value.to_owned(), gate], vec![])
            }
        }
    }

    /// A ReLU called `name`.
    pub(super) fn relu(&mut self, x: &Map, name: &str) -> Map {
        self.activate(x, name, Activation::Relu)
    }

    /// The largest of each window.
    pub(super) fn max_pool(&mut self, x: &Map, name: &str, window: Window) -> Map {
        self.pool("MaxPool", x, name, window, vec![])
    }

    /// The mean of each window; pixels beyond the edge count as zeros if `count_padding`.
    pub(super) fn average_pool(&mut self, x: &Map, name: &str, window: Window, count_padding: bool) -> Map {
        let count = int_attribute("count_include_pad", i64::from(count_padding));
        self.pool("AveragePool", x, name, window, vec![count])
    }

    fn pool(
        &mut self,
        operator: &str,
        x: &Map,
        name: &str,
        window: Window,
        mut attributes: Vec<crate::onnx::AttributeProto>,
    ) -> Map {
        let sides = x.size.map(|size| Side::of_window(window, size));
        attributes.extend([
            ints_attribute("kernel_shape", [as_i64(window.kernel); 2]),
            ints_attribute("strides", [as_i64(window.stride); 2]),
            ints_attribute("pads", pads(&sides)),
        ]);
        Map {
            size: self.sizes(name, x.size, sides),
            value: self.node(operator, name, [x.value.as_str()], attributes),
            channels: x.channels,
        }
    }

    /// The means of windows that divide the picture into `side` x `side`; `tensor` is blamed if they do not.
    pub(super) fn adaptive_pool(&mut self, x: &Map, name: &str, side: usize, tensor: &str) -> Map {
        let [height, width] = x.size;
        if [height, width] == [side; 2] {
            return x.clone();
        }
        if side == 0 || height != width || !height.is_multiple_of(side) {
            let reason = format!("reads {side} x {side} pixels, into which {height} x {width} do not divide");
            self.fail(tensor, Fault::Other(reason));
            return x.clone();
        }
        let window = Window::new(height / side, height / side, 0);
        self.average_pool(x, name, window, false)
    }

    /// The mean of each channel.
    pub(super) fn global_pool(&mut self, x: &Map, name: &str) -> Features {
        let pooled = self.pool_to_pixel(x, name);
        self.flatten(&pooled, &format!("{name}.flatten"))
    }

    /// All numbers of a picture in a row.
    pub(super) fn flatten(&mut self, x: &Map, name: &str) -> Features {
        Features {
            value: self.node("Flatten", name, [x.value.as_str()], vec![int_attribute("axis", 1)]),
            width: x.channels * x.size[0] * x.size[1],
        }
    }

    /// A fully connected layer, with a bias if the file has one.
    pub(super) fn linear(&mut self, x: &Features, module: &str) -> Features {
        let weight = self.parameter(&format!("{module}.weight"), &[None, Some(x.width)]);
        let width = weight.shape[0];
        let mut inputs = vec![x.value.clone(), weight.value];
        if self.dict.has(&format!("{module}.bias")) {
            inputs.push(self.parameter(&format!("{module}.bias"), &[Some(width)]).value);
        }
        Features {
            value: self.node("Gemm", module, inputs, vec![int_attribute("transB", 1)]),
            width,
        }
    }

    /// Squeeze and excitation (Hu et al. 2018): each channel is scaled by a gate, which two 1 x 1 convolutions make from the
    /// means of all channels.
    pub(super) fn squeeze_excite(&mut self, x: &Map, gate: &Gate) -> Map {
        let module = &gate.module;
        let [reduce, expand] = gate.parts.map(|part| format!("{module}.{part}"));
        let squeezed = self.pool_to_pixel(x, &format!("{module}.pool"));
        let reduced = self.conv(&squeezed, &reduce, Conv::square(1));
        let reduced = self.activate(&reduced, &format!("{module}.inner"), gate.inner);
        let expanded = self.conv(&reduced, &expand, Conv::square(1));
        if expanded.channels != x.channels {
            let reason = format!("makes {} gates for {} channels", expanded.channels, x.channels);
            self.fail(&format!("{expand}.weight"), Fault::Other(reason));
        }
        let name = format!("{module}.gate");
        let share = if gate.hard {
            let attributes = vec![float_attribute("alpha", 1.0 / 6.0), float_attribute("beta", 0.5)];
            self.node("HardSigmoid", &name, [expanded.value.as_str()], attributes)
        } else {
            self.node("Sigmoid", &name, [expanded.value.as_str()], vec![])
        };
        Map {
            value: self.node("Mul", &format!("{module}.scale"), [x.value.clone(), share], vec![]),
            ..x.clone()
        }
    }

    /// The mean of each channel, as a picture of one pixel.
    pub(super) fn pool_to_pixel(&mut self, x: &Map, name: &str) -> Map {
        Map {
            value: self.node("GlobalAveragePool", name, [x.value.as_str()], vec![]),
            channels: x.channels,
            size: [1, 1],
        }
    }

    /// The sum of two maps of one shape. `tensor` is blamed if the shapes differ.
    pub(super) fn add(&mut self, a: &Map, b: &Map, name: &str, tensor: &str) -> Map {
        if a.channels != b.channels || a.size != b.size {
            let show = |map: &Map| format!("[{}, {}, {}]", map.channels, map.size[0], map.size[1]);
            let reason = format!("makes a map {}, which is added to one of {}", show(a), show(b));
            self.fail(tensor, Fault::Other(reason));
        }
        Map {
            value: self.node("Add", name, [a.value.as_str(), b.value.as_str()], vec![]),
            ..a.clone()
        }
    }

    /// Maps of one size, one after the other along the channels.
    pub(super) fn concat(&mut self, maps: &[Map], name: &str) -> Map {
        let size = maps.first().map_or([1, 1], |map| map.size);
        if let Some(other) = maps.iter().find(|map| map.size != size) {
            let reason = format!("joins maps of {size:?} and {:?} pixels", other.size);
            self.fail(name, Fault::Other(reason));
        }
        let values = maps.iter().map(|map| map.value.clone());
        Map {
            value: self.node("Concat", name, values, vec![int_attribute("axis", 1)]),
            channels: maps.iter().map(|map| map.channels).sum(),
            size,
        }
    }

    /// Every second pixel, with channels of zeros before and behind: the shortcut without weights of CIFAR ResNets (He et
    /// al. 2016, option A).
    pub(super) fn subsample_and_widen(&mut self, x: &Map, name: &str, stride: usize, channels: usize) -> Map {
        let constant = |net: &mut Self, part: &str, values: &[i64]| {
            net.constant(i64_tensor(format!("{name}.{part}"), &[values.len()], values))
        };
        let starts = constant(self, "starts", &[0, 0]);
        let ends = constant(self, "ends", &[i64::MAX, i64::MAX]);
        let axes = constant(self, "axes", &[2, 3]);
        let steps = constant(self, "steps", &[as_i64(stride); 2]);
        let inputs = [x.value.clone(), starts, ends, axes, steps];
        let sampled = self.node("Slice", &format!("{name}.subsample"), inputs, vec![]);
        let more = channels.saturating_sub(x.channels);
        let before = more / 2;
        let around = [0, before, 0, 0, 0, more - before, 0, 0].map(as_i64);
        let pads = constant(self, "pads", &around);
        Map {
            value: self.node("Pad", name, [sampled, pads], vec![]),
            channels: x.channels.max(channels),
            size: x.size.map(|size| size.div_ceil(stride)),
        }
    }

    /// The sizes behind a window; `name` is blamed if the picture is too small.
    fn sizes(&mut self, name: &str, input: [usize; 2], sides: [Side; 2]) -> [usize; 2] {
        if sides.iter().any(|side| side.size == 0) {
            let reason = format!("is wider than its input of {} x {} pixels", input[0], input[1]);
            self.fail(name, Fault::Other(reason));
        }
        sides.map(|side| side.size.max(1))
    }
}

/// One axis of a picture under a moving window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Side {
    before: usize,
    behind: usize,
    /// Size of the result; 0 if the window does not fit.
    size: usize,
}

impl Side {
    fn of_conv(conv: Conv, size: usize, kernel: usize, axis: usize) -> Self {
        if conv.tensorflow {
            let result = size.div_ceil(conv.stride);
            let padding = ((result.max(1) - 1) * conv.stride + kernel).saturating_sub(size);
            return Self {
                before: padding / 2,
                behind: padding - padding / 2,
                size: result,
            };
        }
        let padding = conv.padding.map_or(kernel / 2, |padding| padding[axis]);
        let room = (size + 2 * padding).checked_sub(kernel);
        Self {
            before: padding,
            behind: padding,
            size: room.map_or(0, |room| room / conv.stride + 1),
        }
    }

    /// A window that reaches over the edge gets the padding that it needs, which is the same for every engine; one that
    /// would begin beyond the edge does not count, as in torch.
    fn of_window(window: Window, size: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
            ceil,
        } = window;
        let Some(room) = (size + 2 * padding).checked_sub(kernel) else {
            return Self {
                before: padding,
                behind: padding,
                size: 0,
            };
        };
        let mut result = room / stride + 1;
        if ceil && !room.is_multiple_of(stride) && result * stride < size + padding {
            result += 1;
        }
        let reach = (result - 1) * stride + kernel;
        Self {
            before: padding,
            behind: padding.max(reach.saturating_sub(size + padding)),
            size: result,
        }
    }
}

fn pads(sides: &[Side; 2]) -> [i64; 4] {
    [sides[0].before, sides[1].before, sides[0].behind, sides[1].behind].map(as_i64)
}

fn as_i64(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_at_the_edge_count_as_in_torch() {
        let side = |window: Window, size| {
            let side = Side::of_window(window, size);
            (side.before, side.behind, side.size)
        };
        // torch.nn.MaxPool2d(3, 2): 112 -> 55; with padding 1: 56; with ceil_mode: 56 and one pixel more.
        assert_eq!(side(Window::new(3, 2, 0), 112), (0, 0, 55));
        assert_eq!(side(Window::new(3, 2, 1), 112), (1, 1, 56));
        assert_eq!(side(Window::new(3, 2, 0).ceil(), 112), (0, 1, 56));
        assert_eq!(side(Window::new(3, 2, 0).ceil(), 55), (0, 0, 27));
        // torch.nn.MaxPool2d(1, 2, ceil_mode=True) on 2: the second window would begin beyond the edge.
        assert_eq!(side(Window::new(1, 2, 0).ceil(), 2), (0, 0, 1));
        assert_eq!(side(Window::new(7, 1, 0), 6), (0, 0, 0));
    }

    #[test]
    fn tensorflow_puts_the_odd_pixel_behind() {
        let side = |stride, size, kernel| {
            let conv = Conv::square(kernel).stride(stride).tensorflow(true);
            let side = Side::of_conv(conv, size, kernel, 0);
            (side.before, side.behind, side.size)
        };
        assert_eq!(side(2, 224, 3), (0, 1, 112));
        assert_eq!(side(2, 225, 3), (1, 1, 113));
        assert_eq!(side(1, 14, 5), (2, 2, 14));
        assert_eq!(side(2, 56, 5), (1, 2, 28));
    }
}
