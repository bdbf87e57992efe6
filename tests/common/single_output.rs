//! A network whose output is a number and no class.

use prost::Message as _;
use splitscope::onnx::build::{int_attribute, ints_attribute, node};
use splitscope::onnx::{ModelProto, write_file};
use std::path::{Path, PathBuf};

/// The Fashion network with one number for a picture, its largest logit, as a file in `folder`.
pub(crate) fn with_a_single_output(folder: &Path) -> PathBuf {
    let bytes = include_bytes!("../../assets/fashion_resnet.onnx");
    let mut model = ModelProto::decode(&bytes[..]).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let axes = vec![ints_attribute("axes", [1]), int_attribute("keepdims", 1)];
    let logits = graph.output[0].name().to_owned();
    graph.node.push(node("ReduceMax", "largest", [logits], ["score"], axes));
    graph.output[0].name = Some("score".to_owned());
    graph.output[0].r#type = None;
    let path = folder.join("single.onnx");
    write_file(&model, &path).unwrap();
    path
}
