//! The weights of a layer as the numbers that its input is multiplied by: integers with their scale.

use super::discover::shape;
use super::graphs::{graph_at, tensor_at};
use super::integer_grid::scale_slots;
use super::layer::{Layer, LayerKind};
use super::{CodesError, Network, NetworkError};
use crate::onnx::{Conversion, FloatData, NodeProto, TensorProto};

impl Network {
    /// The weights of layer `index` in the order that they are stored in, as the layer multiplies with them: behind
    /// `DequantizeLinear` (also after `QuantizeLinear`), in operators that take the scale of their weights, in packed blocks, and
    /// before a product of integers whose result is scaled, integers come as `(q - zero_point) * scale`. What is not on a grid is
    /// as in [`Network::weights`].
    ///
    /// # Errors
    /// As [`Network::weights`], and [`NetworkError::Graph`] when the scale is no constant, does not fit the weights, or stands
    /// elsewhere.
    pub fn real_weights(&self, index: usize) -> Result<FloatData, NetworkError> {
        let layer = self.layer(index)?;
        let stored = self.weights(index)?;
        let conversions = self.conversions(layer).map_err(|error| error.of(layer))?;
        if conversions.is_empty() {
            return Ok(stored);
        }
        let mut values = stored.to_vec();
        for conversion in &conversions {
            conversion
                .apply(&mut values)
                .map_err(|error| CodesError::from(error).of(layer))?;
        }
        Ok(values.into())
    }

    /// The conversions between the stored tensor and the layer, in order.
    pub(super) fn conversions(&self, layer: &Layer) -> Result<Vec<Conversion>, CodesError> {
        let main = self.model.graph.as_ref();
        let home = main.and_then(|main| graph_at(main, &layer.source.subgraphs));
        let Some(home) = home else { return Ok(Vec::new()) };
        let is_main = layer.source.subgraphs.is_empty();
        let find = |name: &str| self.constant_beside(layer, name);
        let mut found = Vec::new();
        // Scales run along the axes of the stored tensor, up to a Reshape.
        let stored = main.and_then(|main| tensor_at(main, &layer.source));
        let mut sizes = stored.map_or_else(|| layer.shape.clone(), shape);
        let mut axes: Vec<usize> = (0..sizes.len()).collect();
        for node in layer.source.chain.iter().filter_map(|place| home.node.get(*place)) {
            match node.op_type() {
                "Transpose" => axes = turned(node, &axes),
                "Reshape" if sizes != layer.shape => {
                    sizes.clone_from(&layer.shape);
                    axes = (0..sizes.len()).collect();
                }
                "QuantizeLinear" | "DequantizeLinear" => {
                    found.push(Conversion::of(node, (1, 2), find, &sizes, &axes)?);
                }
                _ => {}
            }
        }
        if found.is_empty()
            && let Some(unpacked) = self.unpacked(layer)
        {
            return Ok(vec![unpacked?.conversion?]);
        }
        let Some(node) = self.node(layer).filter(|_| found.is_empty()) else {
            return Ok(found);
        };
        let is_quantized = layer.kind == LayerKind::Quantized;
        let Some((scale, zero)) = scale_slots(node.op_type(), layer.weight_input) else {
            return if is_quantized { Err(elsewhere(node)) } else { Ok(found) };
        };
        let axes: Vec<usize> = (0..layer.shape.len()).collect();
        let conversion = match scale {
            Some(scale) => Conversion::of(node, (scale, zero), find, &layer.shape, &axes)?,
            None => {
                // A node of its own says what the product is scaled by; the zero point is the operator's.
                let scale = if is_main {
                    scale_behind(node, |value| self.first_reader(value), |value| self.maker(value), find)
                } else {
                    let nodes = || home.node.iter();
                    let reader = |value: &str| nodes().find(|node| node.input.iter().any(|input| input == value));
                    let maker = |value: &str| nodes().find(|node| node.output.iter().any(|output| output == value));
                    scale_behind(node, reader, maker, find)
                };
                let scale = scale.ok_or_else(|| elsewhere(node))?;
                let mut beside = node.clone();
                beside.input = vec![scale.to_owned(), node.input.get(zero).cloned().unwrap_or_default()];
                Conversion::of(&beside, (0, 1), find, &layer.shape, &axes)?
            }
        };
        // These operators have their scales along the output channels.
        Ok(vec![conversion.on_axis(&layer.shape, layer.output_axis())])
    }
}

fn elsewhere(node: &NodeProto) -> CodesError {
    CodesError::ScaleElsewhere(node.op_type().to_owned())
}

/// The constant that scales the weights of a product of integers, as onnxruntime's dynamic quantization writes it: `integer` ->
/// Cast -> Mul with the product of the input's scale, known when the network runs, and that constant.
fn scale_behind<'a>(
    integer: &NodeProto,
    reader: impl Fn(&str) -> Option<&'a NodeProto>,
    maker: impl Fn(&str) -> Option<&'a NodeProto>,
    constant: impl Fn(&str) -> Option<&'a TensorProto>,
) -> Option<&'a str> {
    let cast = reader(integer.output.first()?).filter(|node| node.op_type() == "Cast")?;
    let product = cast.output.first()?;
    let scaled = reader(product).filter(|node| node.op_type() == "Mul")?;
    let by = scaled.input.iter().find(|input| *input != product)?;
    if constant(by).is_some() {
        return Some(by);
    }
    let factors = maker(by).filter(|node| node.op_type() == "Mul")?;
    let mut inputs = factors.input.iter().map(String::as_str);
    inputs.find(|input| constant(input).is_some())
}

/// `axes` after a Transpose; discovery has checked that its `perm` is a permutation.
fn turned(node: &NodeProto, axes: &[usize]) -> Vec<usize> {
    match crate::onnx::build::attribute_ints(node, "perm").filter(|perm| !perm.is_empty()) {
        None => axes.iter().rev().copied().collect(),
        Some(perm) => {
            let at = |axis: &i64| usize::try_from(*axis).ok().and_then(|axis| axes.get(axis)).copied();
            perm.iter().filter_map(at).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Format;
    use crate::onnx::build::{float_tensor, i8_tensor, int_attribute, node, scalar_f32, u8_tensor};
    use crate::onnx::schema::ValueInfoProto;
    use crate::onnx::{AttributeProto, GraphProto, ModelProto};

    fn network(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Network {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..ValueInfoProto::default()
        };
        let graph = GraphProto {
            node: nodes,
            initializer,
            input: vec![value("x")],
            output: vec![value("y")],
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        Network::new("n", None, Format::Onnx, model).unwrap()
    }

    fn dequantized(attributes: Vec<AttributeProto>, constants: [TensorProto; 3]) -> Vec<f32> {
        let nodes = vec![
            node("DequantizeLinear", "dq", ["q", "s", "z"], ["w"], attributes),
            node("MatMul", "product", ["x", "w"], ["y"], vec![]),
        ];
        network(nodes, Vec::from(constants)).real_weights(0).unwrap().to_vec()
    }

    /// The formula of the ONNX operator: `y = (x - zero_point) * scale`.
    #[test]
    fn integers_come_with_scale_and_zero_point() {
        let q = i8_tensor("q", &[2, 2], &[-4, 0, 2, 8]);
        let zero = i8_tensor("z", &[], &[2]);
        assert_eq!(
            dequantized(vec![], [q, scalar_f32("s", 0.5), zero]),
            [-3.0, -1.0, 0.0, 3.0]
        );
        let q = u8_tensor("q", &[2, 2], &[128, 130, 129, 100]);
        let (scales, zeros) = (float_tensor("s", &[2], &[1.0, 10.0]), u8_tensor("z", &[2], &[128, 130]));
        let by_columns = dequantized(
            vec![int_attribute("axis", 1)],
            [q.clone(), scales.clone(), zeros.clone()],
        );
        assert_eq!(by_columns, [0.0, 0.0, 1.0, -300.0]);
        let by_rows = dequantized(vec![int_attribute("axis", -2)], [q, scales, zeros]);
        assert_eq!(by_rows, [0.0, 2.0, -10.0, -300.0]);
    }

    #[test]
    fn blocks_of_an_axis_have_scales_of_their_own() {
        let q = i8_tensor("q", &[4, 1], &[1, 2, 3, 4]);
        let (scales, zeros) = (
            float_tensor("s", &[2, 1], &[1.0, 10.0]),
            i8_tensor("z", &[2, 1], &[0, 0]),
        );
        let attributes = vec![int_attribute("axis", 0), int_attribute("block_size", 2)];
        assert_eq!(dequantized(attributes, [q, scales, zeros]), [1.0, 2.0, 30.0, 40.0]);
    }

    #[test]
    fn a_scale_that_does_not_fit_is_told_with_the_layer() {
        let nodes = vec![
            node(
                "DequantizeLinear",
                "dq",
                ["q", "s"],
                ["w"],
                vec![int_attribute("axis", 1)],
            ),
            node("MatMul", "product", ["x", "w"], ["y"], vec![]),
        ];
        let q = i8_tensor("q", &[2, 2], &[1, 2, 3, 4]);
        let network = network(nodes, vec![q, float_tensor("s", &[3], &[1.0, 2.0, 3.0])]);
        let error = network.real_weights(0).unwrap_err().to_string();
        assert!(error.contains("'product'") && error.contains("3 scales"), "{error}");
    }

    /// Half to even, as the operator rounds.
    #[test]
    fn floats_that_are_put_on_a_grid_come_as_the_grid_has_them() {
        let nodes = vec![
            node("QuantizeLinear", "q", ["w", "s", "z"], ["q"], vec![]),
            node("DequantizeLinear", "dq", ["q", "s", "z"], ["d"], vec![]),
            node("MatMul", "product", ["x", "d"], ["y"], vec![]),
        ];
        let w = float_tensor("w", &[2, 2], &[0.5, 1.5, -0.6, 500.0]);
        let network = network(nodes, vec![w, scalar_f32("s", 1.0), i8_tensor("z", &[], &[0])]);
        assert_eq!(network.real_weights(0).unwrap().to_vec(), [0.0, 2.0, -1.0, 127.0]);
    }
}
