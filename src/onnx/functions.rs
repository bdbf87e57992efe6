//! Functions that a model brings along (`ModelProto.functions`), put in the place of the nodes that call them.
//!
//! Nothing else of the program knows functions: a layer inside of one is a layer like any other once its body stands in the graph.

use super::build::is_standard_domain;
use super::schema::FunctionProto;
use super::{AttributeProto, GraphProto, ModelProto, Names, NodeProto, one_line};
use std::collections::HashMap;

/// Calls within calls that are followed: the specification forbids recursion, and no exporter nests deeper.
const MAX_DEPTH: usize = 32;

/// Nodes that calls may become: a file of a few lines can ask for calls of calls of calls.
const MAX_NODES: usize = 1 << 20;

/// Replaces every node that calls a function of the model by the function's nodes, in subgraphs too, and removes the functions
/// that nobody calls any more. Nodes are named `CALL/NODE`. A call stays where its function is written for another version of
/// the standard operators, calls itself, or would make the graph too large: of each such function a sentence says why.
#[must_use = "what stays a call has a reason that a person must see"]
pub fn inline_functions(model: &mut ModelProto) -> Vec<String> {
    if model.functions.is_empty() || model.graph.is_none() {
        return Vec::new();
    }
    let mut names = Names::of(model);
    let functions = std::mem::take(&mut model.functions);
    let version = super::build::opset_version(model);
    let fits = |function: &&FunctionProto| {
        let imports = function.opset_import.iter();
        let mut standard = imports.filter(|import| is_standard_domain(import.domain()));
        standard.all(|import| version.is_none_or(|version| import.version() == version))
    };
    let known = functions
        .iter()
        .filter(fits)
        .map(|function| (key(function), function))
        .collect();
    let mut inliner = Inliner {
        known,
        names: &mut names,
        left: MAX_NODES,
        too_large: false,
    };
    if let Some(graph) = &mut model.graph {
        inliner.in_graph(graph, 0);
    }
    let too_large = inliner.too_large;
    import_domains(model, &functions);
    let mut called = Vec::new();
    if let Some(graph) = &model.graph {
        gather_calls(graph, &mut called);
    }
    // A call that stays may need others.
    let is_needed = |function: &FunctionProto| {
        let name = key(function);
        called.contains(&(name.0.to_owned(), name.1.to_owned()))
    };
    let why = |function: &FunctionProto| {
        let why = if !fits(&function) {
            "it is written for another version of the standard operators than the model".to_owned()
        } else if too_large {
            format!("calls within calls would make more than {MAX_NODES} nodes")
        } else {
            format!("it calls itself, or calls are nested more than {MAX_DEPTH} deep")
        };
        let name = one_line(&format!("{}:{}", function.domain(), function.name()));
        format!("The function '{name}' stays a call, and no layer is looked for in it: {why}.")
    };
    let notes: Vec<String> = functions
        .iter()
        .filter(|function| is_needed(function))
        .map(why)
        .collect();
    if !notes.is_empty() {
        model.functions = functions;
    }
    notes
}

/// Domain and name of a function.
type Key<'a> = (&'a str, &'a str);

fn key(function: &FunctionProto) -> Key<'_> {
    (function.domain(), function.name())
}

fn gather_calls(graph: &GraphProto, called: &mut Vec<(String, String)>) {
    for node in &graph.node {
        if !is_standard_domain(node.domain()) {
            called.push((node.domain().to_owned(), node.op_type().to_owned()));
        }
        for body in bodies(node) {
            gather_calls(body, called);
        }
    }
}

fn bodies(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute
        .iter()
        .flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// What the bodies of functions import, the model must import too once they stand in it.
fn import_domains(model: &mut ModelProto, functions: &[FunctionProto]) {
    for import in functions.iter().flat_map(|function| &function.opset_import) {
        let is_there = |other: &&super::schema::OperatorSetIdProto| {
            let both_standard = is_standard_domain(other.domain()) && is_standard_domain(import.domain());
            both_standard || other.domain() == import.domain()
        };
        if !model.opset_import.iter().any(|other| is_there(&other)) {
            model.opset_import.push(import.clone());
        }
    }
}

struct Inliner<'a> {
    known: HashMap<Key<'a>, &'a FunctionProto>,
    names: &'a mut Names,
    left: usize,
    /// A call was left because of [`Self::left`].
    too_large: bool,
}

impl Inliner<'_> {
    fn in_graph(&mut self, graph: &mut GraphProto, depth: usize) {
        let nodes = std::mem::take(&mut graph.node);
        graph.node = self.nodes(nodes, depth);
    }

    fn nodes(&mut self, nodes: Vec<NodeProto>, depth: usize) -> Vec<NodeProto> {
        let mut all = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            let attributes = node.attribute.iter_mut();
            for body in attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs)) {
                self.in_graph(body, depth);
            }
            let function = self.known.get(&(node.domain(), node.op_type())).copied();
            self.too_large |= function.is_some_and(|function| depth < MAX_DEPTH && function.node.len() > self.left);
            match function.filter(|function| depth < MAX_DEPTH && function.node.len() <= self.left) {
                Some(function) => {
                    self.left -= function.node.len();
                    let body = self.body(function, &node);
                    all.extend(self.nodes(body, depth + 1));
                }
                None => all.push(node),
            }
        }
        all
    }

    /// The nodes of `function` as `call` calls it.
    fn body(&mut self, function: &FunctionProto, call: &NodeProto) -> Vec<NodeProto> {
        let unnamed = || call.output.first().map_or("", String::as_str);
        let prefix = if call.name().is_empty() { unnamed() } else { call.name() };
        let mut values: HashMap<String, String> = HashMap::new();
        for (place, name) in function.input.iter().enumerate() {
            values.insert(name.clone(), call.input.get(place).cloned().unwrap_or_default());
        }
        let mut passed = Vec::new();
        for (place, name) in function.output.iter().enumerate() {
            let given = call.output.get(place).filter(|name| !name.is_empty());
            match (given, values.get(name)) {
                // An output that is an input: a node must make the value that the caller reads.
                (Some(given), Some(input)) => {
                    passed.push(super::build::node(
                        "Identity",
                        "",
                        [input.clone()],
                        [given.clone()],
                        vec![],
                    ));
                }
                (Some(given), None) => {
                    values.insert(name.clone(), given.clone());
                }
                (None, _) => {}
            }
        }
        let attributes: HashMap<&str, &AttributeProto> = (function.attribute_proto.iter())
            .chain(&call.attribute)
            .map(|attribute| (attribute.name(), attribute))
            .collect();
        let mut nodes: Vec<NodeProto> = function.node.clone();
        for node in &mut nodes {
            self.rename(node, prefix, &mut values);
            let inner = if node.name().is_empty() {
                node.op_type()
            } else {
                node.name()
            };
            node.name = Some(self.names.fresh(&format!("{prefix}/{inner}")));
            fill_in(node, &attributes);
        }
        nodes.extend(passed);
        nodes
    }

    /// Gives the values of `node` the names that they have in the calling graph.
    fn rename(&mut self, node: &mut NodeProto, prefix: &str, values: &mut HashMap<String, String>) {
        for name in node
            .input
            .iter_mut()
            .chain(&mut node.output)
            .filter(|name| !name.is_empty())
        {
            if !values.contains_key(name) {
                let new = self.names.fresh(&format!("{prefix}/{name}"));
                values.insert(name.clone(), new);
            }
            if let Some(new) = values.get(name) {
                name.clone_from(new);
            }
        }
        let attributes = node.attribute.iter_mut();
        for body in attributes.flat_map(|attribute| attribute.g.iter_mut().chain(&mut attribute.graphs)) {
            // Values of the body hide those around it.
            let mut inside = values.clone();
            for tensor in &mut body.initializer {
                let new = self.names.fresh(&format!("{prefix}/{}", tensor.name()));
                inside.insert(tensor.name().to_owned(), new.clone());
                tensor.name = Some(new);
            }
            for info in &mut body.input {
                let new = self.names.fresh(&format!("{prefix}/{}", info.name()));
                inside.insert(info.name().to_owned(), new.clone());
                info.name = Some(new);
            }
            for made in body
                .node
                .iter()
                .flat_map(|node| &node.output)
                .filter(|name| !name.is_empty())
            {
                let new = self.names.fresh(&format!("{prefix}/{made}"));
                inside.insert(made.clone(), new);
            }
            body.value_info.clear();
            for node in &mut body.node {
                self.rename(node, prefix, &mut inside);
            }
            for output in &mut body.output {
                if let Some(new) = inside.get(output.name()) {
                    output.name = Some(new.clone());
                }
            }
        }
    }
}

/// Puts what the caller gives into the attributes of `node` that refer to attributes of its function; one that is given nowhere
/// is left out.
fn fill_in(node: &mut NodeProto, given: &HashMap<&str, &AttributeProto>) {
    node.attribute.retain_mut(|attribute| {
        for body in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            for node in &mut body.node {
                fill_in(node, given);
            }
        }
        let Some(reference) = attribute.ref_attr_name.take().filter(|name| !name.is_empty()) else {
            return true;
        };
        match given.get(reference.as_str()) {
            Some(value) => {
                let name = attribute.name.take();
                *attribute = AttributeProto {
                    name,
                    ..(*value).clone()
                };
                true
            }
            None => false,
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{attribute_float, float_attribute, node};
    use crate::onnx::schema::OperatorSetIdProto;

    fn import(domain: &str, version: i64) -> OperatorSetIdProto {
        OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(version),
        }
    }

    fn function(name: &str, inputs: &[&str], outputs: &[&str], nodes: Vec<NodeProto>) -> FunctionProto {
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("mine".to_owned()),
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: outputs.iter().map(|name| (*name).to_owned()).collect(),
            node: nodes,
            opset_import: vec![import("", 17)],
            ..FunctionProto::default()
        }
    }

    fn call(name: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        let mut call = node(op, name, inputs.iter().copied(), outputs.iter().copied(), vec![]);
        call.domain = Some("mine".to_owned());
        call
    }

    fn model(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> ModelProto {
        ModelProto {
            opset_import: vec![import("", 17), import("mine", 1)],
            graph: Some(GraphProto {
                node: nodes,
                ..GraphProto::default()
            }),
            functions,
            ..ModelProto::default()
        }
    }

    #[test]
    fn a_call_becomes_the_nodes_of_its_function_with_names_of_its_own() {
        let twice = function(
            "Twice",
            &["a"],
            &["b"],
            vec![
                node("Relu", "r", ["a"], ["m"], vec![]),
                node("Relu", "", ["m"], ["b"], vec![]),
            ],
        );
        let calls = vec![call("c1", "Twice", &["x"], &["h"]), call("", "Twice", &["h"], &["y"])];
        let mut model = model(calls, vec![twice]);
        assert!(inline_functions(&mut model).is_empty());
        let nodes = model.graph.unwrap().node;
        let shown: Vec<_> = nodes
            .iter()
            .map(|n| (n.name(), n.input[0].as_str(), n.output[0].as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("c1/r", "x", "c1/m"),
                ("c1/Relu", "c1/m", "h"),
                ("y/r", "h", "y/m"),
                ("y/Relu", "y/m", "y"),
            ]
        );
        assert!(model.functions.is_empty());
    }

    #[test]
    fn attributes_come_from_the_caller_else_from_the_function() {
        let refer = |name: &str| AttributeProto {
            name: Some("alpha".to_owned()),
            ref_attr_name: Some(name.to_owned()),
            ..AttributeProto::default()
        };
        let mut leaky = function(
            "F",
            &["a"],
            &["b"],
            vec![node("LeakyRelu", "l", ["a"], ["b"], vec![refer("slope")])],
        );
        leaky.attribute_proto = vec![float_attribute("slope", 0.25)];
        let mut with = call("c", "F", &["x"], &["h"]);
        with.attribute = vec![float_attribute("slope", 0.5)];
        let mut model = model(vec![with, call("d", "F", &["h"], &["y"])], vec![leaky]);
        assert!(inline_functions(&mut model).is_empty());
        let nodes = model.graph.unwrap().node;
        assert_eq!(
            nodes.iter().map(|n| attribute_float(n, "alpha")).collect::<Vec<_>>(),
            [Some(0.5), Some(0.25)]
        );
    }

    #[test]
    fn an_output_that_is_an_input_is_passed_on() {
        let same = function("Same", &["a"], &["a"], vec![]);
        let mut model = model(vec![call("c", "Same", &["x"], &["y"])], vec![same]);
        assert!(inline_functions(&mut model).is_empty());
        let nodes = model.graph.unwrap().node;
        assert_eq!(
            (nodes[0].op_type(), &nodes[0].input[..], &nodes[0].output[..]),
            ("Identity", &["x".to_owned()][..], &["y".to_owned()][..])
        );
    }

    #[test]
    fn calls_without_end_and_of_other_versions_stay() {
        let bomb = function(
            "Bomb",
            &["a"],
            &["b"],
            vec![call("i", "Bomb", &["a"], &["m"]), call("j", "Bomb", &["m"], &["b"])],
        );
        let mut model_of_bombs = model(vec![call("c", "Bomb", &["x"], &["y"])], vec![bomb]);
        let notes = inline_functions(&mut model_of_bombs);
        assert!(
            notes[0].contains("'mine:Bomb'") && notes[0].contains("1048576 nodes"),
            "{notes:?}"
        );
        assert!(model_of_bombs.graph.unwrap().node.len() <= MAX_NODES + 1);
        assert_eq!(model_of_bombs.functions.len(), 1);
        let endless = function("Endless", &["a"], &["b"], vec![call("i", "Endless", &["a"], &["b"])]);
        let notes = inline_functions(&mut model(vec![call("c", "Endless", &["x"], &["y"])], vec![endless]));
        assert!(
            notes.len() == 1 && notes[0].contains("'mine:Endless'") && notes[0].contains("calls itself"),
            "{notes:?}"
        );
        let mut old = function("Old", &["a"], &["b"], vec![node("Relu", "r", ["a"], ["b"], vec![])]);
        old.opset_import = vec![import("", 7)];
        let mut model = model(vec![call("c", "Old", &["x"], &["y"])], vec![old]);
        let notes = inline_functions(&mut model);
        assert!(notes[0].contains("another version"), "{notes:?}");
        assert_eq!(
            (model.graph.unwrap().node[0].op_type(), model.functions.len()),
            ("Old", 1)
        );
    }
}
