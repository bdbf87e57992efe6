//! What a layer's input goes through: onto its grid, and repeated where channels are split.

use super::editor::cast;
use crate::network::{Layer, LayerKind};
use crate::onnx::build::{float_tensor, i64_tensor, int_attribute, node, scalar_f32, scalar_i8, scalar_u8};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphEdit, NodeProto};
use crate::quantization::{ActivationPlan, Copied, Expansion, Grid, Plan, SplitKind};

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
    /// How codes of a signed grid are stored.
    pub(super) signed: SignedCodes,
    /// Whether a `Clip` keeps codes of 8 bits from the end of their type, -128, which the grid does not have. Integer kernels
    /// before the grid could not hold it.
    pub(super) is_clipped: bool,
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
        // The grid works on each element alone. Where the copies are the same as their source they are made of codes: a byte
        // each, and what reads the codes goes on standing behind `DequantizeLinear`, so that runtimes can fuse them.
        if !self.expansion.splits_activations() {
            return match self.grid {
                Some(plan) => site.as_float(value, |site, value| {
                    site.quantize(&value, plan, self, self.is_gathered.then_some(self.expansion))
                }),
                None => self.gather(site, value),
            };
        }
        let value = self.gather(site, value);
        site.as_float(value, |site, value| {
            let value = site.halve(value, self);
            match self.grid {
                Some(plan) => site.quantize(&value, plan, self, None),
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
    /// Repeats the channels that are split: a `Gather` of all channels, or, where each is a single number in memory and a runtime
    /// would copy them one by one, of the copies alone, which then stand behind the value.
    fn repeat(&mut self, value: String, expansion: &Expansion) -> String {
        let index = expansion.sources();
        let (axis, layer, before) = (self.axis, self.layer, self.before);
        let are_last = axis == -1 || layer.kind == LayerKind::Gemm;
        let whole = layer.layout.in_channels();
        let is_appended = are_last
            && index
                .iter()
                .take(whole)
                .enumerate()
                .all(|(place, source)| place as i64 == *source);
        let gathered = if is_appended { &index[whole..] } else { &index };
        let key = format!("gather {value} {axis} {index:?}");
        self.editor.shared(key, |editor| {
            let indices = editor.add_initializer(
                &format!("{}.ocs_index", layer.weight),
                i64_tensor("", &[gathered.len()], gathered),
            );
            let to = editor.fresh(&format!("{value}.split"));
            let name = editor.fresh(&format!("{}/split", layer.name));
            let attributes = vec![int_attribute("axis", axis)];
            if !is_appended {
                editor.insert(before, node("Gather", name, [value, indices], [to.clone()], attributes));
                return to;
            }
            let copies = editor.fresh(&format!("{value}.copies"));
            let inputs = [value.clone(), indices];
            editor.insert(
                before,
                node("Gather", name, inputs, [copies.clone()], attributes.clone()),
            );
            let name = editor.fresh(&format!("{}/append", layer.name));
            editor.insert(before, node("Concat", name, [value, copies], [to.clone()], attributes));
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

    /// Puts an F32 value on its grid, with the copies of `expansion` if a `Gather` is to make them.
    fn quantize(
        &mut self,
        input: &str,
        activation: ActivationPlan,
        how: &Input<'_>,
        expansion: Option<&Expansion>,
    ) -> String {
        let grid = activation.grid;
        let step = GridStep::at(Place::Before(self.before), &self.layer.name, input, grid, how.signed);
        let is_clipped = !saturates_alike(grid) && (how.is_clipped || grid.bits < 8);
        let mut codes = step.codes(self.editor, is_clipped);
        if let Some(expansion) = expansion {
            codes = self.repeat(codes, expansion);
        }
        step.dequantized(self.editor, codes)
    }
}

/// Where a node is put.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Before(usize),
    Behind(usize),
}

impl Place {
    fn put(self, editor: &mut GraphEdit, node: NodeProto) {
        match self {
            Self::Before(position) => editor.insert(position, node),
            Self::Behind(position) => editor.append(position, node),
        }
    }
}

/// How the codes of a signed grid are stored: the points are the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedCodes {
    /// With zero point 0.
    Int8,
    /// With zero point 128, as the integer kernels of x86 processors take them.
    Uint8,
}

/// From this operator set on, `QuantizeLinear` may tell the element type of its codes: onnxruntime 1.32 tells int8 and then
/// makes them unsigned, and refuses the graph that it made itself.
const UINT8_OPSET: i64 = 21;

impl SignedCodes {
    /// What `plan` needs in a model of the operator set `opset`. Where whole layers are to run in integers, or grids without negative
    /// numbers are stored as UINT8 anyhow, all codes are of one type: onnxruntime makes int8 codes unsigned only where nothing
    /// stands between the two quantizers and one layer reads them, and has no kernel for the others (the three projections of an
    /// attention).
    pub(super) fn of(plan: &Plan, opset: i64) -> Self {
        if plan.recipe.quantize_outputs || plan.recipe.unsigned_activations || opset >= UINT8_OPSET {
            Self::Uint8
        } else {
            Self::Int8
        }
    }
}

/// A value that goes on a grid. Whoever puts the same value on the same grid shares the nodes.
pub(super) struct GridStep<'a> {
    place: Place,
    /// Begins the names of nodes.
    label: &'a str,
    input: &'a str,
    grid: Grid,
    signed: SignedCodes,
    key: String,
}

impl<'a> GridStep<'a> {
    pub(super) fn at(place: Place, label: &'a str, input: &'a str, grid: Grid, signed: SignedCodes) -> Self {
        let (low, zero) = (grid.low(), grid.zero());
        let key = format!("{input} {} {:08x} {low} {zero}", grid.bits, grid.step.to_bits());
        Self {
            place,
            label,
            input,
            grid,
            signed,
            key,
        }
    }

    fn scale(&self, editor: &mut GraphEdit) -> [String; 2] {
        let scale = editor.shared(format!("scale {}", self.key), |editor| {
            editor.add_initializer(&format!("{}.scale", self.input), scalar_f32("", self.grid.step))
        });
        let zero = editor.shared(format!("zero point {}", self.key), |editor| {
            let grid = self.grid;
            let zero = match self.signed {
                _ if grid.unsigned || grid.zero_point.is_some() => scalar_u8("", (grid.zero() - grid.low()) as u8),
                SignedCodes::Int8 => scalar_i8("", 0),
                SignedCodes::Uint8 => scalar_u8("", 128),
            };
            editor.add_initializer(&format!("{}.zero_point", self.input), zero)
        });
        [scale, zero]
    }

    /// The codes, behind a `Clip` to the ends of the grid if `is_clipped`.
    pub(super) fn codes(&self, editor: &mut GraphEdit, is_clipped: bool) -> String {
        let input = self.input;
        editor.shared(format!("quantize {}", self.key), |editor| {
            let clipped = if is_clipped {
                self.clip(editor)
            } else {
                input.to_owned()
            };
            let [scale, zero] = self.scale(editor);
            let codes = editor.fresh(&format!("{input}.q"));
            let name = editor.fresh(&format!("{}/quantize", self.label));
            let quantize = node("QuantizeLinear", name, [clipped, scale, zero], [codes.clone()], vec![]);
            self.place.put(editor, quantize);
            codes
        })
    }

    fn clip(&self, editor: &mut GraphEdit) -> String {
        let (input, grid) = (self.input, self.grid);
        let (low, high) = (grid.value(grid.low()), grid.value(grid.high()));
        let clipped = editor.fresh(&format!("{input}.clipped"));
        let name = editor.fresh(&format!("{}/clip", self.label));
        let low = editor.add_initializer(&format!("{input}.low"), scalar_f32("", low));
        let high = editor.add_initializer(&format!("{input}.high"), scalar_f32("", high));
        let inputs = [input.to_owned(), low, high];
        self.place
            .put(editor, node("Clip", name, inputs, [clipped.clone()], vec![]));
        clipped
    }

    /// `codes` of this grid as floats.
    pub(super) fn dequantized(&self, editor: &mut GraphEdit, codes: String) -> String {
        let [scale, zero] = self.scale(editor);
        editor.shared(format!("dequantize {codes}"), |editor| {
            let to = editor.fresh(&format!("{}.dequantized", self.input));
            let name = editor.fresh(&format!("{}/dequantize", self.label));
            let dequantize = node("DequantizeLinear", name, [codes, scale, zero], [to.clone()], vec![]);
            self.place.put(editor, dequantize);
            to
        })
    }
}

/// Whether `QuantizeLinear` saturates where the grid ends: runtimes fuse it with the layer before only without a `Clip`.
fn saturates_alike(grid: Grid) -> bool {
    (grid.unsigned || grid.zero_point.is_some()) && grid.bits == 8
}
