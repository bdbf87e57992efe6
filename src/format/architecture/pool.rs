//! Pools: the largest or the mean of windows, or of all.

use super::misfit::Fault;
use super::net::{Net, as_i64};
use super::picture::{Features, Map};
use super::window::{Side, Window, pads};
use crate::onnx::AttributeProto;
use crate::onnx::build::{int_attribute, ints_attribute};

impl Net<'_> {
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
        mut attributes: Vec<AttributeProto>,
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

    /// The mean of each channel, as a picture of one pixel.
    pub(super) fn pool_to_pixel(&mut self, x: &Map, name: &str) -> Map {
        Map {
            value: self.node("GlobalAveragePool", name, [x.value.as_str()], vec![]),
            channels: x.channels,
            size: [1, 1],
        }
    }
}
