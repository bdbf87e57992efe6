//! Networks and test cases of other people, beside the project where there are any.

use super::cells::noise;
use super::reference::{self, Tensor};
use super::{largest_difference, of_value, planned, recipe};
use crate::common::{graph, open, shared};
use prost::Message as _;
use splitscope::data;
use splitscope::inference::{Engine, Rten};
use splitscope::onnx::{ModelProto, TensorProto, ValueInfoProto, encode};
use splitscope::quantization::{Clip, split_only};
use std::collections::HashMap;
use std::io::Read as _;

/// Numbers for every input: integers below 60, floats between -1 and 1; free axes are 7 long, but a batch 1.
fn inputs_for(engine: &dyn Engine, batch_axis: &[&str]) -> Vec<(String, data::Tensor)> {
    engine
        .inputs()
        .iter()
        .map(|port| {
            let sizes = port.shape.clone().unwrap();
            let shape: Vec<usize> = (sizes.iter().zip(&port.axis_names))
                .map(|(size, name)| {
                    let batch = name.as_deref().is_some_and(|name| batch_axis.contains(&name));
                    size.unwrap_or(if batch { 1 } else { 7 })
                })
                .collect();
            let values = noise(shape.iter().product(), 21);
            let value = if port.is_integer() {
                let tokens: Vec<i32> = values.iter().map(|x| (x.abs() * 29.0) as i32).collect();
                data::Tensor::from_shape(&shape, tokens).unwrap()
            } else {
                data::Tensor::from_shape(&shape, values).unwrap()
            };
            (port.name.clone(), value)
        })
        .collect()
}

#[test]
#[ignore = "needs ../shared"]
fn splitting_alone_leaves_networks_of_other_people_as_they_were() {
    for (file, cells) in [("charrnn_shakespeare.onnx", 2), ("silero_vad_16k_sequence.onnx", 1)] {
        let path = shared("models").join(file);
        let network = open(path.to_str().unwrap());
        let plan = planned(&network, &recipe(4, 0.2, Clip::None));
        let split = network.layers.iter().zip(&plan.layers).filter(|(layer, planned)| {
            let split = planned
                .quantized()
                .is_some_and(|quantized| !quantized.splits.is_empty());
            layer.kind.is_recurrent() && split
        });
        assert_eq!(split.count(), 2 * cells, "{file}");
        let outputs = |model: &ModelProto| -> Vec<Tensor> {
            let engine = Rten::load(encode(model).unwrap()).unwrap();
            let inputs = inputs_for(&engine, &["B"]);
            let names: Vec<&str> = engine.outputs().iter().map(|port| port.name.as_str()).collect();
            engine
                .run(&data::by_name(&inputs), &names)
                .unwrap()
                .into_iter()
                .map(|value| of_value(&value))
                .collect()
        };
        let before = outputs(&network.runnable_model());
        let after = outputs(&split_only(&network, &plan).unwrap());
        for (before, after) in before.iter().zip(&after) {
            let largest = before.values.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            let difference = largest_difference(before, after) / largest;
            assert!(difference <= 1e-5, "{file}: {difference}");
        }
    }
}

/// The files of a tar archive: headers of 512 bytes with the name first and the size in octal at 124, contents padded to
/// 512.
fn untar(tar: &[u8]) -> HashMap<String, &[u8]> {
    let (mut files, mut position) = (HashMap::new(), 0);
    while tar.get(position).is_some_and(|&byte| byte != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &tar[position + range.start..position + range.end];
            String::from_utf8_lossy(field).trim_matches(['\0', ' ']).to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        files.insert(text(0..100), &tar[position + 512..][..size]);
        position += 512 + size.next_multiple_of(512);
    }
    files
}

/// The weights of ONNX's cases are inputs of the graph; made constants, they can be split.
#[test]
#[ignore = "needs ../shared"]
fn splitting_alone_gives_the_stored_outputs_of_every_recurrent_case_of_onnx() {
    let archive = std::fs::File::open(shared("data/onnx-1.17.0-backend-test-data.tar.gz")).unwrap();
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut tar).unwrap();
    let files = untar(&tar);
    let mut cases: Vec<&str> = files
        .keys()
        .filter_map(|name| name.strip_suffix("/model.onnx"))
        .filter(|name| {
            ["/test_lstm_", "/test_gru_", "/test_rnn_", "/test_simple_rnn_"]
                .iter()
                .any(|op| name.contains(op))
        })
        .collect();
    cases.sort_unstable();
    let mut in_engine = 0;
    for case in &cases {
        let mut model = ModelProto::decode(files[&format!("{case}/model.onnx")]).unwrap();
        let tensor = |kind: &str, number: usize| {
            let bytes = files.get(&format!("{case}/test_data_set_0/{kind}_{number}.pb"))?;
            Some(TensorProto::decode(*bytes).unwrap())
        };
        let graph = model.graph.as_mut().unwrap();
        let inputs = std::mem::take(&mut graph.input);
        let mut x = None;
        for (number, input) in inputs.into_iter().enumerate() {
            let given = TensorProto {
                name: input.name.clone(),
                ..tensor("input", number).unwrap()
            };
            if number == 0 {
                x = Some((input.name().to_owned(), Tensor::of(&given)));
                graph.input.push(input);
            } else {
                graph.initializer.push(given);
            }
        }
        let (name, x) = x.unwrap();
        let network = graph::network(model);
        let plan = planned(&network, &recipe(4, 0.5, Clip::None));
        assert!(
            plan.layers
                .iter()
                .all(|layer| !layer.quantized().unwrap().splits.is_empty()),
            "{case}"
        );
        let changed = split_only(&network, &plan).unwrap();
        let cell = network.model.graph.as_ref().unwrap();
        let names: Vec<&str> = cell.output.iter().map(ValueInfoProto::name).collect();
        let inputs = [(name.as_str(), x)];
        let values = reference::run(&changed, &inputs);
        for (number, output) in names.iter().enumerate() {
            let stored = Tensor::of(&tensor("output", number).unwrap());
            let difference = largest_difference(&values[*output], &stored);
            assert!(difference <= 1e-5, "{case}, {output}: {difference}");
        }
        // The engine leaves some of these cases out; what it loads and gives right before, it gives right after.
        let run = |model: &ModelProto| -> Option<Vec<Tensor>> {
            let engine = Rten::load(encode(model).unwrap()).ok()?;
            let values: Vec<f32> = inputs[0].1.values.iter().map(|x| *x as f32).collect();
            let x = data::Tensor::from_shape(&inputs[0].1.shape, values).unwrap();
            let outputs = engine.run(&[(name.as_str(), &x)], &names).ok()?;
            Some(outputs.into_iter().map(|value| of_value(&value)).collect())
        };
        if let Some(before) = run(&network.model) {
            let after = run(&changed).unwrap();
            in_engine += 1;
            for (before, after) in before.iter().zip(&after) {
                assert!(largest_difference(before, after) <= 1e-5, "{case}");
            }
        }
    }
    println!("{} cases, {in_engine} in the engine too", cases.len());
    assert!(cases.len() >= 12 && in_engine >= 2, "{cases:?}, {in_engine}");
}
