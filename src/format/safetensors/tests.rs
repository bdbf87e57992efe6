use super::*;
use crate::onnx::build::{float_tensor, i8_tensor, i64_tensor, raw_tensor};
use crate::onnx::float_values;

const DEMO: &[u8] = include_bytes!("../../../assets/fashion_resnet.safetensors");
const DEMO_ONNX: &[u8] = include_bytes!("../../../assets/fashion_resnet.onnx");

fn file_with(header: &str, data: &[u8]) -> Bytes {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(data);
    file.into()
}

fn fault_of(bytes: impl Into<Bytes>) -> String {
    let error = read(bytes.into(), "w.safetensors").unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("w.safetensors: "), "{error}");
    error
}

fn fault_of_header(header: &str, data: &[u8]) -> String {
    fault_of(file_with(header, data))
}

#[test]
fn the_demo_holds_the_same_weights_as_its_onnx_file() {
    let weights = read(Bytes::from_static(DEMO), "demo").unwrap().graph.unwrap();
    let onnx = crate::onnx::read_bytes(Bytes::from_static(DEMO_ONNX), None).unwrap();
    let mut same = 0;
    for tensor in &onnx.graph.unwrap().initializer {
        if let Some(twin) = weights.initializer.iter().find(|twin| twin.name() == tensor.name()) {
            assert_eq!(twin.dims, tensor.dims);
            assert_eq!(float_values(twin).unwrap()[..], float_values(tensor).unwrap()[..]);
            same += 1;
        }
    }
    assert!(same > 19, "{same}");
}

#[test]
fn tensor_data_lie_inside_the_file_in_its_order() {
    let bytes = Bytes::from_static(DEMO);
    let range = bytes.as_ptr_range();
    let tensors = read(bytes, "demo").unwrap().graph.unwrap().initializer;
    let starts: Vec<_> = tensors.iter().map(|t| t.raw_data.as_ref().unwrap().as_ptr()).collect();
    assert!(starts.iter().all(|start| range.contains(start)));
    assert!(starts.is_sorted());
}

#[test]
fn every_type_survives_a_write_and_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors: Vec<_> = TYPES
        .iter()
        .map(|(dtype, element_type)| {
            let bytes: Vec<u8> = (0..6 * dtype.bitsize() / 8).map(|i| i as u8).collect();
            raw_tensor(dtype.to_string(), *element_type, &[2, 3], bytes)
        })
        .collect();
    let metadata = [
        ("format".to_owned(), "pt".to_owned()),
        ("z".to_owned(), "\"\n".to_owned()),
    ];
    write(&path, &tensors, &metadata).unwrap();
    let model = read(crate::files::contents(&path).unwrap(), "w").unwrap();
    assert_eq!(model.graph.as_ref().unwrap().initializer, tensors);
    assert_eq!(build::metadata(&model, "format"), Some("pt"));
    assert_eq!(build::metadata(&model, "z"), Some("\"\n"));
}

/// Packed as ONNX packs: the first element in the low end of its byte, two's complement.
#[test]
fn integers_of_fewer_than_8_bits_are_packed_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors = [
        build::int4_tensor("w.q", &[3, 1], &[-8, 7, -1]),
        build::int2_tensor("v.q", &[5], &[-2, 1, 0, -1, 1]),
        build::uint4_tensor("u4", &[1, 2], &[15, 1]),
        build::uint2_tensor("u2", &[4], &[3, 0, 1, 2]),
    ];
    write(&path, &tensors, &[]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let (_, stored) = SafeTensors::read_metadata(&bytes).unwrap();
    let info = stored.info("w.q").unwrap();
    assert_eq!((info.dtype, info.shape.as_slice()), (Dtype::U8, &[2][..]));
    // The elements alone: 2 + 2 + 1 + 1 bytes, in this order.
    assert_eq!(
        bytes[bytes.len() - 6..],
        [0x78, 0x0f, 0b11_00_01_10, 0b01, 0x1f, 0b10_01_00_11]
    );
    let model = read(bytes.into(), "w").unwrap();
    assert_eq!(model.graph.unwrap().initializer, tensors);
    assert_eq!(model.metadata_props, []);
}

#[test]
fn a_description_of_packed_tensors_that_does_not_fit_is_one_clear_line() {
    let fault = |packed: &str, dtype: &str| {
        let packed = packed.replace('"', "\\\"");
        let header = format!(
            r#"{{"__metadata__":{{"splitscope.packed":"{packed}"}},"w.q":{{"dtype":"{dtype}","shape":[2],"data_offsets":[0,2]}}}}"#
        );
        fault_of_header(&header, &[0; 2])
    };
    assert!(fault("{", "U8").contains("'splitscope.packed' cannot be read"));
    assert!(fault(r#"{"w.q":{"type":"int3","shape":[4]}}"#, "U8").contains("type 'int3' of tensor 'w.q'"));
    assert!(fault(r#"{"w.q":{"type":"int4","shape":[4]}}"#, "I8").contains("tensor 'w.q', which is not of U8"));
    for shape in ["[5]", "[-4]", "[4294967296,4294967296]", "[]"] {
        let error = fault(&format!(r#"{{"w.q":{{"type":"int4","shape":{shape}}}}}"#), "U8");
        assert!(
            error.contains("does not fit") && error.contains("w.q"),
            "{shape}: {error}"
        );
    }
}

#[test]
fn wide_elements_come_first_and_typed_fields_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let typed = TensorProto {
        name: Some("typed".into()),
        data_type: Some(data_type::FLOAT),
        dims: vec![1],
        float_data: vec![0.5],
        ..TensorProto::default()
    };
    let tensors = [i8_tensor("q", &[3], &[1, 2, 3]), typed, i64_tensor("index", &[1], &[9])];
    write(&path, &tensors, &[]).unwrap();
    let read = read(crate::files::contents(&path).unwrap(), "w")
        .unwrap()
        .graph
        .unwrap()
        .initializer;
    assert_eq!(
        read,
        [
            i64_tensor("index", &[1], &[9]),
            float_tensor("typed", &[1], &[0.5]),
            i8_tensor("q", &[3], &[1, 2, 3])
        ]
    );
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let write_to = |name: &str| {
        let path = folder.path().join(name);
        let metadata: Vec<_> = (0..9).map(|i| (i.to_string(), String::new())).collect();
        write(&path, &[i8_tensor("a", &[1], &[1])], &metadata).unwrap();
        std::fs::read(path).unwrap()
    };
    assert_eq!(write_to("a"), write_to("b"));
}

#[test]
fn empty_tensors_at_the_same_place_keep_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors: Vec<_> = (0..9).map(|i| float_tensor(format!("empty{i}"), &[0], &[])).collect();
    write(&path, &tensors, &[]).unwrap();
    let model = read(crate::files::contents(&path).unwrap(), "w").unwrap();
    assert_eq!(model.graph.unwrap().initializer, tensors);
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let fault = |tensors: &[TensorProto]| write(&path, tensors, &[]).unwrap_err().to_string();
    let strings = raw_tensor("s", data_type::STRING, &[1], vec![]);
    assert!(fault(&[strings]).contains("tensor 's' has elements of type STRING, which safetensors lacks"));
    assert!(fault(&[float_tensor("w", &[3], &[1.0])]).contains("tensor 'w': its shape [3] needs 12 bytes"));
    let one = float_tensor("w", &[1], &[1.0]);
    assert!(fault(&[one.clone(), one]).contains("two things are called 'w'"));
    assert!(fault(&[float_tensor(METADATA, &[1], &[1.0])]).contains(METADATA));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_header_that_does_not_hold_together_is_one_clear_line() {
    assert!(fault_of(&b"\x01\x02"[..]).contains("too short"));
    assert!(fault_of(u64::MAX.to_le_bytes().to_vec()).contains("longer than the file"));
    assert!(fault_of(vec![0xff; 100]).contains("longer than the file"));
    assert!(fault_of_header("{", &[]).contains("header cannot be read"));
    assert!(fault_of_header("[]", &[]).contains("header cannot be read"));
    assert!(fault_of_header(r#"{"w":{"dtype":"F31","shape":[],"data_offsets":[0,0]}}"#, &[]).contains("F31"));
    let cut = &DEMO[..DEMO.len() - 4];
    assert!(fault_of(cut).contains("cut off"));
}

#[test]
fn attacks_on_shapes_and_offsets_name_the_tensor() {
    let tensor = |shape: &str, begin: &str, end: &str| {
        format!(
            r#"{{"good":{{"dtype":"I8","shape":[4],"data_offsets":[0,4]}},"bad":{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}}}"#
        )
    };
    for (shape, begin, end) in [
        ("[1]", "2", "6"),
        ("[1]", "8", "12"),
        ("[2]", "4", "8"),
        ("[4294967296, 4294967296]", "4", "8"),
        ("[18446744073709551615]", "4", "8"),
        ("[9223372036854775807, 0]", "4", "8"),
    ] {
        let error = fault_of_header(&tensor(shape, begin, end), &[0; 8]);
        assert!(error.contains("tensor 'bad'"), "{shape} {begin} {end}: {error}");
    }
    for (shape, begin, end) in [
        ("[-1]", "4", "8"),
        ("[1]", "8", "4"),
        ("[1]", "4", "18446744073709551616"),
    ] {
        fault_of_header(&tensor(shape, begin, end), &[0; 8]);
    }
    // Two tensors at the same place: either may be named.
    assert!(fault_of_header(&tensor("[1]", "0", "4"), &[0; 8]).contains("overlap"));
    let two_gigabytes_beyond = tensor("[500000000]", "4", "2000000004");
    assert!(fault_of_header(&two_gigabytes_beyond, &[0; 8]).contains("cut off"));
}

#[test]
fn broken_copies_of_the_demo_never_panic() {
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let header_end = header(DEMO).unwrap().len() + LENGTH_BYTES;
    for _ in 0..300 {
        let mut copy = DEMO.to_vec();
        copy[random(header_end)] ^= 1 << random(8);
        if let Err(error) = read(copy.into(), "w") {
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
        fault_of(&DEMO[..random(DEMO.len())]);
    }
}

#[test]
fn nested_json_does_not_exhaust_the_stack() {
    let deep = format!("{{\"w\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(fault_of_header(&deep, &[]).contains("header cannot be read"));
}

#[test]
#[ignore = "needs ../shared"]
fn the_networks_survive_a_read_and_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.safetensors");
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            let model = read(crate::files::contents(&path).unwrap(), "w").unwrap();
            let tensors = &model.graph.as_ref().unwrap().initializer;
            let metadata: Vec<_> = model
                .metadata_props
                .iter()
                .map(|entry| (entry.key().to_owned(), entry.value().to_owned()))
                .collect();
            write(&copy, tensors, &metadata).unwrap();
            assert!(
                read(crate::files::contents(&copy).unwrap(), "w").unwrap() == model,
                "{}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}
