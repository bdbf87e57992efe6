//! Layers of networks that look at pictures, as calls on a [`Net`]. A layer's node has the name of its module, so that the
//! layer table speaks the names of the state dict.

pub(super) use super::activation::{Activation, Gate};
pub(super) use super::convolution::Conv;
pub(super) use super::picture::{Features, Map, Usual};
pub(super) use super::window::Window;

use super::misfit::Fault;
use super::net::{Net, as_i64};
use crate::onnx::build::{float_attribute, i64_tensor, int_attribute};

/// Epsilon of torch's batch-norms.
pub(super) const EPSILON: f32 = 1e-5;

impl Net<'_> {
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
}
