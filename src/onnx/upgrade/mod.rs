//! A model's graph brought from the standard operator set 7..24 to 13, to 21 where blocks of scales or 4-bit integers need it, or
//! to 25 where 2-bit integers do, in place.
//!
//! Between 21 and 25 operators gained element types, and attributes whose defaults are the old behaviour (`round_mode` of `Cast`,
//! `output_dtype` of `DequantizeLinear`, `precision` of `QuantizeLinear`): nodes stay as they are.
//! Between 7 and 13 most operators only gained element types, negative axes or optional attributes: their nodes mean the
//! same in 13 and stay as they are. [`RULES`] lists the others, a small function each. Nodes that already have the form of
//! operator set 13 (`Clip` with its bounds as inputs, say) stay too, so that a graph may be edited in the new form first
//! and upgraded afterwards. Operators of other domains are left alone.
//!
//! The list was made from the histories of all schemas in ONNX 1.23. What looks like a change there and is none:
//! `Gemm` 11 (C became optional), `MaxPool`, `AveragePool`, `LpPool`, `ConvTranspose` (new attributes whose defaults are the
//! old behaviour), `ArgMax`/`ArgMin` 12, `GatherND` 12, `DepthToSpace` 11, `TopK` 11 (likewise), `QuantizeLinear` and
//! `DequantizeLinear` 13 (an axis, for scales that aren't scalars), `Max`, `Min`, `Mean`, `Sum` 8 (broadcasting), `OneHot` 11
//! (negative indices count from the end; engines did so before), `Erf` 13 (integers, which nobody had, went away), `Constant`,
//! `Loop`, `If`, `Scan` 11. The other `Reduce*` keep their `axes` until 18.

mod resize;
mod rules;
mod softmax;

use super::build::{is_standard_domain, opset_version};
use super::facts::Facts;
use super::names::{Names, label};
use super::schema::tensor_shape_proto::{self, Dimension};
use super::schema::type_proto;
use super::unfit::Unfit;
use super::{GraphProto, ModelProto, NodeProto, OnnxError, TensorProto};
use std::fmt::Display;

/// The version of the standard operator set that all rules lead to.
pub const UPGRADED_OPSET: i64 = 13;
/// The first version with scales in blocks and 4-bit integers.
const BLOCK_OPSET: i64 = 21;
/// The newest version that the rules lead to: the first with 2-bit integers.
pub const NEWEST_OPSET: i64 = 25;
/// The oldest that they start from: the first with today's broadcasting.
const OLDEST_OPSET: i64 = 7;
/// The oldest file formats that know operator set 13, 21 and 25.
const UPGRADED_IR: i64 = 7;
const BLOCK_IR: i64 = 10;
const NEWEST_IR: i64 = 13;

/// Replaces a node by what computes the same in operator set 13; the error says why that cannot be.
type Rule = fn(&mut Site<'_>, NodeProto) -> Result<Vec<NodeProto>, Unfit>;

/// Operator, the version up to which (exclusively) its nodes need the rule, the rule.
const RULES: &[(&str, i64, Rule)] = &[
    ("BatchNormalization", 9, rules::batch_normalization),
    ("DFT", 20, rules::dft),
    ("GridSample", 20, rules::grid_sample),
    ("ReduceL1", 18, rules::axes_to_input),
    ("ReduceL2", 18, rules::axes_to_input),
    ("ReduceLogSum", 18, rules::axes_to_input),
    ("ReduceLogSumExp", 18, rules::axes_to_input),
    ("ReduceMax", 18, rules::axes_to_input),
    ("ReduceMean", 18, rules::axes_to_input),
    ("ReduceMin", 18, rules::axes_to_input),
    ("ReduceProd", 18, rules::axes_to_input),
    ("ReduceSumSquare", 18, rules::axes_to_input),
    ("RoiAlign", 16, rules::roi_align),
    ("Clip", 11, rules::clip),
    ("Dropout", 12, rules::dropout),
    ("Hardmax", 13, softmax::softmax),
    ("LogSoftmax", 13, softmax::softmax),
    ("MeanVarianceNormalization", 9, rules::mean_variance_normalization),
    ("Pad", 11, rules::pad),
    ("ReduceSum", 13, rules::axes_to_input),
    ("Resize", 11, resize::resize),
    ("Scan", 9, rules::scan),
    ("Scatter", 13, rules::scatter),
    ("Slice", 10, rules::slice),
    ("Softmax", 13, softmax::softmax),
    ("Split", 13, rules::split),
    ("Split", 18, rules::split_in_equal_parts),
    ("Squeeze", 13, rules::axes_to_input),
    ("TopK", 10, rules::top_k),
    ("Unsqueeze", 13, rules::axes_to_input),
    ("Upsample", 13, resize::upsample),
    // Experimental operators that some files of operator sets 7 to 9 use; they were dropped without a successor.
    ("ATen", 13, rules::dropped),
    ("Affine", 13, rules::dropped),
    ("Crop", 13, rules::dropped),
    ("DynamicSlice", 13, rules::dropped),
    ("GRUUnit", 13, rules::dropped),
    ("GivenTensorFill", 13, rules::dropped),
    ("ImageScaler", 13, rules::dropped),
    ("ParametricSoftplus", 13, rules::dropped),
    ("Scale", 13, rules::dropped),
    ("ScaledTanh", 13, rules::dropped),
];

/// Where a rule is applied: what is known there, and what it adds.
struct Site<'graph> {
    /// Operator set of the model as it was.
    from: i64,
    facts: &'graph Facts<'graph>,
    names: &'graph mut Names,
    /// New constants of the graph.
    added: Vec<TensorProto>,
    /// Values that are no longer made.
    dropped: Vec<String>,
}

impl Site<'_> {
    /// Adds a constant under a name like that of the node, and returns its name.
    fn constant(&mut self, node: &NodeProto, what: &str, mut tensor: TensorProto) -> String {
        let name = self.names.fresh(&format!("{}.{what}", label(node)));
        tensor.name = Some(name.clone());
        self.added.push(tensor);
        name
    }

    /// A name for a new value, or a new node, beside `node`.
    fn fresh(&mut self, node: &NodeProto, what: &str) -> String {
        self.names.fresh(&format!("{}.{what}", label(node)))
    }
}

/// Brings the standard operators of `model` to at least the operator set `to`, which is [`NEWEST_OPSET`] or older; a model
/// that is there already stays as it is. Otherwise operator set and IR version are raised (to 13 and at least 7, to 21 and at least 10, or to 25 and at least 13). Attributes that
/// became inputs turn into initializers of the same graph, under names that no other value has. After an error the model is
/// as it was.
///
/// # Errors
/// [`OnnxError::Upgrade`] naming the node that has no equivalent, or the version that cannot be left or reached.
pub fn upgrade(model: &mut ModelProto, to: i64) -> Result<(), OnnxError> {
    let Some(from) = opset_version(model) else {
        return match model.graph.iter().find_map(standard_node) {
            Some(node) => Err(OnnxError::Upgrade(format!(
                "node '{}' ({}) is a standard operator, but the model does not say of which version: export it again",
                label(node),
                node.op_type()
            ))),
            None => Ok(()),
        };
    };
    if from >= to {
        return Ok(());
    }
    if to > NEWEST_OPSET {
        return Err(OnnxError::Upgrade(format!(
            "operator set {from} can be upgraded to {NEWEST_OPSET}, not to {to}"
        )));
    }
    let (to, format) = if to <= UPGRADED_OPSET {
        (UPGRADED_OPSET, UPGRADED_IR)
    } else if to <= BLOCK_OPSET {
        (BLOCK_OPSET, BLOCK_IR)
    } else {
        (NEWEST_OPSET, NEWEST_IR)
    };
    if from < OLDEST_OPSET {
        return Err(OnnxError::Upgrade(format!(
            "the model uses operator set {from}; only {OLDEST_OPSET} and newer can be upgraded to {UPGRADED_OPSET}: export it \
             again with operator set {UPGRADED_OPSET} or newer, or convert it (onnx.version_converter in Python)"
        )));
    }
    // Constants are shared with the original, so that this costs no more than the graph's structure.
    let mut upgraded = model.clone();
    if from < UPGRADED_OPSET && to > UPGRADED_OPSET {
        // A node may need a rule of each part of the way.
        upgrade(&mut upgraded, UPGRADED_OPSET)?;
        upgrade(&mut upgraded, to)?;
        *model = upgraded;
        return Ok(());
    }
    let mut names = Names::of(&upgraded);
    let training = upgraded.training_info.iter_mut().flat_map(|training| {
        let graphs = training.initialization.iter_mut().chain(&mut training.algorithm);
        graphs.collect::<Vec<_>>()
    });
    for graph in upgraded.graph.iter_mut().chain(training) {
        upgrade_graph(graph, (from, to), None, &mut names)?;
        correct_outputs(graph);
    }
    upgrade_functions(&mut upgraded, to)?;
    for import in &mut upgraded.opset_import {
        if is_standard_domain(import.domain()) {
            import.version = Some(to);
        }
    }
    upgraded.ir_version = upgraded.ir_version.max(Some(format));
    *model = upgraded;
    Ok(())
}

fn upgrade_graph(
    graph: &mut GraphProto,
    (from, to): (i64, i64),
    outer: Option<&Facts<'_>>,
    names: &mut Names,
) -> Result<(), OnnxError> {
    let facts = Facts::of(graph, outer);
    let mut site = Site {
        from,
        facts: &facts,
        names,
        added: Vec::new(),
        dropped: Vec::new(),
    };
    let old = std::mem::take(&mut graph.node);
    graph.node.reserve(old.len());
    for mut node in old {
        for subgraph in node.subgraphs_mut() {
            upgrade_graph(subgraph, (from, to), Some(&facts), site.names)?;
        }
        let Some(rule) = rule_of(&node, from, to) else {
            graph.node.push(node);
            continue;
        };
        let (label, operator) = (label(&node).to_owned(), node.op_type().to_owned());
        let nodes = rule(&mut site, node).map_err(|reason| refusal(&label, &operator, (from, to), &reason))?;
        graph.node.extend(nodes);
    }
    let dropped = site.dropped;
    graph.initializer.append(&mut site.added);
    graph
        .value_info
        .retain(|info| !dropped.iter().any(|name| name == info.name()));
    Ok(())
}

/// Gives outputs the number of axes that they have. Some exporters declare another, which nobody saw: the shapes that newer operators
/// follow bring it to light, and a file that was valid would no longer be.
fn correct_outputs(graph: &mut GraphProto) {
    let computed = Facts::computed(graph);
    let shapes: Vec<Option<Vec<Option<i64>>>> = (graph.output.iter())
        .map(|output| computed.shape(output.name()).map(<[_]>::to_vec))
        .collect();
    for (output, shape) in graph.output.iter_mut().zip(shapes) {
        let tensor = output.r#type.as_mut().and_then(|kind| match &mut kind.value {
            Some(type_proto::Value::TensorType(tensor)) => Some(tensor),
            _ => None,
        });
        let (Some(shape), Some(declared)) = (shape, tensor.and_then(|tensor| tensor.shape.as_mut())) else {
            continue;
        };
        if declared.dim.len() != shape.len() {
            let axis = |size: Option<i64>| Dimension {
                value: size.map(tensor_shape_proto::Value::DimValue),
                ..Dimension::default()
            };
            declared.dim = shape.into_iter().map(axis).collect();
        }
    }
}

/// Functions cannot hold constants; those in use were all written for newer operator sets.
fn upgrade_functions(model: &mut ModelProto, to: i64) -> Result<(), OnnxError> {
    for function in &mut model.functions {
        for import in &mut function.opset_import {
            let from = import.version();
            if !is_standard_domain(import.domain()) || from >= to {
                continue;
            }
            if let Some(node) = function.node.iter().find(|node| rule_of(node, from, to).is_some()) {
                let reason = format!(
                    "it is in the function '{}'",
                    function.name.as_deref().unwrap_or_default()
                );
                return Err(refusal(label(node), node.op_type(), (from, to), &reason));
            }
            import.version = Some(to);
        }
    }
    Ok(())
}

fn rule_of(node: &NodeProto, from: i64, to: i64) -> Option<Rule> {
    if !is_standard_domain(node.domain()) {
        return None;
    }
    let applies =
        |(operator, until, _): &&(&str, i64, Rule)| *operator == node.op_type() && from < *until && *until <= to;
    RULES.iter().find(applies).map(|(_, _, rule)| *rule)
}

fn standard_node(graph: &GraphProto) -> Option<&NodeProto> {
    graph.node.iter().find(|node| is_standard_domain(node.domain()))
}

fn refusal(label: &str, operator: &str, (from, to): (i64, i64), reason: &dyn Display) -> OnnxError {
    OnnxError::Upgrade(format!(
        "node '{label}' ({operator}) cannot be upgraded from operator set {from} to {to}: {reason}"
    ))
}

#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
