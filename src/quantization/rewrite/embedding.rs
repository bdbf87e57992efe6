//! Embeddings: the rows of integers are looked up and made numbers behind that, so that the table is never held as floats.

use super::super::{QuantizationError, Scales};
use super::editor::{element_type, node_at, replace_input};
use crate::network::{Layer, Network};
use crate::onnx::build::{float_tensor, int_attribute, node, scalar_f32, scalar_i8};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphEdit, TensorProto};

/// Lets the Gather of `layer` look up rows of `table`, integers. One scale: `DequantizeLinear` behind it. One for each row: the
/// scales are looked up as well, and multiplied.
pub(super) fn rewrite_embedding(
    editor: &mut GraphEdit,
    network: &Network,
    layer: &Layer,
    table: TensorProto,
    scales: &Scales,
) -> Result<(), QuantizationError> {
    let missing = || QuantizationError::Rewrite(format!("layer '{}': its node is missing", layer.name));
    let position = layer.node.as_ref().ok_or_else(missing)?.node;
    let to_type = element_type(editor, network, layer)?;
    let gather = node_at(editor, position)?;
    let output = gather.output.first().cloned().ok_or_else(missing)?;
    let rows = gather.input.get(1).cloned().ok_or_else(missing)?;
    let table = editor.add_initializer(&format!("{}.q", layer.weight), table);
    replace_input(editor, position, 0, table)?;
    let integers = editor.fresh(&format!("{output}.q"));
    node_at(editor, position)?.output[0].clone_from(&integers);
    let is_float = to_type == data_type::FLOAT;
    let numbers_of = if is_float {
        output.clone()
    } else {
        editor.fresh(&format!("{output}.float"))
    };
    let name = |editor: &mut GraphEdit, part: &str| editor.fresh(&format!("{}/{part}", layer.name));
    if let Scales::Tensor(scale) = scales {
        let scale = editor.add_initializer(&format!("{}.scale", layer.weight), scalar_f32("", *scale));
        let zero = editor.add_initializer(&format!("{}.zero_point", layer.weight), scalar_i8("", 0));
        let name = name(editor, "dequantize");
        editor.append(
            position,
            node(
                "DequantizeLinear",
                name,
                [integers, scale, zero],
                [numbers_of.clone()],
                vec![],
            ),
        );
    } else {
        let scales = scales.values();
        let column = float_tensor("", &[scales.len(), 1], scales);
        let column = editor.add_initializer(&format!("{}.scale", layer.weight), column);
        let (wide, scale) = (
            editor.fresh(&format!("{output}.wide")),
            editor.fresh(&format!("{output}.scale")),
        );
        let cast = name(editor, "widen");
        let attributes = vec![int_attribute("to", i64::from(data_type::FLOAT))];
        editor.append(position, node("Cast", cast, [integers], [wide.clone()], attributes));
        let look_up = name(editor, "scales");
        let axis = vec![int_attribute("axis", 0)];
        editor.append(position, node("Gather", look_up, [column, rows], [scale.clone()], axis));
        let multiply = name(editor, "dequantize");
        editor.append(
            position,
            node("Mul", multiply, [wide, scale], [numbers_of.clone()], vec![]),
        );
    }
    if !is_float {
        let name = name(editor, "cast");
        let attributes = vec![int_attribute("to", i64::from(to_type))];
        editor.append(position, node("Cast", name, [numbers_of], [output], attributes));
    }
    Ok(())
}
