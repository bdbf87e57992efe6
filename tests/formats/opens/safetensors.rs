//! Weights without a graph.

use bytes::Bytes;
use splitscope::format::demo::Demo;
use splitscope::format::{open, safetensors::write};
use splitscope::inference::{DataOptions, Dataset, Engine, Rten, run_outputs};
use splitscope::network::{Layout, OutAxis, Support};
use splitscope::onnx::build::{float_tensor, i64_tensor, raw_tensor};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{TensorProto, encode, float_values, numbers, tensor_bytes};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, LayerRecipe, Recipe, plan, prepare, quantized_tensors};
use splitscope::statistics::streamed_statistics;
use std::path::{Path, PathBuf};

/// A tensor whose elements are `values`, in another type.
fn typed(name: &str, element_type: i32, dims: &[usize], values: &[f64]) -> TensorProto {
    let bytes: Vec<u8> = match element_type {
        data_type::DOUBLE => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        data_type::FLOAT16 => values
            .iter()
            .flat_map(|x| half::f16::from_f64(*x).to_le_bytes())
            .collect(),
        data_type::BFLOAT16 => values
            .iter()
            .flat_map(|x| half::bf16::from_f64(*x).to_le_bytes())
            .collect(),
        data_type::INT16 => values.iter().flat_map(|x| (*x as i16).to_le_bytes()).collect(),
        data_type::UINT8 => values.iter().map(|x| *x as u8).collect(),
        _ => values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect(),
    };
    raw_tensor(name, element_type, dims, bytes)
}

fn saved(folder: &Path, tensors: &[TensorProto], metadata: &[(String, String)]) -> PathBuf {
    let path = folder.join("w.safetensors");
    write(&path, tensors, metadata).unwrap();
    path
}

/// The tensors that an export of the file under `recipe` holds.
fn exported(path: &Path, recipe: &Recipe) -> (Vec<TensorProto>, Vec<(String, String)>) {
    let network = prepare(&open(path).unwrap(), recipe).unwrap();
    let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
    quantized_tensors(&network, &plan).unwrap()
}

fn named<'a>(tensors: &'a [TensorProto], name: &str) -> &'a TensorProto {
    tensors.iter().find(|tensor| tensor.name() == name).unwrap()
}

#[test]
fn safetensors_of_every_number_type() {
    let folder = tempfile::tempdir().unwrap();
    let values = [1.0, 2.0, 4.0, 3.0, 8.0, 6.0];
    let kinds = [
        ("f64", data_type::DOUBLE),
        ("f32", data_type::FLOAT),
        ("f16", data_type::FLOAT16),
        ("bf16", data_type::BFLOAT16),
        ("i16", data_type::INT16),
        ("u8", data_type::UINT8),
    ];
    let mut tensors: Vec<TensorProto> =
        (kinds.iter().map(|(name, kind)| typed(name, *kind, &[2, 3], &values))).collect();
    // 8.0, 6.0, 4.0, 3.0, 2.0, 1.0 as E4M3: exponent field 7 + log2, three bits of mantissa.
    tensors.push(raw_tensor(
        "f8",
        data_type::FLOAT8E4M3FN,
        &[2, 3],
        vec![0x50, 0x4c, 0x48, 0x44, 0x40, 0x38],
    ));
    let network = open(&saved(folder.path(), &tensors, &[])).unwrap();
    assert_eq!(network.layers.len(), 7);
    for (index, layer) in network.layers.iter().enumerate() {
        let statistics = streamed_statistics(&network.weight_elements(index).unwrap(), &layer.layout);
        assert_eq!(
            (statistics.min, statistics.max, statistics.mean),
            (1.0, 8.0, 4.0),
            "{}",
            layer.name
        );
        let float = ["f64", "f32", "f16", "bf16"].contains(&layer.name.as_str());
        assert_eq!(layer.support == Support::Split, float, "{}", layer.name);
    }
}

#[test]
fn safetensors_with_scalars_odd_shapes_and_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = [
        i64_tensor("batches_tracked", &[], &[7]),
        float_tensor("scale", &[], &[0.5]),
        float_tensor("empty", &[0, 3], &[]),
        float_tensor("bias", &[3], &[0.1, 0.2, 0.3]),
        float_tensor("conv3d", &[2, 2, 1, 1, 3], &[0.25; 12]),
        raw_tensor("mask", data_type::BOOL, &[2, 2], Bytes::from_static(&[1, 0, 0, 1])),
    ];
    let metadata = [("format".to_owned(), "pt".to_owned())];
    let path = saved(folder.path(), &tensors, &metadata);
    let network = open(&path).unwrap();
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["empty", "conv3d"]);
    assert!(matches!(&network.layers[0].support, Support::View(why) if why.to_string().contains("no elements")));
    let (written, metadata) = exported(&path, &Recipe::default());
    assert!(metadata.contains(&("format".to_owned(), "pt".to_owned())));
    for tensor in tensors.iter().filter(|tensor| tensor.name() != "conv3d") {
        assert_eq!(named(&written, tensor.name()), tensor);
    }
}

#[test]
fn safetensors_export_keeps_the_type_of_what_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let values = [0.5, -1.0, 0.25, 1.5];
    let tensors = [
        typed("kept", data_type::BFLOAT16, &[2, 2], &values),
        typed("changed", data_type::BFLOAT16, &[2, 2], &values),
        typed("norm", data_type::FLOAT16, &[4], &values),
    ];
    let path = saved(folder.path(), &tensors, &[]);
    let mut recipe = Recipe::default();
    recipe.layers.entry("kept".to_owned()).or_default().float = Some(true);
    let (written, _) = exported(&path, &recipe);
    for name in ["kept", "norm"] {
        assert_eq!(named(&written, name), named(&tensors, name));
    }
    assert_eq!(named(&written, "changed.q").data_type(), data_type::INT8);
}

#[test]
fn safetensors_with_a_chosen_channel_axis() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..24)
        .map(|i| if i == 17 { 9.0 } else { i as f32 / 24.0 - 0.5 })
        .collect();
    let path = saved(folder.path(), &[float_tensor("w", &[2, 3, 4], &values)], &[]);
    for (axis, layout) in [
        (0, (1, 2, 12, OutAxis::Inner)),
        (1, (2, 3, 4, OutAxis::Outer)),
        (2, (6, 4, 1, OutAxis::Outer)),
    ] {
        let layer = LayerRecipe {
            channel_axis: Some(axis),
            ..LayerRecipe::default()
        };
        let recipe = Recipe {
            weight_bits: Bits::Grid(8),
            // One split whatever the number of channels.
            expand_ratio: 0.1,
            layers: [("w".to_owned(), layer)].into(),
            ..Recipe::default()
        };
        let network = prepare(&open(&path).unwrap(), &recipe).unwrap();
        let (outer, channels, inner, out_axis) = layout;
        let expected = Layout {
            groups: 1,
            outer,
            channels,
            inner,
            out_axis,
            out_run: 1,
        };
        assert_eq!(network.layers[0].layout, expected);
        let (written, _) = exported(&path, &recipe);
        let (wide, index) = (named(&written, "w.q"), numbers(named(&written, "w.ocs_index")).unwrap());
        assert_eq!(wide.dims[axis], channels as i64 + 1);
        // Channel 1, 2 and 1 hold element 17 = [1, 1, 1] of axes 0, 1 and 2.
        let split = index.iter().filter(|source| **source == 1.0).count();
        assert_eq!(split, 2, "axis {axis}");
        // Copies of a channel add up to the channel, to half a step of each copy.
        let step = f64::from(float_values(named(&written, "w.scale")).unwrap()[0]);
        let mut sum = [0.0_f64; 24];
        for (place, code) in numbers(wide).unwrap().iter().enumerate() {
            let (row, channel, rest) = (
                place / (inner * (channels + 1)),
                place / inner % (channels + 1),
                place % inner,
            );
            sum[(row * channels + index[channel] as usize) * inner + rest] += f64::from(*code) * step;
        }
        let worst = sum
            .iter()
            .zip(&values)
            .map(|(a, b)| (a - f64::from(*b)).abs())
            .fold(0.0, f64::max);
        assert!(worst <= step * 0.501, "axis {axis}: {worst} {step}");
    }
    let mut recipe = Recipe::default();
    recipe.layers.entry("w".to_owned()).or_default().channel_axis = Some(3);
    let refusal = recipe.check(&open(&path).unwrap()).unwrap_err();
    assert!(
        refusal
            .to_string()
            .contains("channel_axis: the channel axis is 0 to 2 for the shape [2, 3, 4], not 3"),
        "{refusal}"
    );
}

#[test]
fn safetensors_of_a_known_architecture() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fashion_resnet.safetensors");
    let network = open(&path).unwrap();
    assert_eq!(network.why_not_runnable, None);
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let data = Dataset::open("demo:fashion", &DataOptions::default(), engine.inputs()).unwrap();
    let outputs = run_outputs(&engine, &data, 50, &Progress::default()).unwrap();
    let original = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
    let expected = run_outputs(&original, &Dataset::demo(Demo::Fashion), 50, &Progress::default()).unwrap();
    let worst = outputs
        .logits
        .iter()
        .zip(&expected.logits)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}

#[test]
fn safetensors_in_shards() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (number, name) in ["a", "b"].iter().enumerate() {
        let tensor = typed(name, data_type::BFLOAT16, &[2, 2], &[number as f64; 4]);
        write(
            &at(&format!("m-0000{}-of-00002.safetensors", number + 1)),
            &[tensor],
            &[],
        )
        .unwrap();
    }
    let index = r#"{"metadata": {"total_size": 16},
        "weight_map": {"a": "m-00001-of-00002.safetensors", "b": "m-00002-of-00002.safetensors"}}"#;
    std::fs::write(at("m.safetensors.index.json"), index).unwrap();
    for file in ["m.safetensors.index.json", "m-00002-of-00002.safetensors"] {
        let network = open(&at(file)).unwrap();
        assert_eq!(network.layers.len(), 2);
        let (written, _) = exported(&at(file), &Recipe::default());
        assert_eq!(tensor_bytes(named(&written, "b.q")).unwrap().len(), 4);
    }
    std::fs::remove_file(at("m-00001-of-00002.safetensors")).unwrap();
    let refusal = open(&at("m.safetensors.index.json")).err().unwrap().to_string();
    assert!(
        refusal.contains("1 of 2 shards are not there: m-00001-of-00002.safetensors"),
        "{refusal}"
    );
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn safetensors_of_quantized_checkpoints() {
    let network = open(&fixture("quantized/checkpoints.safetensors")).unwrap();
    assert!(network.layers.iter().all(|layer| !layer.support.can_quantize()));
    assert!((0..network.layers.len()).all(|layer| network.real_weights(layer).is_ok()));
}

#[test]
fn pytorch_state_dicts() {
    assert!(names_in_six_bits("pytorch/state_dict.pth").contains(&"conv.weight.q".to_owned()));
}

/// Names of the tensors of a file of PyTorch once its layers have 6 bits.
fn names_in_six_bits(file: &str) -> Vec<String> {
    let network = open(&fixture(file)).unwrap();
    let recipe = Recipe {
        weight_bits: Bits::Grid(6),
        activation_bits: Bits::Float,
        ..Recipe::default()
    };
    let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let (tensors, _) = quantized_tensors(&network, &plan).unwrap();
    tensors.iter().map(|tensor| tensor.name().to_owned()).collect()
}

/// Their tensors: `tests/formats/pytorch.rs`.
#[test]
fn whole_modules_of_pytorch() {
    for name in ["module.pth", "module_legacy.pth", "wrapped.pth", "script.pt"] {
        let names = names_in_six_bits(&format!("pytorch/{name}"));
        assert!(names.iter().any(|name| name.ends_with("weight.q")), "{name}: {names:?}");
    }
}

/// What is in them: `tests/formats/own_exports.rs`.
#[test]
fn safetensors_of_exports() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fashion_resnet.safetensors");
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        activation_bits: Bits::Float,
        ..Recipe::default()
    };
    let (tensors, metadata) = exported(&demo, &recipe);
    let network = open(&saved(folder.path(), &tensors, &metadata)).unwrap();
    assert_eq!(network.layers.len(), open(&demo).unwrap().layers.len());
    assert!(network.layers.iter().all(|layer| !layer.support.can_quantize()));
    assert!((0..network.layers.len()).all(|layer| network.real_weights(layer).is_ok()));
}

/// An `.npy` of `bytes`, as numpy writes it.
fn npy(described: &str, fortran: bool, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let fortran = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{described}', 'fortran_order': {fortran}, 'shape': ({sizes}), }}\n");
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend((header.len() as u16).to_le_bytes());
    npy.extend(header.as_bytes());
    npy.extend(bytes);
    npy
}

fn npz(path: &Path, packed: bool, arrays: &[(String, Vec<u8>)]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let method = if packed {
        zip::CompressionMethod::Deflated
    } else {
        zip::CompressionMethod::Stored
    };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        std::io::Write::write_all(&mut archive, bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// The weights of the demo as `numpy.savez` and `numpy.savez_compressed` write them are the network that they are as safetensors.
#[test]
fn numpy_archives_of_weights() {
    let folder = tempfile::tempdir().unwrap();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fashion_resnet.safetensors");
    let expected = open(&original).unwrap();
    let constants = |network: &splitscope::network::Network| -> Vec<(String, Vec<i64>, Vec<f32>)> {
        let graph = network.model.graph.as_ref().unwrap();
        let values = |tensor: &TensorProto| numbers(tensor).unwrap().to_vec();
        let mut all: Vec<_> = (graph.initializer.iter())
            .map(|tensor| (tensor.name().to_owned(), tensor.dims.clone(), values(tensor)))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let file = |name: &str| folder.path().join(name);
    let plain = |tensor: &TensorProto| {
        let shape: Vec<usize> = tensor.dims.iter().map(|size| *size as usize).collect();
        let described = match tensor.data_type() {
            data_type::INT64 => "<i8",
            _ => "<f4",
        };
        npy(described, false, &shape, &tensor_bytes(tensor).unwrap())
    };
    let source = splitscope::format::safetensors::read(std::fs::read(&original).unwrap().into(), "a").unwrap();
    let tensors = source.graph.unwrap().initializer;
    let mut arrays: Vec<(String, Vec<u8>)> = tensors
        .iter()
        .map(|tensor| (tensor.name().to_owned(), plain(tensor)))
        .collect();
    npz(&file("plain.npz"), false, &arrays);
    // The same numbers with the highest byte first, and the head with its first axis running fastest.
    let first = tensors
        .iter()
        .position(|tensor| tensor.name() == "conv1.weight")
        .unwrap();
    let shape: Vec<usize> = tensors[first].dims.iter().map(|size| *size as usize).collect();
    let reversed: Vec<u8> = (numbers(&tensors[first]).unwrap().iter())
        .flat_map(|x| x.to_be_bytes())
        .collect();
    arrays[first].1 = npy(">f4", false, &shape, &reversed);
    let head = tensors.iter().position(|tensor| tensor.name() == "fc.weight").unwrap();
    let [rows, columns] = [0, 1].map(|axis| tensors[head].dims[axis] as usize);
    let values = numbers(&tensors[head]).unwrap();
    let by_columns: Vec<u8> = (0..rows * columns)
        .flat_map(|at| values[at % rows * columns + at / rows].to_le_bytes())
        .collect();
    arrays[head].1 = npy("<f4", true, &[rows, columns], &by_columns);
    arrays.push(("epoch_name".to_owned(), npy("<U5", false, &[], &[0; 20])));
    npz(&file("packed.npz"), true, &arrays);
    for name in ["plain.npz", "packed.npz"] {
        let network = open(&file(name)).unwrap();
        assert_eq!(network.architecture, expected.architecture, "{name}");
        assert_eq!(network.why_not_runnable, None, "{name}");
        assert_eq!(constants(&network), constants(&expected), "{name}");
        let left_out = network
            .notes
            .iter()
            .any(|note| note.contains("'epoch_name' is left out") && note.contains("<U5"));
        assert_eq!(left_out, name == "packed.npz", "{name}: {:?}", network.notes);
    }
    // Split and quantized it is the export of the same weights.
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    let tensors = |path: &Path| exported(path, &recipe).0;
    assert!(tensors(&file("packed.npz")) == tensors(&original));
    // Names of no architecture: to look at and to quantize; what is broken is refused by what is wrong.
    let numbers: Vec<u8> = (0..64).flat_map(|x| (x as f32).to_le_bytes()).collect();
    npz(
        &file("other.npz"),
        false,
        &[("arr_0".to_owned(), npy("<f4", false, &[8, 8], &numbers))],
    );
    let other = open(&file("other.npz")).unwrap();
    assert_eq!((other.layers.len(), other.layers[0].weight.as_str()), (1, "arr_0"));
    assert!(other.why_not_runnable.is_some());
    npz(
        &file("short.npz"),
        false,
        &[("w".to_owned(), npy("<f4", false, &[8, 9], &numbers))],
    );
    let error = open(&file("short.npz")).err().unwrap().to_string();
    assert!(
        error.contains("declares [8, 9] elements of 4 bytes, there are 256 bytes"),
        "{error}"
    );
    std::fs::write(file("a.tflite"), b"\x1c\0\0\0TFL3rest").unwrap();
    let error = open(&file("a.tflite")).err().unwrap().to_string();
    assert!(error.contains("TensorFlow Lite"), "{error}");
}
