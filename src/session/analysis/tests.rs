//! Tests of what is measured when.

use super::*;
use crate::network::Format;
use crate::onnx::build::float_tensor;
use crate::onnx::{GraphProto, ModelProto};
use std::sync::mpsc::channel;

/// A file of `count` tensors without a graph; tensor i holds -i and i.
fn tensors(count: usize) -> Arc<Network> {
    let tensor = |i: usize| float_tensor(format!("w{i}"), &[1, 2], &[-(i as f32), i as f32]);
    let graph = GraphProto {
        initializer: (0..count).map(tensor).collect(),
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    Arc::new(Network::new("tensors", None, Format::Safetensors, model).unwrap())
}

#[test]
fn the_selected_layer_is_measured_first_and_each_once() {
    let mut analysis = Analysis::to_come(tensors(5), 4.0);
    assert!(!analysis.is_complete() && analysis.worst_layer() == Some(0));
    let (sender, receiver) = channel();
    let (selected, progress) = (AtomicUsize::new(3), Progress::default());
    let send = |index, facts| sender.send((index, facts)).unwrap();
    analysis.stream(&selected, send, &progress).unwrap();
    drop(sender);
    let facts: Vec<(usize, LayerFacts)> = receiver.iter().collect();
    let order: Vec<usize> = facts.iter().map(|(index, _)| *index).collect();
    assert_eq!(order, [3, 0, 1, 2, 4]);
    assert_eq!(progress.steps(), (10, 10));
    for (index, facts) in facts {
        assert_eq!(facts.readable().unwrap().max_abs, index as f32);
        analysis.put(index, facts);
    }
    assert!(analysis.is_complete());
    progress.cancel();
    let (sender, receiver) = channel();
    let again = Analysis::to_come(tensors(5), 4.0);
    let send = |index, facts| sender.send((index, facts)).unwrap();
    assert!(again.stream(&selected, send, &progress).is_err());
    drop(sender);
    assert_eq!(receiver.iter().count(), 0, "a cancelled pass reads nothing more");
}

#[test]
fn what_preparation_left_alone_is_not_read_again() {
    let network = tensors(3);
    let progress = Progress::default();
    let mut original = Analysis::to_come(Arc::clone(&network), 4.0);
    original.put(1, LayerFacts::of(&network, 1, 4.0));
    let turned = Arc::new(network.with_channel_axes([("w2", 0)]).unwrap());
    let mut prepared = original.of_prepared(turned, &progress).unwrap();
    let pending: Vec<bool> = prepared.layers.iter().map(|facts| facts.pending).collect();
    // The first is still to come, the second was known, the third is read otherwise than before.
    assert_eq!(pending, [true, false, false]);
    let shared = |analysis: &Analysis, index: usize| Arc::as_ptr(analysis.layers[index].statistics.as_ref().unwrap());
    assert_eq!(shared(&prepared, 1), shared(&original, 1));
    original.put(0, LayerFacts::of(&network, 0, 4.0));
    prepared.inherit(&original);
    assert!(prepared.is_complete());
    assert_eq!(shared(&prepared, 0), shared(&original, 0));
}
