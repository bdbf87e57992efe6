//! Writes the corpora that fuzzing starts from into `corpus/TARGET`: small files of every kind, made by the project itself.

use image::{DynamicImage, ImageFormat, RgbImage};
use splitscope::format::demo::test_labels;
use splitscope::format::safetensors;
use splitscope::onnx::build::{
    float_tensor, i64_tensor, int_attribute, ints_attribute, node, raw_tensor, tensor_attribute,
};
use splitscope::onnx::schema::{OperatorSetIdProto, data_type};
use splitscope::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};
use splitscope::quantization::{Bits, LayerRecipe, Preset, Recipe};
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("a folder for the corpus");
        fs::write(folder.join(name), bytes).expect("a file of the corpus");
    };
    for (name, model) in models() {
        put("onnx", name, &encode(&model).expect("a small model"));
    }
    for (name, bytes) in weights() {
        put("safetensors", name, &bytes);
        put("file", name, &[b"\0", &bytes[..]].concat());
    }
    for (name, bytes) in data() {
        if name == "npz" {
            put("file", name, &[b"\0", &bytes[..]].concat());
        }
    }
    for (number, index) in INDICES.iter().enumerate() {
        put("shard_index", &number.to_string(), index.as_bytes());
    }
    for (number, recipe) in recipes().iter().enumerate() {
        put(
            "recipe",
            &number.to_string(),
            recipe.to_toml().expect("a recipe").as_bytes(),
        );
    }
    for (name, bytes) in data() {
        for kind in 0..6 {
            put("data", &format!("{name}-{kind}"), &[&[kind], &bytes[..]].concat());
        }
    }
    for (target, name, bytes) in files() {
        put(target, name, bytes);
    }
    for (name, bytes) in pictures() {
        for choices in [[0; 6], [8, 4, 6, 0, 0, 0], [16, 0, 12, 9, 7, 2], [0, 12, 19, 5, 5, 1]] {
            let name = format!("{name}-{}", choices[0]);
            put("pictures", &name, &[&choices, &bytes[..]].concat());
        }
    }
}

/// Checkpoints of PyTorch, GGUF, tokenizers, labels, tables, settings and what lies beside a model: target, name, contents.
fn files() -> Vec<(&'static str, &'static str, &'static [u8])> {
    vec![
        ("pickle", "state_dict", include_bytes!("../../tests/fixtures/pytorch/state_dict.pth")),
        ("pickle", "checkpoint", include_bytes!("../../tests/fixtures/pytorch/checkpoint.pth")),
        ("pickle", "legacy", include_bytes!("../../tests/fixtures/pytorch/legacy.pth")),
        ("pickle", "hostile", include_bytes!("../../tests/fixtures/pytorch/hostile.pth")),
        ("gguf", "quants", include_bytes!("../../tests/fixtures/gguf/quants.gguf")),
        ("tokenizer", "characters", br#"["a", "b", " "]"#),
        ("tokenizer", "unigram", UNIGRAM),
        ("tokenizer", "pairs", PAIRS),
        ("labels", "numbers", b"0\n1\n2\n1\n0\n"),
        ("labels", "names", b"image,label\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\ne.png,cat\n"),
        ("labels", "floats", b"\xef\xbb\xbf1.0\n2.0\n0.0\n0.0\n1.0\n"),
        ("rows", "titles", ROWS),
        ("rows", "runs", RUNS),
        ("memory", "session", SESSION),
        ("memory", "window", WINDOW),
        ("file", "config", b"\x01{\"model_type\":\"bert\",\"hidden_size\":4,\"num_attention_heads\":2,\"architectures\":[\"BertModel\"],\"layer_norm_eps\":1e-12}"),
        ("file", "vit", b"\x01{\"model_type\":\"vit\",\"num_classes\":3,\"pretrained_cfg\":{\"mean\":[0.5,0.5,0.5],\"std\":[0.5,0.5,0.5],\"input_size\":[3,8,8]}}"),
        ("file", "preprocessor", b"\x02{\"do_resize\":true,\"size\":{\"shortest_edge\":9},\"crop_size\":8,\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5],\"rescale_factor\":0.00392,\"resample\":3}"),
    ]
}

/// A row, as `sweep` writes it.
const ROWS: &[u8] = br#"model,data,calibration,samples,weight_bits,activation_bits,expand_ratio,clip,top1,top5,nats_per_token,perplexity,agreement,sqnr_db,weights_overhead,activations_overhead,macs_overhead,size,file_bytes,scales,rounding,top1_low,top1_high,perplexity_low,perplexity_high,sqnr_db_low,sqnr_db_high,latency_ms,latency_p95_ms,latency_batch,latency_runs,latency_engine,front,recipe
m,d,none,4,8,float,0,none,1,1,,,1,40.05201672218941,1,1,1,0.2586190521417039,303474,tensor,nearest,0.5101091635454027,1,,,,,,,,,,no,"{""weight_bits"":8,""expand_ratio"":0.0,""clip"":""none"",""scales"":""tensor""}"
"#;

/// A run, as `auto` writes it.
const RUNS: &[u8] = br#"model,choose,judge,calibration,base,samples_of,layer,weight_bits,expand_ratio,clip,scales,rounding,bias_correction,samples,top1,top5,nats_per_token,perplexity,perplexity_low,perplexity_high,agreement,sqnr_db
m,d,d,none,"{""weight_bits"":4}",choose,conv1,4,0.05,none,channel,nearest,false,4,1,1,,,,,1,40.05
"#;

const SESSION: &[u8] = br#"{"recent":["a.onnx"],"sigma":4.0,"sample_limit":1000,"token_limit":50000,"threads":1,"last":null}"#;

const WINDOW: &[u8] = br#"{
    "egui": "(a:1e300)",
    "window": "(inner_position_pixels:Some((x:10.0,y:-8.0)),outer_position_pixels:None,fullscreen:false,maximized:false,inner_size_points:Some((x:1280.0,y:800.0)))",
}"#;

const UNIGRAM: &[u8] = br#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
"decoder":null,"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.0],["b",-1.5],["ab",-0.5],[" ",-2.0]]}}"#;

const PAIRS: &[u8] = br#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,
"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,
"vocab":{"a":0,"b":1,"ab":2," ":3},"merges":["a b"]}}"#;

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
            name: Some("g".to_owned()),
            input: vec![value("x")],
            output: vec![value("y")],
            node: nodes,
            initializer,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

fn tensor(name: &str, dims: &[usize]) -> TensorProto {
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|i: usize| (i * 7 % 11) as f32 - 5.0)
        .collect();
    float_tensor(name, dims, &values)
}

fn models() -> Vec<(&'static str, ModelProto)> {
    let norm = ["scale", "shift", "mean", "var"].map(|name| tensor(name, &[2]));
    let convolutions = model(
        vec![
            node(
                "Conv",
                "conv",
                ["x", "w", "b"],
                ["c"],
                vec![ints_attribute("pads", [1; 4])],
            ),
            node(
                "BatchNormalization",
                "bn",
                ["c", "scale", "shift", "mean", "var"],
                ["n"],
                vec![],
            ),
            node("Relu", "relu", ["n"], ["r"], vec![]),
            node("Conv", "grouped", ["r", "g"], ["d"], vec![int_attribute("group", 2)]),
            node("GlobalAveragePool", "pool", ["d"], ["p"], vec![]),
            node("Flatten", "flat", ["p"], ["f"], vec![]),
            node("Gemm", "gemm", ["f", "m"], ["y"], vec![int_attribute("transB", 1)]),
        ],
        [
            tensor("w", &[2, 1, 3, 3]),
            tensor("b", &[2]),
            tensor("g", &[2, 1, 1, 1]),
            tensor("m", &[3, 2]),
        ]
        .into_iter()
        .chain(norm)
        .collect(),
    );
    let folded = model(
        vec![
            node("Slice", "s", ["w", "zero", "two"], ["a"], vec![]),
            node("Concat", "c", ["a", "w"], ["b"], vec![int_attribute("axis", 0)]),
            node("Transpose", "t", ["b"], ["d"], vec![ints_attribute("perm", [1, 0])]),
            node("MatMul", "m", ["x", "d"], ["y"], vec![]),
        ],
        vec![
            tensor("w", &[3, 2]),
            i64_tensor("zero", &[1], &[0]),
            i64_tensor("two", &[1], &[2]),
        ],
    );
    let recurrent = model(
        vec![node(
            "LSTM",
            "lstm",
            ["x", "w", "r"],
            ["y"],
            vec![int_attribute("hidden_size", 2)],
        )],
        vec![tensor("w", &[1, 8, 3]), tensor("r", &[1, 8, 2])],
    );
    let body = |name: &str| AttributeProto {
        name: Some(name.to_owned()),
        g: Some(GraphProto {
            node: vec![node("MatMul", "inner", ["x", "w"], ["z"], vec![])],
            ..GraphProto::default()
        }),
        ..AttributeProto::default()
    };
    let branches = model(
        vec![
            node("If", "if", ["x"], ["u"], vec![body("then_branch"), body("else_branch")]),
            node(
                "Constant",
                "k",
                [""; 0],
                ["v"],
                vec![tensor_attribute("value", tensor("", &[2, 2]))],
            ),
            node("MatMul", "m", ["u", "v"], ["y"], vec![]),
        ],
        vec![raw_tensor("w", data_type::FLOAT16, &[2, 2], vec![0; 8])],
    );
    let quantized = model(
        vec![
            node("DequantizeLinear", "d", ["q", "s", "z"], ["w"], vec![]),
            node("Conv", "c", ["x", "w"], ["y"], vec![]),
        ],
        vec![
            raw_tensor("q", data_type::INT8, &[1, 1, 2, 2], vec![1, 2, 3, 4]),
            tensor("s", &[]),
            raw_tensor("z", data_type::INT8, &[], vec![0]),
        ],
    );
    vec![
        ("convolutions", convolutions),
        ("folded", folded),
        ("recurrent", recurrent),
        ("branches", branches),
        ("quantized", quantized),
    ]
}

fn weights() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("w.safetensors");
    let written = |tensors: &[TensorProto]| {
        let metadata = [("format".to_owned(), "pt".to_owned())];
        safetensors::write(&file, tensors, &metadata).expect("small weights");
        fs::read(&file).expect("what was written")
    };
    let names = ["features.0.weight", "features.0.bias", "fc.weight", "fc.bias"];
    let [conv, bias, fc, last] = names;
    let small = [
        tensor(conv, &[2, 1, 3, 3]),
        tensor(bias, &[2]),
        tensor(fc, &[2, 2]),
        tensor(last, &[2]),
    ];
    let types = [
        data_type::FLOAT16,
        data_type::BFLOAT16,
        data_type::DOUBLE,
        data_type::INT8,
        data_type::FLOAT8E4M3FN,
    ];
    let types: Vec<TensorProto> = (types.iter().zip([2, 2, 8, 1, 1]).enumerate())
        .map(|(i, (kind, width))| raw_tensor(format!("t{i}"), *kind, &[2, 2], vec![0x3c; 4 * width]))
        .collect();
    vec![
        ("network", written(&small)),
        ("types", written(&types)),
        ("empty", written(&[])),
    ]
}

const INDICES: [&str; 3] = [
    r#"{"metadata":{"total_size":64},"weight_map":{"x":"a.safetensors","y":"a.safetensors","z":"b.safetensors","w":"b.safetensors"}}"#,
    r#"{"weight_map":{"x":"b.safetensors"}}"#,
    r#"{"weight_map":{"x":"../a.safetensors"}}"#,
];

fn recipes() -> Vec<Recipe> {
    let mut own = Recipe {
        weight_bits: Bits::Grid(3),
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    own.layers.insert("conv1".to_owned(), LayerRecipe::default());
    vec![
        Recipe::default(),
        Recipe::preset(Preset::Paper),
        Recipe::preset(Preset::Deploy),
        own,
    ]
}

/// An `.npy` file.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn data() -> Vec<(&'static str, Vec<u8>)> {
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[9; 12]].concat();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in [
        ("x.npy", npy("<f4", "(2, 4)", &[0; 32])),
        ("y.npy", npy("|u1", "(2,)", &[0, 1])),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .expect("an entry");
        zip.write_all(&array).expect("an entry");
    }
    let zip = zip.finish().expect("an archive").into_inner();
    vec![
        ("idx", idx),
        ("gzip", test_labels().to_vec()),
        ("cifar", vec![3; 3073]),
        ("f4", npy("<f4", "(2, 4)", &[0; 32])),
        ("u1", npy("|u1", "(2, 2, 3)", &[7; 12])),
        ("i8", npy("<i8", "(3,)", &[1; 24])),
        ("npz", zip),
        ("text", b"to be or not to be".to_vec()),
    ]
}

fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let colours = RgbImage::from_fn(12, 8, |x, y| image::Rgb([(x * 20) as u8, (y * 30) as u8, 128]));
    let colours = DynamicImage::from(colours);
    let grey = DynamicImage::from(colours.to_luma8());
    let encoded = |picture: &DynamicImage, format| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).expect("a small picture");
        bytes.into_inner()
    };
    vec![
        ("colours.png", encoded(&colours, ImageFormat::Png)),
        ("grey.png", encoded(&grey, ImageFormat::Png)),
        ("colours.jpg", encoded(&colours, ImageFormat::Jpeg)),
        ("colours.webp", encoded(&colours, ImageFormat::WebP)),
    ]
}
