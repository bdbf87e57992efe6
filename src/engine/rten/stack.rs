//! A stack that is deep enough for the engine.
//!
//! The engine (rten 0.27) plans a graph by recursion, one call for each node on the longest way to an input, 448 bytes each.
//! A thread that runs out of stack takes the whole program with it, so that is counted before.

use crate::engine::EngineFault;
use crate::onnx::{GraphProto, ModelProto};

/// Nodes on a way that fit the stack of any thread (2 MiB) twice over.
const SHALLOW: usize = 2000;
/// Bytes of stack a node, with room to spare.
const A_NODE: usize = 1024;
/// What else the engine and we need of a stack.
const BESIDES: usize = 1 << 20;

/// How deep the engine goes at most to plan `model`: its nodes, all of which may stand in a row.
///
/// # Errors
/// The name of a node whose body (of a loop, a branch) is longer than can be planned on the engine's own threads.
pub(super) fn depth(model: &ModelProto) -> Result<usize, EngineFault> {
    let Some(graph) = &model.graph else { return Ok(0) };
    check_bodies(graph)?;
    Ok(graph.node.len())
}

fn check_bodies(graph: &GraphProto) -> Result<(), EngineFault> {
    for node in &graph.node {
        for body in node.subgraphs() {
            let nodes = body.node.len();
            if nodes > SHALLOW {
                return Err(EngineFault::LongBody {
                    operator: node.op_type().to_owned(),
                    node: node.name().to_owned(),
                    nodes,
                    most: SHALLOW,
                });
            }
            check_bodies(body)?;
        }
    }
    Ok(())
}

/// Does `work`, which plans a graph of that depth, on a stack that is deep enough.
///
/// # Errors
/// That there is no room for such a stack.
pub(super) fn with_stack<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Result<T, EngineFault> {
    if depth <= SHALLOW {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("engine, deep graph".to_owned())
            .stack_size(BESIDES + depth.saturating_mul(A_NODE))
            .spawn_scoped(scope, work)
            .map_err(|error| EngineFault::NoStack {
                nodes: depth,
                reason: error.to_string(),
            })?;
        // A panic goes on where it would have gone without the thread.
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Engine as _, Rten};
    use super::*;
    use crate::data::Tensor;
    use crate::onnx::build::{model_of, node};
    use crate::onnx::schema::{TypeProto, data_type, type_proto};
    use crate::onnx::{AttributeProto, ValueInfoProto, encode};

    fn port(name: String) -> ValueInfoProto {
        ValueInfoProto {
            name: Some(name),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: Some(data_type::FLOAT),
                    shape: None,
                })),
                denotation: None,
            }),
            ..ValueInfoProto::default()
        }
    }

    /// `x` negated that many times, one after the other.
    fn chain(length: usize) -> GraphProto {
        let value = |at: usize| if at == 0 { "x".to_owned() } else { format!("v{at}") };
        let negate = |at: usize| node("Neg", format!("n{at}"), [value(at)], [value(at + 1)], vec![]);
        GraphProto {
            name: Some("chain".into()),
            node: (0..length).map(negate).collect(),
            input: vec![port(value(0))],
            output: vec![port(value(length))],
            ..GraphProto::default()
        }
    }

    fn model(graph: GraphProto) -> ModelProto {
        model_of(17, graph)
    }

    #[test]
    fn a_graph_of_fifty_thousand_nodes_in_a_row_is_run_and_not_the_end_of_the_program() {
        let engine = Rten::load(encode(&model(chain(50_001))).unwrap()).unwrap();
        let x = Tensor::from_shape([2], vec![1.5_f32, -2.0]).unwrap();
        let y = engine.run(&[("x", &x)], &["v50001"]).unwrap();
        assert_eq!(y[0].floats(), Some(&[-1.5, 2.0][..]));
    }

    #[test]
    fn a_body_that_is_too_long_is_refused_by_the_name_of_its_node() {
        let mut graph = chain(1);
        graph.node[0].attribute.push(AttributeProto {
            name: Some("body".into()),
            g: Some(chain(SHALLOW + 1)),
            ..AttributeProto::default()
        });
        let reason = depth(&model(graph)).unwrap_err().to_string();
        assert!(reason.contains("Neg 'n0'") && reason.contains("2001 nodes"), "{reason}");
    }
}
