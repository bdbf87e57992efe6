//! A model made ready for the built-in engine (rten 0.27), so that the numbers are those of ONNX.
//!
//! The engine differs from ONNX in places, and lacks operators. [`table::OPERATORS`] says of each operator whether the engine computes
//! it rightly, how it is rewritten with others that the engine computes rightly, or that it is refused; what is not in the table
//! is refused too. Every model passes through [`make_runnable`] when the engine loads it, so that no number of another network
//! can be shown. A file that is written is not touched by this.

mod arg_max;
mod cast;
mod concat;
mod defaults;
mod elementwise;
mod expand;
mod free_sizes;
mod instance;
mod integer;
mod lrn;
mod normalization;
mod pads;
mod quantize;
mod recurrent;
mod resize;
mod scatter;
mod site;
mod slice;
mod table;
mod vector;
mod wide;

pub use defaults::spell_out_defaults;
pub use free_sizes::{axis_names, is_axis_name};

use super::build::is_standard_domain;
use super::facts::Facts;
use super::names::Names;
use super::unfit::Unfit;
use super::upgrade::{UPGRADED_OPSET, upgrade};
use super::{GraphProto, ModelProto, NodeProto, OnnxError, data_type_name, label};
use site::{Outcome, Site};
use table::Treatment;
use wide::Wide;

/// Brings `model` to at least operator set 13, and rewrites what the built-in engine would compute otherwise than ONNX says.
/// Values keep their names.
///
/// # Errors
/// [`OnnxError::Unrunnable`] or [`OnnxError::Upgrade`] naming node, operator and reason; the model is then half rewritten.
pub fn make_runnable(model: &mut ModelProto) -> Result<(), OnnxError> {
    upgrade(model, UPGRADED_OPSET)?;
    spell_out_defaults(model);
    free_sizes::forget_shared_names(model);
    let mut names = Names::of(model);
    match &mut model.graph {
        Some(graph) => in_graph(graph, None, None, &mut names),
        None => Ok(()),
    }
}

fn in_graph(
    graph: &mut GraphProto,
    outer: Option<&Facts<'_>>,
    outer_wide: Option<&Wide>,
    names: &mut Names,
) -> Result<(), OnnxError> {
    let facts = Facts::of(graph, outer);
    let mut wide = Wide::of(graph, outer_wide);
    let old = std::mem::take(&mut graph.node);
    graph.node.reserve(old.len());
    for mut node in old {
        for body in node.subgraphs_mut() {
            in_graph(body, Some(&facts), Some(&wide), names)?;
        }
        let is_exact = wide.follow(&node).and_then(|()| whole_product(&node, &wide, &facts));
        is_exact.map_err(|reason| unrunnable(&node, &reason))?;
        add(graph, node, &facts, names, &[])?;
    }
    Ok(())
}

/// Adds a node to the graph, or what stands in its place. What a rule adds is treated as well, but for the operators that
/// the rules up to there are for.
fn add(
    graph: &mut GraphProto,
    node: NodeProto,
    facts: &Facts<'_>,
    names: &mut Names,
    treated: &[&str],
) -> Result<(), OnnxError> {
    if treated.contains(&node.op_type()) {
        graph.node.push(node);
        return Ok(());
    }
    let mut site = Site::new(&node, facts, names);
    if let Some(reason) = foreign_constant(&site) {
        return Err(unrunnable(&node, &reason));
    }
    match treat(&mut site) {
        Ok(Outcome::Kept) => {
            graph.node.push(node);
            Ok(())
        }
        Ok(Outcome::Replaced) => {
            let Site { added, nodes, .. } = site;
            graph.initializer.extend(added);
            let treated = [treated, &[node.op_type()]].concat();
            for part in nodes {
                add(graph, part, facts, names, &treated)?;
            }
            Ok(())
        }
        Err(reason) => Err(unrunnable(&node, &reason)),
    }
}

/// Does with a node what the table says.
fn treat(site: &mut Site<'_>) -> site::Ruled {
    let node = site.node();
    let Some(operator) = table::find(node.domain(), node.op_type()) else {
        return Err("the built-in engine does not have the operator".into());
    };
    match operator.treatment {
        Treatment::Right => Ok(Outcome::Kept),
        Treatment::Rewritten(rule) => rule(site),
        Treatment::Refused => Err(Unfit::Refused(operator.text)),
    }
}

/// Refuses a product of integers that may not fit 32 bits: one of numbers that are no sizes of a tensor.
fn whole_product(node: &NodeProto, wide: &Wide, facts: &Facts<'_>) -> Result<(), Unfit> {
    use super::schema::data_type::{INT32, INT64};
    let value = node.input.first().map_or("", String::as_str);
    let is_whole = matches!(facts.element_type(value), Some(INT32 | INT64));
    if node.op_type() != "ReduceProd" || !is_whole || wide.is_of_sizes(value) {
        return Ok(());
    }
    Err("a product of integers that are no sizes of a tensor may not fit the 32 bits of the built-in engine".into())
}

/// Why a constant that the node reads cannot be kept, if there is one of a type that the engine has no elements for.
fn foreign_constant(site: &Site<'_>) -> Option<Unfit> {
    use super::schema::data_type as t;
    let node = site.node();
    (0..node.input.len()).find_map(|slot| {
        let tensor = site.constant(slot)?;
        let known = [
            t::FLOAT,
            t::FLOAT16,
            t::BFLOAT16,
            t::DOUBLE,
            t::INT8,
            t::UINT8,
            t::INT32,
            t::INT64,
            t::BOOL,
        ];
        let kind = tensor.data_type();
        (!known.contains(&kind)).then(|| Unfit::Constant(node.input[slot].clone(), data_type_name(kind)))
    })
}

fn unrunnable(node: &NodeProto, reason: &Unfit) -> OnnxError {
    let domain = match node.domain() {
        domain if is_standard_domain(domain) => String::new(),
        domain => format!("{domain}."),
    };
    let (label, operator) = (label(node), node.op_type());
    OnnxError::Unrunnable(format!("node '{label}' ({domain}{operator}): {reason}"))
}
