//! The weights of a layer as the numbers that its input is multiplied by: integers with their scale.

use super::graphs::graph_at;
use super::integer_grid::scale_slots;
use super::layer::{Layer, LayerKind};
use super::{Network, NetworkError};
use crate::onnx::build::attribute_int;
use crate::onnx::schema::data_type;
use crate::onnx::{FloatData, GraphProto, NodeProto, TensorProto, constant_tensor, numbers};
use rayon::prelude::*;

/// Elements that one task converts.
const TASK: usize = 1 << 16;

impl Network {
    /// The weights of layer `index` in the order that they are stored in, as the layer multiplies with them: behind
    /// `DequantizeLinear` (also after `QuantizeLinear`), and in operators that take the scale of their weights, integers come as
    /// `(q - zero_point) * scale`. What is not on a grid is as in [`Network::weights`].
    ///
    /// # Errors
    /// As [`Network::weights`], and [`NetworkError::Graph`] when the scale is no constant, does not fit the weights, or stands
    /// elsewhere (`ConvInteger`, `MatMulInteger`).
    pub fn real_weights(&self, index: usize) -> Result<FloatData, NetworkError> {
        let layer = self.layer(index)?;
        let stored = self.weights(index)?;
        let fault = |why: String| NetworkError::Graph(format!("layer '{}': {why}", layer.name));
        let grids = self.grids(layer).map_err(fault)?;
        if grids.is_empty() {
            return Ok(stored);
        }
        let mut values = stored.to_vec();
        for grid in &grids {
            grid.check(values.len()).map_err(fault)?;
            values.par_chunks_mut(TASK).enumerate().for_each(|(task, values)| {
                for (place, x) in values.iter_mut().enumerate() {
                    *x = grid.apply(*x, task * TASK + place);
                }
            });
        }
        Ok(values.into())
    }

    /// The conversions between the stored tensor and the layer, in order.
    fn grids(&self, layer: &Layer) -> Result<Vec<Conversion>, String> {
        let main = self.model.graph.as_ref();
        let home = main.and_then(|main| graph_at(main, &layer.source.subgraphs));
        let Some(home) = home else { return Ok(Vec::new()) };
        let mut grids = Vec::new();
        let mut axes: Vec<usize> = (0..layer.shape.len()).collect();
        for node in layer.source.chain.iter().filter_map(|place| home.node.get(*place)) {
            match node.op_type() {
                "Transpose" => axes = turned(node, &axes),
                "QuantizeLinear" => grids.push(Conversion::of(home, node, [1, 2], &axes, layer, true)?),
                "DequantizeLinear" => grids.push(Conversion::of(home, node, [1, 2], &axes, layer, false)?),
                _ => {}
            }
        }
        let Some(node) = self.node(layer).filter(|_| grids.is_empty()) else {
            return Ok(grids);
        };
        let elsewhere = || format!("{}: the scale of its weights is not beside them", node.op_type());
        let Some((scale, zero)) = scale_slots(node.op_type(), layer.weight_input) else {
            let is_quantized = layer.kind == LayerKind::Quantized;
            return if is_quantized { Err(elsewhere()) } else { Ok(grids) };
        };
        let axes: Vec<usize> = (0..layer.shape.len()).collect();
        let slots = [scale.ok_or_else(elsewhere)?, zero];
        let mut grid = Conversion::of(home, node, slots, &axes, layer, false)?;
        if let Place::Axis { inner, size } = &mut grid.place {
            // These operators have their scales along the output channels.
            (*inner, *size) = along(&layer.shape, layer.output_axis());
        }
        grids.push(grid);
        Ok(grids)
    }
}

/// Where the scale of an element is.
enum Place {
    /// One for all.
    All,
    /// One for each place of an axis: elements behind a place, places.
    Axis { inner: usize, size: usize },
    /// One for each block of places of an axis.
    Block { inner: usize, size: usize, block: usize },
}

/// A step onto a grid or off it.
struct Conversion {
    scale: Vec<f32>,
    zero: Vec<f32>,
    place: Place,
    /// The ends of the integers, for a step onto the grid.
    onto: Option<(f32, f32)>,
}

impl Conversion {
    /// The conversion that `node` makes with the constants in `slots` (scale, zero point). `axes` are the axes of the stored
    /// tensor in the order that the node sees them.
    fn of(
        home: &GraphProto,
        node: &NodeProto,
        [scale, zero]: [usize; 2],
        axes: &[usize],
        layer: &Layer,
        onto: bool,
    ) -> Result<Self, String> {
        let input = |slot: usize| node.input.get(slot).filter(|name| !name.is_empty());
        let tensor = input(scale).and_then(|name| constant(home, name));
        let tensor = tensor.ok_or_else(|| format!("the scale of {} is no constant", node.op_type()))?;
        let read = |tensor: &TensorProto| {
            numbers(tensor)
                .map(|values| values.to_vec())
                .map_err(|error| error.to_string())
        };
        let scale = read(tensor)?;
        let point = match input(zero) {
            Some(name) => Some(constant(home, name).ok_or_else(|| "its zero point is no constant".to_owned())?),
            None => None,
        };
        let rank = axes.len();
        let axis = attribute_int(node, "axis").unwrap_or(1);
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        let stored = usize::try_from(axis).ok().and_then(|axis| axes.get(axis)).copied();
        let block = attribute_int(node, "block_size")
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or(0);
        let place = match (scale.len(), stored) {
            (1, _) => Place::All,
            (_, None) => return Err(format!("{} scales axis {axis} of {rank}", node.op_type())),
            (_, Some(axis)) => {
                let (inner, size) = along(&layer.shape, axis);
                match block {
                    0 => Place::Axis { inner, size },
                    block => Place::Block { inner, size, block },
                }
            }
        };
        let zero = point.map(read).transpose()?.filter(|zero| !zero.is_empty());
        let ends = match point.map(TensorProto::data_type) {
            None | Some(data_type::UINT8) => (0.0, 255.0),
            Some(data_type::INT8) => (-128.0, 127.0),
            Some(data_type::UINT16) => (0.0, 65_535.0),
            Some(data_type::INT16) => (-32_768.0, 32_767.0),
            Some(_) if onto => return Err("it is put on a grid of a type that is not followed".to_owned()),
            Some(_) => (f32::NEG_INFINITY, f32::INFINITY),
        };
        Ok(Self {
            zero: zero.unwrap_or_else(|| vec![0.0]),
            scale,
            place,
            onto: onto.then_some(ends),
        })
    }

    /// Whether there is a scale for each of `count` elements.
    fn check(&self, count: usize) -> Result<(), String> {
        let wanted = match self.place {
            Place::All => 1,
            Place::Axis { size, .. } => size,
            Place::Block { inner, size, block } => {
                let rows = count / inner.saturating_mul(size).max(1);
                rows * size.div_ceil(block) * inner
            }
        };
        let fits = |length: usize| length == wanted || length == 1;
        if fits(self.scale.len()) && fits(self.zero.len()) && wanted > 0 {
            return Ok(());
        }
        Err(format!(
            "{} scales and {} zero points for {wanted} places",
            self.scale.len(),
            self.zero.len()
        ))
    }

    fn apply(&self, x: f32, element: usize) -> f32 {
        let place = match self.place {
            Place::All => 0,
            Place::Axis { inner, size } => element / inner % size,
            Place::Block { inner, size, block } => {
                let (row, along) = (element / (inner * size), element / inner % size);
                (row * size.div_ceil(block) + along / block) * inner + element % inner
            }
        };
        let of = |values: &[f32]| values.get(place).or(values.first()).copied().unwrap_or(0.0);
        let (scale, zero) = (of(&self.scale), of(&self.zero));
        match self.onto {
            Some((low, high)) => ((x / scale).round_ties_even() + zero).clamp(low, high),
            None => (x - zero) * scale,
        }
    }
}

/// Elements behind one place of `axis`, and places of it.
fn along(shape: &[usize], axis: usize) -> (usize, usize) {
    let inner: usize = shape.iter().skip(axis + 1).product();
    (inner.max(1), shape.get(axis).copied().unwrap_or(1).max(1))
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

/// The constant called `name` in `home`.
pub(super) fn constant<'a>(home: &'a GraphProto, name: &str) -> Option<&'a TensorProto> {
    let initializer = home.initializer.iter().find(|tensor| tensor.name() == name);
    initializer.or_else(|| {
        let maker = home
            .node
            .iter()
            .find(|node| node.output.iter().any(|output| output == name))?;
        constant_tensor(maker)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Format;
    use crate::onnx::build::{float_tensor, i8_tensor, int_attribute, node, scalar_f32, u8_tensor};
    use crate::onnx::schema::ValueInfoProto;
    use crate::onnx::{AttributeProto, ModelProto};

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
