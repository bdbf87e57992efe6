use super::*;
use crate::onnx::build::{attribute_tensor, float_tensor, node, raw_tensor, tensor_attribute};
use crate::onnx::schema::{
    EXTERNAL, FunctionProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto, data_type,
};
use crate::onnx::{AttributeProto, GraphProto, TensorProto, encode, tensor_bytes};
use std::fs;

const DEMOS: [&[u8]; 2] = [
    include_bytes!("../../../assets/fashion_resnet.onnx"),
    include_bytes!("../../../assets/shakespeare_lstm.onnx"),
];

fn model_with(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(17),
        }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn external_tensor(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        data_type: Some(data_type::FLOAT),
        dims: vec![2],
        data_location: Some(EXTERNAL),
        external_data: entries
            .iter()
            .map(|(key, value)| StringStringEntryProto {
                key: Some((*key).into()),
                value: Some((*value).into()),
            })
            .collect(),
        ..TensorProto::default()
    }
}

fn model_with_external(entries: &[(&str, &str)]) -> ModelProto {
    model_with(GraphProto {
        initializer: vec![external_tensor("w", entries)],
        ..GraphProto::default()
    })
}

/// What reading `model` from a folder with a `w.bin` of 16 bytes says.
fn external_fault(model: &ModelProto) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), [0; 16]).unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, encode(model).unwrap()).unwrap();
    let error = read_file(&path).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1);
    error
}

fn fault_of(bytes: impl Into<Bytes>) -> String {
    let error = read_bytes(bytes.into(), None).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

#[test]
fn the_demos_survive_a_read_and_a_write() {
    for bytes in DEMOS {
        let model = read_bytes(Bytes::from_static(bytes), None).unwrap();
        let again = read_bytes(encode(&model).unwrap().into(), None).unwrap();
        assert!(model == again);
        assert!(model.graph.as_ref().unwrap().initializer.len() > 3);
    }
}

#[test]
fn tensor_data_lie_inside_the_memory_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    fs::write(&path, DEMOS[0]).unwrap();
    let map = crate::files::contents(&path).unwrap();
    let model = read_bytes(map.clone(), None).unwrap();
    let range = map.as_ptr_range();
    for tensor in &model.graph.unwrap().initializer {
        let raw = tensor.raw_data.as_ref().unwrap();
        assert!(raw.is_empty() || range.contains(&raw.as_ptr()), "{}", tensor.name());
    }
}

#[test]
fn files_that_are_no_models_are_told_apart() {
    assert_eq!(fault_of(""), "not an ONNX model: the file is empty");
    assert!(fault_of("<!DOCTYPE html><html>").contains("HTML"));
    assert!(fault_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\n").contains("git lfs pull"));
    assert!(fault_of("hello, I am a text").contains("broken at"));
    assert!(fault_of(&DEMOS[0][..5000]).contains("broken at ModelProto.graph"));
}

#[test]
fn an_empty_file_a_folder_and_a_missing_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.onnx");
    fs::write(&empty, "").unwrap();
    assert!(read_file(&empty).unwrap_err().to_string().contains("empty"));
    assert!(
        read_file(folder.path())
            .unwrap_err()
            .to_string()
            .contains("is a folder")
    );
    let missing = folder.path().join("missing.onnx");
    assert!(read_file(&missing).unwrap_err().to_string().contains("missing.onnx"));
}

#[test]
fn a_model_without_graph_opset_or_known_version_is_refused() {
    let graph = || GraphProto::default();
    let mut model = model_with(graph());
    model.graph = None;
    assert!(fault_of(encode(&model).unwrap()).contains("no graph"));
    let mut model = model_with(graph());
    model.opset_import.clear();
    assert!(fault_of(encode(&model).unwrap()).contains("no operator set"));
    let mut model = model_with(graph());
    model.ir_version = Some(2);
    assert!(fault_of(encode(&model).unwrap()).contains("IR version 2 is older than 3"));
    model.ir_version = Some(3);
    assert!(read_bytes(encode(&model).unwrap().into(), None).is_ok());
}

#[test]
fn external_data_are_found_wherever_a_tensor_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let values: [f32; 4] = [1.0, 2.0, 3.0, 4.0];
    fs::write(folder.path().join("w.bin"), bytemuck::cast_slice(&values)).unwrap();
    let at = |name: &str, offset: &str| external_tensor(name, &[("location", "w.bin"), ("offset", offset)]);
    let constant = |name: &str, offset: &str| {
        node(
            "Constant",
            name,
            [""; 0],
            [name],
            vec![tensor_attribute("value", at(name, offset))],
        )
    };
    let body = GraphProto {
        node: vec![constant("inner", "8")],
        initializer: vec![at("inner_w", "4")],
        ..GraphProto::default()
    };
    let branch = AttributeProto {
        name: Some("then_branch".into()),
        g: Some(body),
        ..AttributeProto::default()
    };
    let mut model = model_with(GraphProto {
        initializer: vec![at("w", "0")],
        sparse_initializer: vec![SparseTensorProto {
            values: Some(at("sparse", "8")),
            ..SparseTensorProto::default()
        }],
        node: vec![constant("c", "8"), node("If", "if", ["x"], ["y"], vec![branch])],
        ..GraphProto::default()
    });
    model.functions.push(FunctionProto {
        node: vec![constant("f", "4")],
        ..FunctionProto::default()
    });
    let path = folder.path().join("m.onnx");
    fs::write(&path, encode(&model).unwrap()).unwrap();

    let read = read_file(&path).unwrap();
    let graph = read.graph.as_ref().unwrap();
    let body = graph.node[1].attribute[0].g.as_ref().unwrap();
    let expect = |tensor: &TensorProto, values: [f32; 2]| {
        let bytes = tensor_bytes(tensor).unwrap();
        assert_eq!(
            bytemuck::pod_collect_to_vec::<u8, f32>(&bytes),
            values,
            "{}",
            tensor.name()
        );
        assert!(tensor.external_data.is_empty() && tensor.data_location.is_none());
    };
    expect(&graph.initializer[0], [1.0, 2.0]);
    expect(graph.sparse_initializer[0].values.as_ref().unwrap(), [3.0, 4.0]);
    expect(attribute_tensor(&graph.node[0], "value").unwrap(), [3.0, 4.0]);
    expect(&body.initializer[0], [2.0, 3.0]);
    expect(attribute_tensor(&body.node[0], "value").unwrap(), [3.0, 4.0]);
    expect(
        attribute_tensor(&read.functions[0].node[0], "value").unwrap(),
        [2.0, 3.0],
    );
    // The same file is mapped once: both tensors are cut from one map.
    let begin = |tensor: &TensorProto| tensor.raw_data.as_ref().unwrap().as_ptr() as usize;
    assert_eq!(begin(&body.initializer[0]) - begin(&graph.initializer[0]), 4);
}

#[test]
fn external_data_outside_of_the_folder_are_refused() {
    for location in ["/etc/hostname", "../w.bin", "sub/../../w.bin", ""] {
        let error = external_fault(&model_with_external(&[("location", location)]));
        assert!(error.starts_with("tensor 'w': its file"), "{error}");
        assert!(error.contains("model's folder"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_refused() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = elsewhere.path().join("w.bin");
    fs::write(&target, [0; 8]).unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join("w.bin")).unwrap();
    let path = folder.path().join("m.onnx");
    let model = model_with_external(&[("location", "w.bin")]);
    fs::write(&path, encode(&model).unwrap()).unwrap();
    let error = read_file(&path).unwrap_err().to_string();
    assert!(error.contains("'w.bin' is a link out of the model's folder"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_model_in_a_hubs_cache_finds_its_data_among_the_blobs() {
    use std::os::unix::fs::symlink;
    let cache = tempfile::tempdir().unwrap();
    let at = |path: &str| cache.path().join(path);
    fs::create_dir_all(at("blobs")).unwrap();
    fs::create_dir_all(at("snapshots/v1/onnx")).unwrap();
    let model = model_with_external(&[("location", "model.onnx_data")]);
    fs::write(at("blobs/1234"), encode(&model).unwrap()).unwrap();
    fs::write(at("blobs/5678"), bytemuck::cast_slice::<f32, u8>(&[1.5, -2.5])).unwrap();
    symlink("../../../blobs/1234", at("snapshots/v1/onnx/model.onnx")).unwrap();
    symlink("../../../blobs/5678", at("snapshots/v1/onnx/model.onnx_data")).unwrap();
    let read = read_file(&at("snapshots/v1/onnx/model.onnx")).unwrap();
    let values = crate::onnx::float_values(&read.graph.unwrap().initializer[0]).unwrap();
    assert_eq!(*values, [1.5, -2.5]);
}

#[test]
fn external_data_that_do_not_fit_name_tensor_and_file() {
    let fault = |entries: &[(&str, &str)]| external_fault(&model_with_external(entries));
    assert!(fault(&[("location", "gone.bin")]).starts_with("tensor 'w': cannot read its file 'gone.bin'"));
    assert!(fault(&[]).contains("no location"));
    let at = |offset| fault(&[("location", "w.bin"), ("offset", offset)]);
    assert_eq!(
        at("12"),
        "tensor 'w': its 8 bytes at 12 lie outside of 'w.bin', which has 16 bytes"
    );
    assert!(at("18446744073709551615").contains("lie outside of 'w.bin'"));
    assert!(at("-4").contains("the offset of its external data is '-4'"));
    assert_eq!(
        fault(&[("location", "w.bin"), ("length", "12")]),
        "tensor 'w': its shape needs 8 bytes, its part of 'w.bin' has 12"
    );
}

#[test]
fn external_data_without_a_folder_are_refused() {
    let model = model_with_external(&[("location", "w.bin")]);
    assert!(fault_of(encode(&model).unwrap()).contains("its elements are in 'w.bin'"));
}

#[test]
fn broken_copies_of_the_demos_never_panic() {
    // A fixed linear congruential generator: the same faults on every run.
    let mut state = 0x2545_f491_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let check = |bytes: Vec<u8>| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/broken.onnx");
        match read_bytes(bytes.into(), Some(&file)) {
            Ok(model) => {
                for tensor in &model.graph.unwrap_or_default().initializer {
                    if let Err(error) = tensor_bytes(tensor) {
                        assert_eq!(error.to_string().lines().count(), 1, "{error}");
                    }
                }
            }
            Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
        }
    };
    for demo in DEMOS {
        // Few bytes are structure, most are weights: look closely at both ends, where the structure is.
        for _ in 0..60 {
            check(demo[..random(demo.len())].to_vec());
            check(demo[..random(6000)].to_vec());
        }
        for _ in 0..150 {
            let mut copy = demo.to_vec();
            for _ in 0..=random(4) {
                let place = match random(3) {
                    0 => random(copy.len()),
                    1 => random(20_000),
                    _ => copy.len() - 1 - random(3000),
                };
                copy[place] ^= 1 << random(8);
            }
            check(copy);
        }
    }
}

#[test]
fn every_field_that_is_not_touched_survives() {
    let odd = TensorProto {
        string_data: vec![Bytes::from_static(b"a"), Bytes::from_static(b"\xff")],
        ..raw_tensor("odd", data_type::STRING, &[2], Bytes::new())
    };
    let model = model_with(GraphProto {
        initializer: vec![odd, float_tensor("w", &[1], &[f32::NAN])],
        ..GraphProto::default()
    });
    let bytes = encode(&model).unwrap();
    assert_eq!(encode(&read_bytes(bytes.clone().into(), None).unwrap()).unwrap(), bytes);
}
