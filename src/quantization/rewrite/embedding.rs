//! Embeddings: the rows of integers are looked up and made numbers behind that, so that the table is never held as floats.
//!
//! `Gather` takes no 4-bit integers. Two codes share a byte of the table, and are taken apart behind the look-up.

use super::super::{QuantizationError, Scales};
use super::editor::{node_at, replace_input};
use crate::network::Layer;
use crate::onnx::build::{float_tensor, i32_tensor, int_attribute, node, scalar_f32, scalar_i8};
use crate::onnx::schema::data_type;
use crate::onnx::{AttributeProto, GraphEdit, TensorProto};

/// Nodes put behind a Gather, one after the other.
struct Behind<'a> {
    editor: &'a mut GraphEdit,
    layer: &'a Layer,
    position: usize,
    /// Begins the names of values.
    value: String,
}

impl Behind<'_> {
    /// A node whose output gets a name after `part`; that name.
    fn step<const N: usize>(
        &mut self,
        op: &str,
        part: &str,
        inputs: [String; N],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let to = self.editor.fresh(&format!("{}.{part}", self.value));
        self.last(op, part, inputs, to.clone(), attributes);
        to
    }

    fn last<const N: usize>(
        &mut self,
        op: &str,
        part: &str,
        inputs: [String; N],
        to: String,
        attributes: Vec<AttributeProto>,
    ) {
        let name = self.editor.fresh(&format!("{}/{part}", self.layer.name));
        self.editor
            .append(self.position, node(op, name, inputs, [to], attributes));
    }

    fn cast(&mut self, part: &str, value: String, to: i32) -> String {
        self.step("Cast", part, [value], vec![int_attribute("to", i64::from(to))])
    }

    /// A constant; its name.
    fn constant(&mut self, part: &str, tensor: TensorProto) -> String {
        let name = format!("{}.{part}", self.layer.weight);
        self.editor.add_initializer(&name, tensor)
    }

    /// Bytes of two codes each as floats: the lower halves, then the upper ones (see `Elements::nibbles`).
    fn unpack(&mut self, bytes: String) -> String {
        let bytes = self.cast("bytes", bytes, data_type::INT32);
        let sixteen = self.constant("sixteen", i32_tensor("", &[], &[16]));
        let high = self.step("Div", "high", [bytes.clone(), sixteen.clone()], vec![]);
        let low = self.step("Mod", "low", [bytes, sixteen], vec![]);
        let codes = self.step("Concat", "codes", [low, high], vec![int_attribute("axis", -1)]);
        let codes = self.cast("wide", codes, data_type::FLOAT);
        let eight = self.constant("eight", scalar_f32("", 8.0));
        self.step("Sub", "signed", [codes, eight], vec![])
    }
}

/// Lets the Gather of `layer`, which makes elements of type `to_type`, look up rows of `table`, integers, two a byte if they are
/// packed. One scale: behind it all is multiplied by that. One for each row: the scales are looked up as well.
pub(super) fn rewrite_embedding(
    editor: &mut GraphEdit,
    layer: &Layer,
    (table, is_packed): (TensorProto, bool),
    scales: &Scales,
    to_type: i32,
) -> Result<(), QuantizationError> {
    let (mut behind, rows, output) = look_up(editor, layer, table, "q")?;
    let integers = behind.value.clone();
    let is_float = to_type == data_type::FLOAT;
    let numbers = if is_float {
        output.clone()
    } else {
        behind.editor.fresh(&format!("{output}.float"))
    };
    match scales {
        Scales::Tensor(scale) if !is_packed => {
            let scale = behind.constant("scale", scalar_f32("", *scale));
            let zero = behind.constant("zero_point", scalar_i8("", 0));
            let inputs = [integers, scale, zero];
            behind.last("DequantizeLinear", "dequantize", inputs, numbers.clone(), vec![]);
        }
        scales => {
            let wide = if is_packed {
                behind.unpack(integers)
            } else {
                behind.cast("wide", integers, data_type::FLOAT)
            };
            let scale = match scales {
                Scales::Tensor(scale) => behind.constant("scale", scalar_f32("", *scale)),
                scales => {
                    let scales = scales.values();
                    let column = behind.constant("scale", float_tensor("", &[scales.len(), 1], scales));
                    behind.step("Gather", "scale", [column, rows], vec![int_attribute("axis", 0)])
                }
            };
            behind.last("Mul", "dequantize", [wide, scale], numbers.clone(), vec![]);
        }
    }
    if !is_float {
        let attributes = vec![int_attribute("to", i64::from(to_type))];
        behind.last("Cast", "cast", [numbers], output, attributes);
    }
    Ok(())
}

/// Lets the Gather of `layer`, which makes elements of type `to_type`, look up rows of `table`, floats.
pub(super) fn replace_table(
    editor: &mut GraphEdit,
    layer: &Layer,
    table: TensorProto,
    to_type: i32,
) -> Result<(), QuantizationError> {
    if to_type == data_type::FLOAT {
        let position = layer.node.as_ref().ok_or_else(|| missing(layer))?.node;
        let table = editor.add_initializer(&format!("{}.quantized", layer.weight), table);
        return replace_input(editor, position, 0, table);
    }
    let (mut behind, _, output) = look_up(editor, layer, table, "quantized")?;
    let attributes = vec![int_attribute("to", i64::from(to_type))];
    let numbers = behind.value.clone();
    behind.last("Cast", "cast", [numbers], output, attributes);
    Ok(())
}

/// Gives the Gather of `layer` another table and another name for its output: what is put behind it, the rows that it looks up,
/// and the name that its output had.
fn look_up<'a>(
    editor: &'a mut GraphEdit,
    layer: &'a Layer,
    table: TensorProto,
    suffix: &str,
) -> Result<(Behind<'a>, String, String), QuantizationError> {
    let position = layer.node.as_ref().ok_or_else(|| missing(layer))?.node;
    let gather = node_at(editor, position)?;
    let output = gather.output.first().cloned().ok_or_else(|| missing(layer))?;
    let rows = gather.input.get(1).cloned().ok_or_else(|| missing(layer))?;
    let table = editor.add_initializer(&format!("{}.{suffix}", layer.weight), table);
    replace_input(editor, position, 0, table)?;
    let value = editor.fresh(&format!("{output}.{suffix}"));
    node_at(editor, position)?.output[0].clone_from(&value);
    let behind = Behind {
        editor,
        layer,
        position,
        value,
    };
    Ok((behind, rows, output))
}

fn missing(layer: &Layer) -> QuantizationError {
    QuantizationError::Rewrite(format!("layer '{}': its node is missing", layer.name))
}
