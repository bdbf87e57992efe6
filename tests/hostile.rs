//! Files made to do harm: each is refused or shown with a clear line, in bounded memory.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use proptest::prelude::*;
use splitscope::format::open;
use splitscope::inference::{DataOptions, Dataset, Port};
use splitscope::network::Support;
use splitscope::onnx::build::{float_tensor, i64_tensor, int_attribute, node, raw_tensor};
use splitscope::onnx::schema::{EXTERNAL, OperatorSetIdProto, StringStringEntryProto, data_type};
use splitscope::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};
use splitscope::quantization::Recipe;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn model(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let value = |name: &str| ValueInfoProto {
        name: Some(name.to_owned()),
        ..ValueInfoProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(17),
        }],
        graph: Some(GraphProto {
            input: vec![value("x")],
            output: vec![value("y")],
            node: nodes,
            initializer,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
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
            Support::View(reason) => line(reason.clone()),
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

#[test]
fn archives_that_unpack_to_more_than_they_say_or_than_the_limit_are_refused() {
    let zip = |size: u32, count: usize| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for i in 0..count {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{i}.npy"), options).unwrap();
            zip.write_all(&[0; 1000]).unwrap();
        }
        let mut bytes = zip.finish().unwrap().into_inner();
        // The unpacked size in the central directory: 24 bytes behind its mark.
        let marks: Vec<usize> = (0..bytes.len() - 4)
            .filter(|at| bytes[*at..].starts_with(b"PK\x01\x02"))
            .collect();
        for at in marks {
            bytes[at + 24..at + 28].copy_from_slice(&size.to_le_bytes());
        }
        bytes
    };
    let refusal = |bytes: Vec<u8>| {
        let opened = Dataset::from_bytes("bomb.npz", bytes, &DataOptions::default(), &[]);
        line(opened.err().unwrap().to_string())
    };
    // Nothing of it is unpacked, though there are no such sizes in it.
    let many = refusal(zip(3 << 30, 2));
    assert!(many.contains("unpacks to more than 4 GiB"), "{many}");
    // More comes out than was declared: it ends there.
    let more = refusal(zip(10, 1));
    assert!(more.contains("bomb.npz"), "{more}");
}

/// Zeros without end, packed.
fn packed_zeros(before: &[u8], mib: usize) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(before).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..mib {
        gzip.write_all(&zeros).unwrap();
    }
    gzip.finish().unwrap()
}

#[test]
fn a_packed_file_is_unpacked_no_further_than_its_header_says() {
    let refusal = |bytes: Vec<u8>| {
        let opened = Dataset::from_bytes("bomb.gz", bytes, &DataOptions::default(), &[]);
        line(opened.err().unwrap().to_string())
    };
    let more = refusal(packed_zeros(&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2], 200));
    assert!(more.contains("goes on after the 4 elements"), "{more}");
    let large = refusal(packed_zeros(&[0, 0, 8, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0], 1));
    assert!(large.contains("more than 4 GiB"), "{large}");
    let overflow = refusal(packed_zeros(&[[0, 0, 8, 4].as_slice(), &[0xff; 16]].concat(), 1));
    assert!(overflow.contains("more than 4 GiB"), "{overflow}");
    // No samples of a size that overflows.
    let empty = refusal(packed_zeros(
        &[[0, 0, 8, 4, 0, 0, 0, 0].as_slice(), &[0xff; 12]].concat(),
        0,
    ));
    assert!(empty.contains("more than 4 GiB"), "{empty}");
}

#[cfg(unix)]
#[test]
fn a_packed_file_that_is_all_there_takes_what_it_declares_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb-images-idx3-ubyte.gz");
    // 2 GiB declared, 64 MiB there: memory follows what is there.
    fs::write(
        &path,
        packed_zeros(&[0, 0, 8, 3, 0, 0, 0x80, 0, 0, 0, 1, 0, 0, 0, 1, 0], 64),
    )
    .unwrap();
    let error = fails_in(1500, &["evaluate", "demo:fashion", "--data", text(&path)]);
    assert!(error.contains("truncated"), "{error}");
}

/// A PNG of one colour whose header says what it is told to.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(2, 2)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    let mut bytes = bytes.into_inner();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

fn picture_port() -> [Port; 1] {
    [Port {
        name: "input".to_owned(),
        shape: Some(vec![None, Some(3), Some(8), Some(8)]),
        axis_names: vec![None; 4],
        integer: false,
    }]
}

#[test]
fn pictures_of_a_hundred_thousand_pixels_a_side_are_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let small = image::RgbImage::new(9, 7);
    small.save(folder.path().join("good.png")).unwrap();
    fs::write(folder.path().join("huge.png"), png(100_000, 100_000)).unwrap();
    fs::write(folder.path().join("absurd.png"), png(u32::MAX, u32::MAX)).unwrap();
    let data = Dataset::open(text(folder.path()), &DataOptions::default(), &picture_port()).unwrap();
    assert_eq!(data.len(), 1);
    let [note] = data.notes() else {
        panic!("{:?}", data.notes())
    };
    assert!(
        note.contains("2 unreadable image(s) left out") && note.contains("huge.png"),
        "{note}"
    );
    let alone = Dataset::from_bytes(
        "huge.png",
        png(100_000, 100_000),
        &DataOptions::default(),
        &picture_port(),
    );
    let error = line(alone.err().unwrap().to_string());
    assert!(
        error.contains("100000 x 100000 pixels, which take more than 256 MiB"),
        "{error}"
    );
}

#[test]
fn a_picture_too_narrow_to_be_enlarged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.png");
    image::GrayImage::new(100_000, 1).save(&path).unwrap();
    let options = DataOptions {
        size: Some(256),
        crop: Some(224),
        ..DataOptions::default()
    };
    let port = [Port {
        shape: Some(vec![None, Some(1), None, None]),
        ..picture_port()[0].clone()
    }];
    let data = Dataset::open(text(&path), &options, &port).unwrap();
    let error = line(data.batch(0..1).err().unwrap().to_string());
    assert!(
        error.contains("line.png") && error.contains("100000 x 1 pixels is too long and narrow"),
        "{error}"
    );
}

#[test]
fn arrays_of_sizes_that_overflow_are_refused() {
    let npy = |descr: &str, shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    let refusal = |bytes: Vec<u8>| {
        let opened = Dataset::from_bytes("a.npy", bytes, &DataOptions::default(), &picture_port());
        line(opened.err().unwrap().to_string())
    };
    for shape in [
        "(1099511627776, 1099511627776)",
        "(18446744073709551615,)",
        "(0, 9223372036854775807, 3)",
    ] {
        let error = refusal(npy("<f4", shape, &[]));
        assert!(error.contains("a.npy"), "{error}");
    }
    let error = refusal(npy("|u1", "(0, 9223372036854775807, 9223372036854775807, 3)", &[]));
    assert!(error.contains("the file holds 0 bytes"), "{error}");
    let error = refusal(npy("<f4", "(99999999999999999999999, 1)", &[]));
    assert!(error.contains("has no shape"), "{error}");
    let endless = npy("<f4", "(1,)", &[0; 4]);
    let mut cut = endless.clone();
    cut[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(refusal(cut).contains("the .npy header is cut off"));
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
