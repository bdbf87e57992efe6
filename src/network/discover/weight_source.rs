//! From the value that a layer reads back to the constant tensor behind it.

use crate::network::layer::{TensorPlace, Unsupported, WeightSource};
use crate::onnx::build::{attribute_int, attribute_ints, is_standard_domain};
use crate::onnx::schema::data_type;
use crate::onnx::{
    Graph, NodeProto, OnnxError, Origin, TensorProto, constant_tensor, data_type_name, element_count, tensor_bytes,
};

/// Nodes between a tensor and its layer that are followed. Exporters write three at most; the bound ends circles.
const LONGEST_CHAIN: usize = 32;

/// A node between a tensor and its layer.
struct Step<'a> {
    /// Depth of its graph.
    level: usize,
    position: usize,
    node: &'a NodeProto,
    /// The shape that a Reshape asks for.
    shape: Option<Vec<i64>>,
}

/// A constant tensor, as a layer sees it.
pub(super) struct Weight<'a> {
    /// Name of the tensor, or of the value that its `Constant` node makes.
    pub(super) name: String,
    pub(super) tensor: &'a TensorProto,
    pub(super) source: WeightSource,
    /// Sizes of the axes: those of the tensor, or those that a Reshape gives to integers behind their scales.
    pub(super) shape: Vec<usize>,
    /// For each axis that the layer sees, the axis of `shape`.
    pub(super) axes: Vec<usize>,
    /// The tensor is on a grid: `DequantizeLinear` stands before the layer.
    pub(super) dequantized: bool,
    /// What on the way stops a rewrite.
    pub(super) obstacle: Option<Unsupported>,
}

impl Weight<'_> {
    /// Sizes of its axes, once it is known that its data fits them.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn sizes(&self) -> Result<Vec<usize>, Unsupported> {
        let reason = |error: OnnxError| match error {
            OnnxError::Tensor { reason, .. } => Unsupported::Broken(reason),
            other => Unsupported::Broken(other.to_string()),
        };
        if element_count(self.tensor).map_err(reason)? == 0 {
            return Err(Unsupported::Empty);
        }
        tensor_bytes(self.tensor).map_err(reason)?;
        Ok(self.shape.clone())
    }

    /// Whether the layer sees the tensor as it is stored.
    pub(super) fn is_in_stored_order(&self) -> bool {
        self.axes.iter().enumerate().all(|(seen, &stored)| seen == stored)
    }

    /// Element type as it stands in messages: `int8`, `float16`.
    pub(super) fn type_name(&self) -> String {
        data_type_name(self.tensor.data_type()).to_lowercase()
    }
}

/// The shape as declared; sizes that make no sense count as 0.
pub(in crate::network) fn shape(tensor: &TensorProto) -> Vec<usize> {
    tensor
        .dims
        .iter()
        .map(|&size| usize::try_from(size).unwrap_or(0))
        .collect()
}

/// The constant behind `value`, through Identity, Transpose, Cast and DequantizeLinear, and of quantized weights through a
/// Reshape: to the shape that they have already, or, of integers stored as a matrix for the sake of their scales, to that of the
/// layer; `None` if it is computed at run time.
pub(super) fn trace<'a>(scope: &'a Graph<'a>, value: &str) -> Option<Weight<'a>> {
    let mut scope = scope;
    let mut name = value;
    let mut steps: Vec<Step<'_>> = Vec::new();
    while steps.len() < LONGEST_CHAIN {
        let (home, origin) = scope.find(name)?;
        let (place, tensor) = match origin {
            Origin::Input => return None,
            Origin::Initializer(position) => (
                TensorPlace::Initializer(position),
                home.proto.initializer.get(position)?,
            ),
            Origin::Node(position) => {
                let node = home.proto.node.get(position)?;
                if !is_passage(node) {
                    let tensor = constant_tensor(node)?;
                    (TensorPlace::Constant(position), tensor)
                } else {
                    let shape = if node.op_type() == "Reshape" {
                        Some(shape_of_reshape(home, node)?)
                    } else {
                        None
                    };
                    steps.push(Step {
                        level: home.way.len(),
                        position,
                        node,
                        shape,
                    });
                    scope = home;
                    name = node.input.first()?;
                    continue;
                }
            }
        };
        steps.reverse();
        return arrived(home, name, place, tensor, &steps);
    }
    None
}

fn is_passage(node: &NodeProto) -> bool {
    let quantizers = matches!(node.op_type(), "QuantizeLinear" | "DequantizeLinear");
    match node.domain() {
        "com.microsoft" => quantizers,
        domain => {
            let others = matches!(node.op_type(), "Identity" | "Transpose" | "Cast" | "Reshape");
            is_standard_domain(domain) && (quantizers || others)
        }
    }
}

fn arrived<'a>(
    home: &Graph<'a>,
    name: &str,
    place: TensorPlace,
    tensor: &'a TensorProto,
    steps: &[Step<'_>],
) -> Option<Weight<'a>> {
    let mut sizes = shape(tensor);
    let mut axes: Vec<usize> = (0..sizes.len()).collect();
    let mut dequantized = false;
    let mut obstacle = None;
    for Step { node, shape: asked, .. } in steps {
        match node.op_type() {
            "Transpose" => match transposed(node, &axes) {
                Some(turned) => axes = turned,
                None => obstacle = Some(Unsupported::Transpose),
            },
            "Cast" => {
                let to = attribute_int(node, "to")
                    .and_then(|to| i32::try_from(to).ok())
                    .unwrap_or(0);
                use data_type::{BFLOAT16, DOUBLE, FLOAT, FLOAT16};
                if !matches!(to, FLOAT | FLOAT16 | BFLOAT16 | DOUBLE) {
                    obstacle = Some(Unsupported::Cast(data_type_name(to).to_lowercase()));
                }
            }
            "DequantizeLinear" => dequantized = true,
            "Reshape" => {
                let present: Vec<usize> = axes.iter().filter_map(|axis| sizes.get(*axis).copied()).collect();
                let new = reshaped(&present, asked.as_ref()?)?;
                if new != present {
                    let in_order = axes.iter().enumerate().all(|(seen, &stored)| seen == stored);
                    if !(dequantized && in_order) {
                        return None;
                    }
                    axes = (0..new.len()).collect();
                    sizes = new;
                }
            }
            _ => {}
        }
    }
    if !dequantized && steps.iter().any(|step| step.shape.is_some()) {
        return None;
    }
    // A passage inside a subgraph, before a tensor outside of it, cannot be named by a position in the tensor's graph.
    let depth = home.way.len();
    let chain = steps
        .iter()
        .filter(|step| step.level == depth)
        .map(|step| step.position);
    Some(Weight {
        name: name.to_owned(),
        tensor,
        shape: sizes,
        axes,
        dequantized,
        obstacle,
        source: WeightSource {
            subgraphs: home.way.clone(),
            tensor: place,
            chain: chain.collect(),
        },
    })
}

/// What a Reshape to `asked` makes of the shape `present` (ONNX operator Reshape): 0 stands for the size that is there, -1 for
/// the one that is left. `None` where it does not hold as many elements.
fn reshaped(present: &[usize], asked: &[i64]) -> Option<Vec<usize>> {
    let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
    let count = product(present)?;
    let size = |(axis, size): (usize, &i64)| match size {
        -1 => Some(1),
        0 => present.get(axis).copied(),
        size => usize::try_from(*size).ok(),
    };
    let mut sizes: Vec<usize> = asked.iter().enumerate().map(size).collect::<Option<_>>()?;
    if let Some(left) = asked.iter().position(|size| *size == -1) {
        sizes[left] = count.checked_div(product(&sizes)?)?;
    }
    (product(&sizes)? == count).then_some(sizes)
}

/// The constant shape that a Reshape asks for; `None` where it is computed at run time.
fn shape_of_reshape(home: &Graph<'_>, node: &NodeProto) -> Option<Vec<i64>> {
    let (home, origin) = home.find(node.input.get(1)?)?;
    let tensor = match origin {
        Origin::Input => return None,
        Origin::Initializer(position) => home.proto.initializer.get(position)?,
        Origin::Node(position) => constant_tensor(home.proto.node.get(position)?)?,
    };
    let bytes = tensor_bytes(tensor).ok()?;
    let (sizes, rest) = bytes.as_chunks::<8>();
    (tensor.data_type() == data_type::INT64 && rest.is_empty())
        .then(|| sizes.iter().map(|size| i64::from_le_bytes(*size)).collect())
}

/// `axes` after a Transpose; `None` when its `perm` is no permutation of them.
fn transposed(node: &NodeProto, axes: &[usize]) -> Option<Vec<usize>> {
    let Some(perm) = attribute_ints(node, "perm").filter(|perm| !perm.is_empty()) else {
        return Some(axes.iter().rev().copied().collect());
    };
    let turned: Option<Vec<usize>> = perm
        .iter()
        .map(|&axis| axes.get(usize::try_from(axis).ok()?).copied())
        .collect();
    let mut sorted = turned.clone()?;
    sorted.sort_unstable();
    sorted.iter().copied().eq(0..axes.len()).then_some(turned).flatten()
}
