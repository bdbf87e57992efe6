//! Where a rule of this room is applied: what is known of the node's inputs, and the nodes that take its place.

use super::super::build::{i64_tensor, node as new_node, scalar_f32};
use super::super::facts::Facts;
use super::super::names::Names;
use super::super::tensor::integer_values;
use super::super::unfit::Unfit;
use super::super::{AttributeProto, NodeProto, TensorProto, float_values, label};

/// What becomes of a node.
pub(super) enum Outcome {
    /// It stays as it is.
    Kept,
    /// The nodes that the rule added to the site stand in its place.
    Replaced,
}

/// The answer of a rule; the error says what the built-in engine cannot compute.
pub(super) type Ruled = Result<Outcome, Unfit>;

/// A node that a rule looks at, and what it adds.
pub(super) struct Site<'graph> {
    node: &'graph NodeProto,
    facts: &'graph Facts<'graph>,
    names: &'graph mut Names,
    /// New constants of the graph.
    pub(super) added: Vec<TensorProto>,
    /// The nodes in place of the old one, in order.
    pub(super) nodes: Vec<NodeProto>,
}

impl<'graph> Site<'graph> {
    pub(super) fn new(node: &'graph NodeProto, facts: &'graph Facts<'graph>, names: &'graph mut Names) -> Self {
        Self {
            node,
            facts,
            names,
            added: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// The node that the rule is about.
    pub(super) fn node(&self) -> &'graph NodeProto {
        self.node
    }

    /// What is known of the graph's values.
    pub(super) fn facts(&self) -> &'graph Facts<'graph> {
        self.facts
    }

    /// Name of input `slot`; `None` where it is left out.
    pub(super) fn input(&self, slot: usize) -> Option<&'graph str> {
        self.node
            .input
            .get(slot)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// Name of input `slot`, which the operator cannot do without.
    pub(super) fn needed(&self, slot: usize) -> Result<&'graph str, Unfit> {
        self.input(slot).ok_or(Unfit::NoInput(slot))
    }

    /// Whether somebody may read output `slot`.
    pub(super) fn has_output(&self, slot: usize) -> bool {
        self.node.output.get(slot).is_some_and(|name| !name.is_empty())
    }

    /// Element type of an input, if known.
    pub(super) fn element_type(&self, slot: usize) -> Option<i32> {
        self.facts.element_type(self.input(slot)?)
    }

    /// Number of axes of an input, if known.
    pub(super) fn rank(&self, slot: usize) -> Option<usize> {
        self.facts.rank(self.input(slot)?)
    }

    /// Sizes of an input, as far as known.
    pub(super) fn shape(&self, slot: usize) -> Option<&'graph [Option<i64>]> {
        self.facts.shape(self.input(slot)?)
    }

    /// Sizes of an input, if all are known.
    pub(super) fn sizes(&self, slot: usize) -> Option<Vec<i64>> {
        self.shape(slot)?.iter().copied().collect()
    }

    /// The constant that an input is, if it is one.
    pub(super) fn constant(&self, slot: usize) -> Option<&'graph TensorProto> {
        self.facts.constant(self.input(slot)?)
    }

    /// The constant of bytes that an input is, of however many, if it is one.
    pub(super) fn codes(&self, slot: usize) -> Option<&'graph TensorProto> {
        self.facts.codes(self.input(slot)?)
    }

    /// The integers that an input is, if it is a constant of integers.
    pub(super) fn integers(&self, slot: usize) -> Option<Vec<i64>> {
        integer_values(self.constant(slot)?).ok()
    }

    /// The floats that an input is, if it is a constant of floats.
    pub(super) fn floats(&self, slot: usize) -> Option<Vec<f32>> {
        Some(float_values(self.constant(slot)?).ok()?.to_vec())
    }

    /// Adds a constant and returns its name.
    pub(super) fn tensor(&mut self, what: &str, mut tensor: TensorProto) -> String {
        let name = self.fresh(what);
        tensor.name = Some(name.clone());
        self.added.push(tensor);
        name
    }

    /// Adds a float without axes.
    pub(super) fn float(&mut self, what: &str, value: f32) -> String {
        self.tensor(what, scalar_f32("", value))
    }

    /// Adds a list of INT64.
    pub(super) fn ints(&mut self, what: &str, values: &[i64]) -> String {
        self.tensor(what, i64_tensor("", &[values.len()], values))
    }

    /// Adds an INT64 without axes.
    pub(super) fn int(&mut self, what: &str, value: i64) -> String {
        self.tensor(what, i64_tensor("", &[], &[value]))
    }

    /// Adds a node of one output and returns the output's name.
    pub(super) fn op(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.op_with(operator, inputs, vec![])
    }

    /// [`Site::op`], with attributes.
    pub(super) fn op_with(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let what = operator.to_lowercase();
        let (name, output) = (self.fresh(&format!("{what}_node")), self.fresh(&what));
        self.nodes.push(new_node(
            operator,
            name,
            inputs.iter().copied(),
            [output.clone()],
            attributes,
        ));
        output
    }

    /// Adds a node of `count` outputs and returns their names.
    pub(super) fn op_of(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        count: usize,
    ) -> Vec<String> {
        let what = operator.to_lowercase();
        let name = self.fresh(&format!("{what}_node"));
        let outputs: Vec<String> = (0..count).map(|_| self.fresh(&what)).collect();
        let inputs = inputs.iter().copied();
        self.nodes
            .push(new_node(operator, name, inputs, outputs.clone(), attributes));
        outputs
    }

    /// Adds the node that makes the old node's first output; it gets the old node's name.
    pub(super) fn end(&mut self, operator: &str, inputs: &[&str]) -> Ruled {
        self.end_with(operator, inputs, vec![])
    }

    /// [`Site::end`], with attributes.
    pub(super) fn end_with(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Ruled {
        self.output(0, operator, inputs, attributes)
    }

    /// Adds the node that makes the old node's output `slot`.
    pub(super) fn output(
        &mut self,
        slot: usize,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> Ruled {
        let Some(output) = self.node.output.get(slot) else {
            return Err(Unfit::NoOutput(slot));
        };
        let name = if slot == 0 {
            self.node.name().to_owned()
        } else {
            self.fresh(&format!("output{slot}"))
        };
        let inputs = inputs.iter().copied();
        self.nodes
            .push(new_node(operator, name, inputs, [output.clone()], attributes));
        Ok(Outcome::Replaced)
    }

    /// Puts `node` in the place of the old one.
    pub(super) fn replace_with(&mut self, node: NodeProto) -> Ruled {
        self.nodes.push(node);
        Ok(Outcome::Replaced)
    }

    fn fresh(&mut self, what: &str) -> String {
        self.names.fresh(&format!("{}.{what}", label(self.node)))
    }
}
