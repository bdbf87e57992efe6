//! What a layer's input goes through: onto its grid, and repeated where channels are split.

use super::editor::cast;
use crate::network::Layer;
use crate::onnx::GraphEdit;
use crate::onnx::build::{float_tensor, i64_tensor, int_attribute, node, scalar_f32, scalar_i8, scalar_u8};
use crate::onnx::schema::data_type;
use crate::quantization::{ActivationPlan, Copied, Expansion, SplitKind};

/// What becomes of a layer's input.
pub(super) struct Input<'a> {
    /// Its grid; `None` if it stays float.
    pub(super) grid: Option<ActivationPlan>,
    /// How its activations are split, where they are.
    pub(super) split: SplitKind,
    /// The channels that the layer reads.
    pub(super) expansion: &'a Expansion,
    /// Whether a `Gather` is to make them: they are others than the input has, and its maker does not make them already.
    pub(super) is_gathered: bool,
}

/// Where nodes are put.
pub(super) struct Site<'a> {
    pub(super) editor: &'a mut GraphEdit,
    /// Position of the layer's node.
    pub(super) before: usize,
    pub(super) layer: &'a Layer,
    /// Axis of the input's channels.
    pub(super) axis: i64,
    /// What the layer reads.
    pub(super) element_type: i32,
}

impl Input<'_> {
    /// Puts the nodes before the layer, and returns the value that it reads then. Layers that do the same with a value share
    /// the nodes.
    pub(super) fn rewrite(&self, site: &mut Site<'_>, value: String) -> String {
        // The grid works on each element alone, so it comes before the copies where they are the same as their source.
        if !self.expansion.splits_activations() {
            let value = match self.grid {
                Some(plan) => site.as_float(value, |site, value| site.quantize(&value, plan)),
                None => value,
            };
            return self.gather(site, value);
        }
        let value = self.gather(site, value);
        site.as_float(value, |site, value| {
            let value = site.halve(value, self);
            match self.grid {
                Some(plan) => site.quantize(&value, plan),
                None => value,
            }
        })
    }

    fn gather(&self, site: &mut Site<'_>, value: String) -> String {
        if self.is_gathered {
            site.repeat(value, self.expansion)
        } else {
            value
        }
    }
}

impl Site<'_> {
    /// Repeats the channels that are split.
    fn repeat(&mut self, value: String, expansion: &Expansion) -> String {
        let index = expansion.sources();
        let (axis, layer, before) = (self.axis, self.layer, self.before);
        let key = format!("gather {value} {axis} {index:?}");
        self.editor.shared(key, |editor| {
            let indices = editor.add_initializer(
                &format!("{}.ocs_index", layer.weight),
                i64_tensor("", &[index.len()], &index),
            );
            let to = editor.fresh(&format!("{value}.split"));
            let name = editor.fresh(&format!("{}/split", layer.name));
            let attributes = vec![int_attribute("axis", axis)];
            editor.insert(before, node("Gather", name, [value, indices], [to.clone()], attributes));
            to
        })
    }

    /// Halves the copies of split activations; on a grid, quantization-aware halves move apart by half a step.
    fn halve(&mut self, value: String, input: &Input<'_>) -> String {
        let copies = &input.expansion.copies;
        // Whatever the rank: axes before the channels are left to broadcasting.
        let after = match usize::try_from(self.axis) {
            Ok(axis) => self.layer.shape.len().saturating_sub(axis + 1),
            Err(_) => usize::try_from(-(self.axis + 1)).unwrap_or(0),
        };
        let mut shape = vec![1; after + 1];
        shape[0] = copies.len();
        let factors: Vec<f32> = copies.iter().map(|copy| copy.share.factor()).collect();
        let value = self.with_constant("Mul", "halves", value, &shape, &factors);
        let offset = |copy: &Copied| input.grid.map_or(0.0, |plan| copy.share.offset(input.split, plan.grid));
        let offsets: Vec<f32> = copies.iter().map(offset).collect();
        if offsets.iter().all(|offset| *offset == 0.0) {
            return value;
        }
        self.with_constant("Add", "quarter_steps", value, &shape, &offsets)
    }

    /// `operator` on a value and a constant.
    fn with_constant(&mut self, operator: &str, what: &str, value: String, shape: &[usize], numbers: &[f32]) -> String {
        let (layer, before) = (self.layer, self.before);
        let bits: Vec<u32> = numbers.iter().map(|number| number.to_bits()).collect();
        let key = format!("{operator} {value} {shape:?} {bits:x?}");
        self.editor.shared(key, |editor| {
            let constant = editor.add_initializer(
                &format!("{}.activation_{what}", layer.weight),
                float_tensor("", shape, numbers),
            );
            let to = editor.fresh(&format!("{value}.{what}"));
            let name = editor.fresh(&format!("{}/{what}", layer.name));
            editor.insert(before, node(operator, name, [value, constant], [to.clone()], vec![]));
            to
        })
    }

    /// `work` on the value in F32; its result in what the layer reads.
    fn as_float(&mut self, value: String, work: impl FnOnce(&mut Self, String) -> String) -> String {
        if self.element_type == data_type::FLOAT {
            return work(self, value);
        }
        let value = self.cast(&value, data_type::FLOAT);
        let value = work(self, value);
        self.cast(&value, self.element_type)
    }

    fn cast(&mut self, value: &str, element_type: i32) -> String {
        let (layer, before) = (self.layer, self.before);
        self.editor.shared(format!("cast {value} {element_type}"), |editor| {
            cast(editor, before, &layer.name, value, element_type)
        })
    }

    /// Puts an F32 value on its grid.
    fn quantize(&mut self, input: &str, activation: ActivationPlan) -> String {
        let (grid, layer, before) = (activation.grid, self.layer, self.before);
        let key = format!(
            "quantize {input} {} {:08x} {}",
            grid.bits,
            grid.step.to_bits(),
            grid.unsigned
        );
        self.editor.shared(key, |editor| {
            let (low, high) = (grid.value(grid.low()), grid.value(grid.high()));
            let clipped = editor.fresh(&format!("{input}.clipped"));
            let name = editor.fresh(&format!("{}/clip", layer.name));
            let low = editor.add_initializer(&format!("{input}.low"), scalar_f32("", low));
            let high = editor.add_initializer(&format!("{input}.high"), scalar_f32("", high));
            let inputs = [input.to_owned(), low, high];
            editor.insert(before, node("Clip", name, inputs, [clipped.clone()], vec![]));
            let scale = editor.add_initializer(&format!("{input}.scale"), scalar_f32("", grid.step));
            let zero = if grid.unsigned {
                scalar_u8("", 0)
            } else {
                scalar_i8("", 0)
            };
            let zero = editor.add_initializer(&format!("{input}.zero_point"), zero);
            let indices = editor.fresh(&format!("{input}.q"));
            let name = editor.fresh(&format!("{}/quantize", layer.name));
            let inputs = [clipped, scale.clone(), zero.clone()];
            editor.insert(before, node("QuantizeLinear", name, inputs, [indices.clone()], vec![]));
            let to = editor.fresh(&format!("{input}.dequantized"));
            let name = editor.fresh(&format!("{}/dequantize", layer.name));
            let inputs = [indices, scale, zero];
            editor.insert(before, node("DequantizeLinear", name, inputs, [to.clone()], vec![]));
            to
        })
    }
}
