//! Convolutions: what is known of one before its weight is seen, and the node around it.

use super::misfit::Fault;
use super::net::{Net, as_i64};
use super::picture::Map;
use super::window::{Side, pads};
use crate::onnx::build::{int_attribute, ints_attribute};

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

impl Net<'_> {
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
}

impl Side {
    /// One axis of a picture under a convolution with kernels of this size.
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
