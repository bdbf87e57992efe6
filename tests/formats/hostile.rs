//! Files made to do harm: each is refused or shown with a clear line, in bounded memory.

mod data;
mod mutated;

use crate::common::graph::{self, value};
use data::picture_port;
use proptest::prelude::*;
use splitscope::format::open;
use splitscope::inference::{DataOptions, Dataset};
use splitscope::network::Support;
use splitscope::onnx::build::{float_tensor, i64_tensor, int_attribute, node, raw_tensor};
use splitscope::onnx::schema::{EXTERNAL, StringStringEntryProto, data_type};
use splitscope::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, encode};
use splitscope::quantization::Recipe;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn model(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    graph::model(17, (nodes, constants), vec![value("x")], vec![value("y")])
}

/// A matrix product with this weight.
fn with_weight(weight: TensorProto) -> ModelProto {
    model(vec![node("MatMul", "layer", ["x", "w"], ["y"], vec![])], vec![weight])
}

/// What opening a file with these bytes says.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    line(open(&path).err().unwrap().to_string())
}

fn line(text: String) -> String {
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// Runs the program with so much memory that it can ask for: MiB of address space.
#[cfg(unix)]
fn with_memory(mib: u64, words: &[&str]) -> Output {
    let limit = format!("ulimit -v {}; exec \"$0\" \"$@\"", mib << 10);
    let program = Command::new("sh")
        .args(["-c", &limit, env!("CARGO_BIN_EXE_splitscope")])
        .args(words)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output();
    program.unwrap()
}

/// The one line of a run in little memory that must fail with status 1.
#[cfg(unix)]
fn fails_in(mib: u64, words: &[&str]) -> String {
    let output = with_memory(mib, words);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {:?} {text}", output.status);
    assert!(!text.contains("panicked") && !text.contains("internal fault"), "{text}");
    line(text)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn shapes_that_no_file_could_hold_mark_their_layer() {
    let of = |dims: &[i64]| {
        let weight = TensorProto {
            dims: dims.to_vec(),
            ..raw_tensor("w", data_type::FLOAT, &[], vec![0; 16])
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        fs::write(&path, encode(&with_weight(weight)).unwrap()).unwrap();
        let network = open(&path).unwrap();
        assert!(network.weights(0).is_err());
        match &network.layers[0].support {
            Support::View(reason) => line(reason.to_string()),
            other => panic!("{dims:?}: {other:?}"),
        }
    };
    assert!(of(&[1 << 20, 1 << 20]).contains("needs 4398046511104 bytes, its data has 16"));
    assert!(of(&[1 << 40, 1 << 40]).contains("more elements than a computer can count"));
    assert!(of(&[1 << 31, 1 << 31]).contains("more bytes than a computer can count"));
    assert!(of(&[i64::MAX, 1]).contains("more bytes than a computer can count"));
    assert!(of(&[-1, 4]).contains("the negative size -1"));
    assert!(of(&[0, 1 << 62, 1 << 62]).contains("holds no elements"));
    assert!(of(&[1; 65]).contains("65 axes"));
}

#[test]
fn safetensors_sizes_and_offsets_beyond_the_file_are_refused() {
    let of = |header: &str, data: usize| {
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat();
        refusal("m.safetensors", &bytes)
    };
    let beyond = of(r#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[16,32]}}"#, 16);
    assert!(beyond.contains("tensor 'w'"), "{beyond}");
    let huge = r#"{"w":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,16]}}"#;
    assert!(of(huge, 16).contains("shape, type and data of tensor 'w' do not fit"));
    let backwards = of(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[16,12]}}"#, 16);
    assert!(backwards.contains("'w'"), "{backwards}");
    let twice = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}"#;
    assert!(of(twice, 16).contains("'w'"), "{}", of(twice, 16));
    let deep = format!(r#"{{"w":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(of(&deep, 16).contains("its header cannot be read"));
    // A length of the header that adds up to little.
    for length in [u64::MAX, u64::MAX - 7, 1 << 40] {
        let error = refusal("m.safetensors", &[&length.to_le_bytes()[..], b"{}"].concat());
        assert!(error.contains("its header is longer than the file"), "{error}");
    }
}

#[test]
fn graphs_in_a_circle_and_values_of_two_origins_are_refused() {
    let relu = |input: &str, output: &str| node("Relu", output, [input], [output], vec![]);
    let circle = model(vec![relu("b", "a"), relu("a", "b"), relu("b", "y")], vec![]);
    let error = refusal("m.onnx", &encode(&circle).unwrap());
    assert!(error.contains("waits for its own result"), "{error}");
    let twice = model(vec![relu("x", "y"), relu("x", "y")], vec![]);
    let error = refusal("m.onnx", &encode(&twice).unwrap());
    assert!(error.contains("'y' comes from two places"), "{error}");
    let w = || float_tensor("w", &[2, 2], &[1.0; 4]);
    let mut tensors = with_weight(w());
    tensors.graph.as_mut().unwrap().initializer.push(w());
    let error = refusal("m.onnx", &encode(&tensors).unwrap());
    assert!(error.contains("'w' comes from two places"), "{error}");
}

#[test]
fn nodes_of_one_name_become_layers_of_different_names() {
    let matmul = |input: &str, output: &str| node("MatMul", "same", [input, "w"], [output], vec![]);
    let weight = float_tensor("w", &[2, 2], &[1.0; 4]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let twice = model(vec![matmul("x", "z"), matmul("z", "y")], vec![weight]);
    fs::write(&path, encode(&twice).unwrap()).unwrap();
    let names: Vec<String> = open(&path)
        .unwrap()
        .layers
        .iter()
        .map(|layer| layer.name.clone())
        .collect();
    assert_eq!(names, ["same", "same#2"]);
}

/// `content` as field `number`, which has a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

#[test]
fn deep_nesting_is_refused_at_a_fixed_depth() {
    // Graph in attribute in node in graph, ten thousand times: field 1 of a graph, 5 of a node, 6 of an attribute.
    let mut graph = Vec::new();
    for _ in 0..10_000 {
        graph = field(1, &field(5, &field(6, &graph)));
    }
    let model = [&[8, 8][..], &field(7, &graph), &field(8, &[16, 17])].concat();
    let error = refusal("m.onnx", &model);
    assert!(error.contains("recursion limit"), "{error}");
    // Groups, which the format does not have, nest without any length: a byte a level.
    let groups = [&[8, 8][..], &vec![(15 << 3) | 3; 1_000_000]].concat();
    let error = refusal("m.onnx", &groups);
    assert!(error.contains("recursion limit"), "{error}");
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Recipe::from_toml(&deep).is_err());
    let deep = "a.".repeat(100_000) + "a = 1";
    assert!(Recipe::from_toml(&deep).is_err());
    let index = format!(r#"{{"weight_map": {}}}"#, "{\"a\":".repeat(100_000));
    let error = refusal("m.safetensors.index.json", index.as_bytes());
    assert!(error.contains("is no index of shards"), "{error}");
}

#[test]
fn external_data_outside_of_the_folder_are_never_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), [1; 16]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    let refused = |location: &str| {
        let weight = TensorProto {
            data_location: Some(EXTERNAL),
            external_data: vec![entry("location", location)],
            raw_data: None,
            ..raw_tensor("w", data_type::FLOAT, &[2, 2], vec![0; 16])
        };
        let path = folder.path().join("m.onnx");
        fs::write(&path, encode(&with_weight(weight)).unwrap()).unwrap();
        line(open(&path).err().unwrap().to_string())
    };
    let absolute = outside.path().join("secret");
    let way_out = format!("../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
    for location in [
        text(&absolute),
        way_out.as_str(),
        "/dev/zero",
        "a/../../secret",
        "\\\\host\\secret",
    ] {
        let error = refused(location);
        assert!(
            error.contains("tensor 'w'") && error.contains("only files there are read"),
            "{error}"
        );
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&absolute, folder.path().join("link")).unwrap();
        assert!(refused("link").contains("is a link out of the model's folder"));
        std::os::unix::fs::symlink("circle", folder.path().join("circle")).unwrap();
        assert!(refused("circle").contains("cannot read its file 'circle'"));
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero")).unwrap();
        assert!(refused("zero").contains("is a link out of the model's folder"));
    }
}

#[cfg(unix)]
#[test]
fn a_model_that_is_a_link_opens_and_a_circle_of_links_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(
        at("real.onnx"),
        encode(&with_weight(float_tensor("w", &[2, 2], &[1.0; 4]))).unwrap(),
    )
    .unwrap();
    std::os::unix::fs::symlink("real.onnx", at("link.onnx")).unwrap();
    assert_eq!(open(&at("link.onnx")).unwrap().layers.len(), 1);
    std::os::unix::fs::symlink("circle.onnx", at("circle.onnx")).unwrap();
    let error = line(open(&at("circle.onnx")).err().unwrap().to_string());
    assert!(error.contains("symbolic links"), "{error}");
    let error = line(open(Path::new("/dev/zero")).err().unwrap().to_string());
    assert!(error.contains("is no ordinary file"), "{error}");
}

/// Constants that are copies of copies: 24 times twice the one before.
#[test]
fn computed_weights_cannot_fill_the_memory() {
    let doubled = (0..24).map(|i| {
        let (from, to) = (format!("d{i}"), format!("d{}", i + 1));
        node("Concat", "", [from.clone(), from], [to], vec![int_attribute("axis", 0)])
    });
    let mut nodes: Vec<NodeProto> = doubled.collect();
    nodes.push(node("MatMul", "layer", ["x", "d24"], ["y"], vec![]));
    let bomb = model(nodes, vec![float_tensor("d0", &[256, 256], &[1.0; 65536])]);
    let gathered = model(
        vec![
            node("Gather", "", ["w", "index"], ["big"], vec![int_attribute("axis", 0)]),
            node("MatMul", "layer", ["x", "big"], ["y"], vec![]),
        ],
        vec![
            float_tensor("w", &[1, 1 << 18], &vec![1.0; 1 << 18]),
            i64_tensor("index", &[1 << 18], &vec![0; 1 << 18]),
        ],
    );
    for model in [bomb, gathered] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        fs::write(&path, encode(&model).unwrap()).unwrap();
        // It opens; the weight stays what the graph says it is, computed.
        assert_eq!(open(&path).unwrap().layers.len(), 0);
    }
}

#[cfg(unix)]
#[test]
fn a_small_file_of_empty_messages_is_refused_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    // 30 MB of empty nodes would take 6 GB.
    let graph = [1 << 3 | 2, 0].repeat(15_000_000);
    fs::write(&path, [&[8, 8][..], &field(7, &graph), &field(8, &[16, 17])].concat()).unwrap();
    let error = fails_in(2000, &["inspect", text(&path)]);
    assert!(error.contains("would take more than 1024 MiB of memory"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What fuzzing does at length, in short and on every run.
    #[test]
    fn bytes_of_any_kind_never_end_in_a_panic(start in 0_usize..8, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        const STARTS: [&[u8]; 8] = [
            b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", &[0, 0, 8, 3], &[0x1f, 0x8b, 8], b"\x89PNG\r\n\x1a\n", &[0xff, 0xd8, 0xff], b"RIFF\x20\0\0\0WEBPVP8L",
        ];
        let bytes = [STARTS[start], &bytes].concat();
        for ports in [&[][..], &picture_port()] {
            if let Ok(data) = Dataset::from_bytes("any.bin", bytes.clone(), &DataOptions::default(), ports)
                && !data.is_empty()
            {
                let _ = data.batch(0..1);
            }
        }
        let _ = splitscope::format::safetensors::read(bytes.clone().into(), "any");
        let _ = Recipe::from_toml(&String::from_utf8_lossy(&bytes));
    }
}

/// An attribute that holds a graph.
#[test]
fn bodies_nest_as_deep_as_the_decoder_goes() {
    let mut body = GraphProto {
        node: vec![node("MatMul", "deepest", ["x", "w"], ["z"], vec![])],
        ..GraphProto::default()
    };
    // A graph, a node and an attribute are three messages; the model is one more.
    for _ in 0..31 {
        let branch = AttributeProto {
            name: Some("then_branch".to_owned()),
            g: Some(body),
            ..AttributeProto::default()
        };
        body = GraphProto {
            node: vec![node("If", "if", ["x"], ["u"], vec![branch])],
            ..GraphProto::default()
        };
    }
    let mut deep = model(body.node, vec![float_tensor("w", &[2, 2], &[1.0; 4])]);
    deep.graph.as_mut().unwrap().output.clear();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, encode(&deep).unwrap()).unwrap();
    let network = open(&path).unwrap();
    assert_eq!(network.layers[0].name, "deepest");
    assert_eq!(network.weights(0).unwrap()[..], [1.0; 4]);
}
