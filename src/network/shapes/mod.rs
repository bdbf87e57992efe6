//! Shapes of the values of a graph, worked out from those of its inputs: nothing is computed but sizes, so that a file of a
//! hundred bytes that asks for a terabyte costs nothing.
//!
//! Values that sizes are made of (what `Shape`, `Gather` and `Concat` make for a `Reshape`) are followed as long as they are
//! short lists. Bodies of `If`, `Loop` and `Scan` are not looked into, and what the file itself tells of a shape is not believed:
//! it may be that of another size of the inputs.

mod operators;
mod sizes;

use crate::onnx::{GraphProto, TensorProto};
use operators::Node;
use sizes::Sizes;
use std::collections::HashMap;

/// Elements that a value may have: what a network of a size that anyone runs needs, and far below what would not be counted.
const MAX_ELEMENTS: usize = 1 << 40;

/// Shapes by the names of values.
pub type Shapes = HashMap<String, Vec<usize>>;

/// The shapes of all values of the main graph that follow from the shapes of its inputs, `given` by name, and from constants.
/// A value that is missing comes from an operator that is not known here, or does not hold together.
pub fn shapes(graph: &GraphProto, given: &Shapes) -> Shapes {
    let mut known = Known::default();
    for tensor in &graph.initializer {
        known.put_constant(tensor.name(), tensor);
    }
    for (name, shape) in given {
        known.put(name, shape.clone());
    }
    for node in &graph.node {
        let found = Node::new(node, &known).outputs();
        for (place, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if let Some(shape) = found.get(place).cloned().flatten() {
                known.put(name, shape);
            }
        }
        if let (Some(output), Some(values)) = (node.output.first(), sizes::of_node(node, &known)) {
            known.put(output, values.shape.clone());
            known.sizes.insert(output.clone(), values);
        }
    }
    known.shapes
}

/// What is known of values so far.
#[derive(Default)]
struct Known {
    shapes: Shapes,
    sizes: HashMap<String, Sizes>,
}

impl Known {
    fn put(&mut self, name: &str, shape: Vec<usize>) {
        let elements = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        if elements.is_some_and(|elements| elements <= MAX_ELEMENTS) {
            self.shapes.insert(name.to_owned(), shape);
        }
    }

    fn put_constant(&mut self, name: &str, tensor: &TensorProto) {
        let shape: Option<Vec<usize>> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
        if let Some(shape) = shape {
            self.put(name, shape);
        }
        if let Some(values) = Sizes::of_tensor(tensor) {
            self.sizes.insert(name.to_owned(), values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, i64_tensor, int_attribute, ints_attribute, node};

    fn of(nodes: Vec<crate::onnx::NodeProto>, constants: Vec<TensorProto>, x: &[usize]) -> Shapes {
        let graph = GraphProto {
            node: nodes,
            initializer: constants,
            ..GraphProto::default()
        };
        shapes(&graph, &Shapes::from([("x".to_owned(), x.to_vec())]))
    }

    /// As torch exports `x.view(x.size(0), -1)` before a classifier.
    #[test]
    fn sizes_that_the_graph_computes_are_followed() {
        let nodes = vec![
            node("Shape", "", ["x"], ["s"], vec![]),
            node("Gather", "", ["s", "zero"], ["n"], vec![int_attribute("axis", 0)]),
            node("Unsqueeze", "", ["n", "axes"], ["n1"], vec![]),
            node("Concat", "", ["n1", "rest"], ["to"], vec![int_attribute("axis", 0)]),
            node("Reshape", "", ["x", "to"], ["flat"], vec![]),
            node("Gemm", "", ["flat", "w"], ["y"], vec![int_attribute("transB", 1)]),
        ];
        let constants = || {
            vec![
                i64_tensor("zero", &[], &[0]),
                i64_tensor("axes", &[1], &[0]),
                i64_tensor("rest", &[1], &[-1]),
                float_tensor("w", &[10, 24], &[0.0; 240]),
            ]
        };
        let found = of(nodes.clone(), constants(), &[5, 2, 3, 4]);
        assert_eq!((&found["flat"], &found["y"]), (&vec![5, 24], &vec![5, 10]));
        // A size that the classifier does not take gives no shape of its output.
        let found = of(nodes, constants(), &[5, 2, 3, 5]);
        assert_eq!((&found["flat"], found.get("y")), (&vec![5, 30], None));
    }

    #[test]
    fn what_no_memory_could_hold_has_no_shape_and_costs_nothing() {
        let pads = vec![ints_attribute("pads", [50_000; 4])];
        let weight = || float_tensor("w", &[2, 1, 1, 1], &[1.0, 1.0]);
        let found = of(
            vec![node("Conv", "", ["x", "w"], ["y"], pads)],
            vec![weight()],
            &[1, 1, 4, 4],
        );
        assert_eq!(found["y"], [1, 2, 100_004, 100_004]);
        let endless = ints_attribute("pads", [i64::MAX; 4]);
        let found = of(
            vec![node("Conv", "", ["x", "w"], ["y"], vec![endless])],
            vec![weight()],
            &[1, 1, 4, 4],
        );
        assert_eq!(found.get("y"), None);
        let nodes = vec![node("ConstantOfShape", "", ["far"], ["y"], vec![])];
        let found = of(nodes, vec![i64_tensor("far", &[2], &[1 << 40, 1 << 40])], &[1]);
        assert_eq!(found.get("y"), None);
    }
}
