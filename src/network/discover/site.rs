//! A node that may be a layer, and the making of the layer once its weight is read.

use super::weight_source::{Weight, trace};
use crate::network::layer::{Layer, LayerKind, Layout, NodePath, OutAxis, Support, Unsupported};
use crate::onnx::build::{attribute_int, is_standard_domain};
use crate::onnx::{Graph, NodeProto, is_float};

/// A node in its graph.
pub(super) struct Site<'a> {
    pub(super) scope: &'a Graph<'a>,
    pub(super) position: usize,
    pub(super) node: &'a NodeProto,
}

/// How an operator reads its weight, and what can be done with it.
pub(super) struct Reading {
    pub(super) layout: Layout,
    pub(super) support: Support,
    /// The shape of a weight that is packed in the file, in elements.
    pub(super) unpacked: Option<Vec<usize>>,
}

impl Reading {
    pub(super) fn view(layout: Layout, reason: impl Into<Unsupported>) -> Self {
        Self {
            layout,
            support: Support::View(reason.into()),
            unpacked: None,
        }
    }
}

/// What the layer is called and attached to, apart from its weight.
pub(super) struct Role {
    pub(super) kind: LayerKind,
    /// Which input of the node the weight is.
    pub(super) weight_input: usize,
    /// Which input of the node the weights multiply, and the axis of its channels.
    pub(super) input: Option<(usize, i64)>,
    /// Put behind the node's name when a node has several layers.
    pub(super) suffix: &'static str,
}

impl Site<'_> {
    /// Whether the operator is one of the standard set.
    pub(super) fn is_standard(&self) -> bool {
        is_standard_domain(self.node.domain())
    }

    /// Integer attribute `name`, else `default`.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        attribute_int(self.node, name).unwrap_or(default)
    }

    /// The constant behind input `index`.
    pub(super) fn weight(&self, index: usize) -> Option<Weight<'_>> {
        trace(self.scope, self.input(index)?)
    }

    /// Number of axes of an input, if it is known.
    pub(super) fn rank(&self, index: usize) -> Option<usize> {
        self.scope.rank(self.input(index)?)
    }

    fn input(&self, index: usize) -> Option<&str> {
        let name = self.node.input.get(index)?;
        (!name.is_empty()).then_some(name)
    }

    /// The layer of `weight`, read by `read` from the sizes of the stored tensor. What cannot be read is there to look
    /// at, with the reason.
    pub(super) fn layer(
        &self,
        role: &Role,
        weight: Weight<'_>,
        read: impl FnOnce(&Weight<'_>, &[usize]) -> Result<Reading, Unsupported>,
    ) -> Layer {
        let reading = match weight.sizes() {
            Ok(sizes) => read(&weight, &sizes).unwrap_or_else(|reason| Reading::view(plain_layout(&sizes), reason)),
            Err(reason) => Reading::view(NOTHING, reason),
        };
        let support = self.support(&weight, reading.support, reading.layout.elements() > 0);
        let node_name = self.node.name();
        Layer {
            name: if node_name.is_empty() {
                weight.name.clone()
            } else {
                format!("{node_name}{}", role.suffix)
            },
            kind: if weight.dequantized {
                LayerKind::Quantized
            } else {
                role.kind
            },
            op: self.node.op_type().to_owned(),
            shape: reading.unpacked.unwrap_or_else(|| weight.shape.clone()),
            layout: reading.layout,
            weight_input: role.weight_input,
            input: role
                .input
                .and_then(|(index, axis)| Some((self.input(index)?.to_owned(), axis))),
            support,
            node: Some(NodePath {
                subgraphs: self.scope.way.clone(),
                node: self.position,
            }),
            weight: weight.name,
            source: weight.source,
            chosen_axis: None,
        }
    }

    /// The first of the reasons why `weight` cannot be worked on, or what its operator allows.
    fn support(&self, weight: &Weight<'_>, by_operator: Support, readable: bool) -> Support {
        if !readable {
            return by_operator;
        }
        if weight.dequantized {
            let weights = format!("{} weights behind DequantizeLinear", weight.type_name());
            return Support::View(Unsupported::Quantized(weights));
        }
        if let Support::View(reason) = by_operator {
            return Support::View(reason);
        }
        if !is_float(weight.tensor) {
            return Support::View(Unsupported::NotFloats(weight.type_name()));
        }
        if let Some(obstacle) = &weight.obstacle {
            return Support::View(obstacle.clone());
        }
        match self.scope.holder {
            Some(holder) => Support::View(Unsupported::Inside(holder.to_owned())),
            None => by_operator,
        }
    }
}

/// The layout of a weight that cannot be read.
pub(super) const NOTHING: Layout = Layout {
    groups: 1,
    outer: 0,
    channels: 0,
    inner: 0,
    out_axis: OutAxis::Outer,
    out_run: 1,
};

/// A layout for any tensor: the second axis as input channels, as torch and Conv have it. The sizes are checked: their
/// product fits.
pub(super) fn plain_layout(sizes: &[usize]) -> Layout {
    axis_layout(sizes, usize::from(sizes.len() > 1))
}

/// A layout for any tensor: axis `axis` as input channels. What stands before it are rows; of the first axis, what stands
/// behind it are output channels.
pub(in crate::network) fn axis_layout(sizes: &[usize], axis: usize) -> Layout {
    let before = sizes.iter().take(axis).product();
    let behind = sizes.iter().skip(axis + 1).product();
    let out_axis = if axis == 0 && sizes.len() > 1 {
        OutAxis::Inner
    } else {
        OutAxis::Outer
    };
    Layout {
        groups: 1,
        outer: before,
        channels: sizes.get(axis).copied().unwrap_or(1),
        inner: behind,
        out_axis,
        out_run: 1,
    }
}

/// A shape as it stands in messages.
pub(super) fn shape_text(sizes: &[usize]) -> String {
    format!("{sizes:?}")
}
