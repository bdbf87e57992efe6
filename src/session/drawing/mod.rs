//! The graph of the shown network as boxes and lines, placed while it is in sight.

mod place;

pub use place::Placement;

use super::derived::{Derived, Wanted, Work};
use super::keys::PrepareKey;
use super::open::OpenNetwork;
use super::work::Kind;
use crate::jobs::JobError;
use crate::network::Network;
use crate::onnx::{TensorProto, ValueInfoProto};
use place::place;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A node of the graph.
#[derive(Debug, Clone)]
pub struct DrawnNode {
    /// Operator.
    pub op: String,
    /// Name of the node, or of its first output.
    pub name: String,
    /// The layers in it, by position: none for a node without weights, two for a recurrent one.
    pub layers: Vec<usize>,
    /// It is no node of the file but an input or an output of the network.
    pub is_end: bool,
}

impl DrawnNode {
    /// An input or an output of the network.
    fn end(what: &str, name: &str) -> Self {
        Self {
            op: what.to_owned(),
            name: name.to_owned(),
            layers: Vec::new(),
            is_end: true,
        }
    }
}

/// The nodes with their places and the edges between them.
#[derive(Debug)]
pub struct Drawing {
    /// The nodes.
    pub nodes: Vec<DrawnNode>,
    /// From, to.
    pub edges: Vec<(usize, usize)>,
    /// Where the nodes stand.
    pub placement: Placement,
    /// The node of each layer.
    pub node_of: HashMap<usize, usize>,
}

impl Drawing {
    /// Draws the main graph; constants are left out, and a subgraph is one node.
    fn new(network: &Network) -> Self {
        let Some(graph) = &network.model.graph else {
            return Self::of(Vec::new(), Vec::new());
        };
        let mut layers_at: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, layer) in network.layers.iter().enumerate() {
            if let Some(path) = &layer.node {
                let position = path.subgraphs.first().map_or(path.node, |(position, _)| *position);
                layers_at.entry(position).or_default().push(index);
            }
        }
        let mut nodes = Vec::new();
        let mut makers: HashMap<&str, usize> = HashMap::new();
        let mut edges = Vec::new();
        let constants: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
        let inputs = graph.input.iter().map(ValueInfoProto::name);
        for name in inputs.filter(|name| !constants.contains(name)) {
            makers.insert(name, nodes.len());
            nodes.push(DrawnNode::end("input", name));
        }
        let shown = |op: &str| op != "Constant";
        for (position, node) in graph.node.iter().enumerate().filter(|(_, node)| shown(node.op_type())) {
            let own = nodes.len();
            // Values are made before they are read; what is not known by now is an input or a constant.
            let mut from: Vec<usize> = node
                .input
                .iter()
                .filter_map(|value| makers.get(value.as_str()).copied())
                .collect();
            from.sort_unstable();
            from.dedup();
            edges.extend(from.into_iter().map(|from| (from, own)));
            for value in node.output.iter().filter(|value| !value.is_empty()) {
                makers.insert(value, own);
            }
            let named = Some(node.name()).filter(|name| !name.is_empty());
            let name = named.or(node.output.first().map(String::as_str)).unwrap_or_default();
            nodes.push(DrawnNode {
                op: node.op_type().to_owned(),
                name: name.to_owned(),
                layers: layers_at.remove(&position).unwrap_or_default(),
                is_end: false,
            });
        }
        for output in &graph.output {
            let made = makers.get(output.name()).copied();
            edges.extend(made.map(|from| (from, nodes.len())));
            nodes.push(DrawnNode::end("output", output.name()));
        }
        Self::of(nodes, edges)
    }

    fn of(nodes: Vec<DrawnNode>, edges: Vec<(usize, usize)>) -> Self {
        let placement = place(nodes.len(), &edges);
        let of_node = |(node, found): (usize, &DrawnNode)| {
            found.layers.iter().map(move |layer| (*layer, node)).collect::<Vec<_>>()
        };
        let node_of = nodes.iter().enumerate().flat_map(of_node).collect();
        Self {
            nodes,
            edges,
            placement,
            node_of,
        }
    }
}

impl OpenNetwork {
    /// The graph of the network that is shown, made while [`super::Watched::graph`] is set.
    pub fn drawing(&self) -> Option<&Arc<Drawing>> {
        self.slots.of::<Drawn>().for_key(&self.shown_as())
    }

    /// Why there is no drawing of it.
    pub fn drawing_failure(&self) -> Option<&JobError> {
        self.slots.of::<Drawn>().failure(&self.shown_as())
    }
}

/// The drawing of the shown network.
pub(super) struct Drawn;

impl Derived for Drawn {
    type Key = PrepareKey;
    type Value = Arc<Drawing>;
    const KIND: Kind = Kind::Drawing;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<PrepareKey> {
        wanted.watched.graph.then(|| open.shown_as())
    }

    fn compute(open: &mut OpenNetwork, _: &PrepareKey, _: &Wanted) -> Option<Work<Arc<Drawing>>> {
        let network = Arc::clone(&open.shown().network);
        Some(Work::new("Drawing the graph", move |_| {
            Ok(Arc::new(Drawing::new(&network)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_layer_of_the_demo_has_its_node_and_every_edge_goes_down() {
        let network = crate::format::open(Path::new("demo:fashion")).unwrap();
        let drawing = Drawing::new(&network);
        assert_eq!(drawing.node_of.len(), network.layers.len());
        let first = network.layer_index("conv1").unwrap();
        assert_eq!(drawing.nodes[drawing.node_of[&first]].op, "Conv");
        let row = &drawing.placement.row;
        assert!(drawing.edges.iter().all(|(from, to)| row[*from] < row[*to]));
        let adds = drawing.nodes.iter().filter(|node| node.op == "Add").count();
        assert!(adds >= 9, "a residual network: {adds}");
        let ends: Vec<&str> = drawing
            .nodes
            .iter()
            .filter(|node| node.is_end)
            .map(|node| node.op.as_str())
            .collect();
        assert_eq!(ends, ["input", "output"]);
        assert!(drawing.edges.iter().any(|(from, _)| drawing.nodes[*from].is_end));
        let shortcuts = drawing.placement.lanes.iter().flatten().count();
        assert!(shortcuts > 0, "shortcuts go around the blocks");
    }

    #[test]
    fn both_layers_of_a_recurrent_node_stand_in_one_box() {
        let network = crate::format::open(Path::new("demo:shakespeare")).unwrap();
        let drawing = Drawing::new(&network);
        let recurrent = drawing.nodes.iter().find(|node| node.op == "LSTM").unwrap();
        assert_eq!(recurrent.layers.len(), 2);
    }
}
