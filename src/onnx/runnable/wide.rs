//! Integers that do not fit the 32 bits that the engine (rten 0.27) keeps them in.
//!
//! The engine takes the nearest that fits. For a bound that is never reached, as the end of a `Slice`, that is the same; for a
//! number that is computed with it is not.

use super::super::build::{attribute, attribute_int, attribute_ints, attribute_tensor};
use super::super::schema::data_type;
use super::super::tensor::integer_values;
use super::super::unfit::Unfit;
use super::super::{GraphProto, NodeProto, TensorProto};
use std::collections::HashSet;

/// The values that hold such integers, as far as constants tell, and those that hold sizes of tensors, whose products fit.
#[derive(Clone, Default)]
pub(super) struct Wide {
    wide: HashSet<String>,
    sizes: HashSet<String>,
}

impl Wide {
    /// Those among the constants of a graph, and those of the graphs around it.
    pub(super) fn of(graph: &GraphProto, outer: Option<&Self>) -> Self {
        let mut wide = outer.cloned().unwrap_or_default();
        let tensors = graph.initializer.iter().filter(|tensor| is_wide(tensor));
        wide.wide.extend(tensors.map(|tensor| tensor.name().to_owned()));
        wide
    }

    /// Whether the product of the elements of `value` is a number of elements of a tensor.
    pub(super) fn is_of_sizes(&self, value: &str) -> bool {
        self.sizes.contains(value)
    }

    /// Follows a node: what it passes on is wide too.
    ///
    /// # Errors
    /// That it computes with such an integer.
    pub(super) fn follow(&mut self, node: &NodeProto) -> Result<(), Unfit> {
        let first_is_of_sizes = || node.input.first().is_some_and(|name| self.sizes.contains(name));
        if matches!(node.op_type(), "Shape" | "Size") || passes(node, 0) && first_is_of_sizes() {
            self.sizes.extend(node.output.iter().cloned());
        }
        let constant = node.op_type() == "Constant" && holds_wide(node);
        let reads = |(slot, name): (usize, &String)| self.wide.contains(name).then_some(slot);
        let read = node.input.iter().enumerate().find_map(reads);
        if read.is_none() && !constant {
            return Ok(());
        }
        if constant || passes(node, read.unwrap_or_default()) {
            self.wide.extend(node.output.iter().cloned());
            return Ok(());
        }
        let slot = read.unwrap_or_default();
        if bounds(node.op_type(), slot) {
            return Ok(());
        }
        let name = node.input.get(slot).map_or("", String::as_str);
        Err(Unfit::WideIntegers(name.to_owned()))
    }
}

fn is_outside(value: i64) -> bool {
    i32::try_from(value).is_err()
}

fn is_wide(tensor: &TensorProto) -> bool {
    tensor.data_type() == data_type::INT64
        && integer_values(tensor).is_ok_and(|values| values.into_iter().any(is_outside))
}

fn holds_wide(node: &NodeProto) -> bool {
    attribute_tensor(node, "value").is_some_and(is_wide)
        || attribute_int(node, "value_int").is_some_and(is_outside)
        || attribute_ints(node, "value_ints").is_some_and(|values| values.iter().copied().any(is_outside))
}

/// Whether the operator hands on the numbers of the input as they are.
fn passes(node: &NodeProto, slot: usize) -> bool {
    match node.op_type() {
        "Cast" => matches!(
            attribute(node, "to")
                .and_then(|to| to.i)
                .and_then(|to| i32::try_from(to).ok()),
            Some(data_type::INT64 | data_type::INT32)
        ),
        "Concat" | "Identity" => true,
        "Expand" | "Gather" | "Reshape" | "Slice" | "Squeeze" | "Transpose" | "Unsqueeze" => slot == 0,
        "Where" => slot > 0,
        _ => false,
    }
}

/// Whether the input only bounds something.
fn bounds(operator: &str, slot: usize) -> bool {
    match operator {
        "Slice" => slot == 1 || slot == 2,
        "Loop" => slot == 0,
        "Clip" => slot > 0,
        "Max" | "Min" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => true,
        // Branches read what is around them by name, and are looked at themselves.
        "If" | "Scan" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{i64_tensor, node, scalar_i64, tensor_attribute};

    fn follow(nodes: &[NodeProto]) -> Result<(), String> {
        let graph = GraphProto {
            initializer: vec![i64_tensor("far", &[1], &[i64::MAX]), i64_tensor("near", &[1], &[7])],
            ..GraphProto::default()
        };
        let mut wide = Wide::of(&graph, None);
        let mut followed = nodes.iter().map(|node| wide.follow(node));
        followed.try_for_each(|each| each.map_err(|error| error.to_string()))
    }

    #[test]
    fn the_end_of_a_slice_may_be_anywhere_also_when_it_was_put_together() {
        let slice = |end: &str| node("Slice", "s", ["x", "near", end], ["y"], vec![]);
        assert_eq!(follow(&[slice("far")]), Ok(()));
        let joined = node("Concat", "c", ["near", "far"], ["ends"], vec![]);
        assert_eq!(follow(&[joined, slice("ends")]), Ok(()));
    }

    #[test]
    fn what_is_computed_with_is_named() {
        let product = |with: &str| node("Mul", "m", ["x", with], ["y"], vec![]);
        assert_eq!(follow(&[product("near")]), Ok(()));
        assert!(follow(&[product("far")]).unwrap_err().contains("'far'"));
        let value = vec![tensor_attribute("value", scalar_i64("", -(1 << 40)))];
        let constant = node("Constant", "", [""; 0], ["c"], value);
        let turned = node("Unsqueeze", "u", ["c", "near"], ["d"], vec![]);
        assert!(follow(&[constant, turned, product("d")]).unwrap_err().contains("'d'"));
    }
}
