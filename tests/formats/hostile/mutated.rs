//! Files of every kind that strangers make, with random faults in them: each is read or refused, and nothing panics.
//!
//! What fuzzing does with coverage, here without it, on every run and with no tool. At length:
//!
//! ```sh
//! SPLITSCOPE_MUTATIONS=100000 cargo test --test formats mutated -- --nocapture
//! ```

use super::data::picture_port;
use bytes::Bytes;
use splitscope::format::{gguf, pytorch, safetensors};
use splitscope::inference::sweep::{SweepCsv, SweepSetting, load_rows};
use splitscope::inference::{DataOptions, Dataset, Port};
use splitscope::onnx::build::float_tensor;
use splitscope::quantization::{Preset, Recipe};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// What numbers and texts are put in place of others.
const ODD: [&[u8]; 18] = [
    b"",
    b"\0",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"18446744073709551615",
    b"9223372036854775807",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\x80",
    b"\xff\xff\xff\x7f",
    b"\"",
    b"\n",
    b",",
    b"[",
    b"{\"a\":",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae\x1b[2J",
];

/// One to four faults: a byte or bit changed, a piece left out, doubled, put elsewhere or cut off, an odd number or text put in.
fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 if at < end => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 if at < end => {
                let piece = bytes[at..end].to_vec();
                let place = random.below(bytes.len());
                bytes.splice(place..place, piece);
            }
            5 => {
                let odd = ODD[random.below(ODD.len())];
                let end = (at + odd.len()).min(bytes.len());
                bytes.splice(at..end, odd.iter().copied());
            }
            6 => {
                let odd = ODD[random.below(ODD.len())];
                bytes.splice(at..at, odd.iter().copied());
            }
            _ if at < end => {
                let piece = bytes[at..end].to_vec();
                let place = random.below(bytes.len() - piece.len() + 1);
                bytes[place..place + piece.len()].copy_from_slice(&piece);
            }
            _ => {}
        }
    }
    bytes
}

/// Reads `count` mutations of each seed, and each seed as it is; `reads` says whether it was read or refused.
fn attack(what: &str, seeds: &[Vec<u8>], mut reads: impl FnMut(&[u8]) -> bool) {
    let count = std::env::var("SPLITSCOPE_MUTATIONS").map_or(60, |text| text.parse().unwrap());
    let mut random = Random(18);
    let (mut read, mut refused) = (0_u64, 0_u64);
    for seed in seeds {
        assert!(reads(seed), "{what}: the seed itself is refused");
        for number in 0..count {
            let bytes = mutated(seed, &mut random);
            match catch_unwind(AssertUnwindSafe(|| reads(&bytes))) {
                Ok(true) => read += 1,
                Ok(false) => refused += 1,
                Err(_) => {
                    let kept = std::env::temp_dir().join(format!("splitscope-{what}-{number}"));
                    fs::write(&kept, &bytes).unwrap();
                    panic!("{what}: mutation {number} panics, kept as {}", kept.display());
                }
            }
        }
    }
    println!("{what}: {read} read, {refused} refused");
    assert!(refused > 0, "{what}: the faults are none");
}

#[test]
fn mutated_checkpoints() {
    let seeds: [&[u8]; 3] = [
        include_bytes!("../../fixtures/pytorch/state_dict.pth"),
        include_bytes!("../../fixtures/pytorch/checkpoint.pth"),
        include_bytes!("../../fixtures/pytorch/legacy.pth"),
    ];
    attack("checkpoint", &seeds.map(<[u8]>::to_vec), |bytes| {
        let bytes = Bytes::copy_from_slice(bytes);
        pytorch::looks_like(&bytes);
        pytorch::read(&bytes, "mutated").is_ok()
    });
}

#[test]
fn mutated_gguf_and_safetensors() {
    let gguf: &[u8] = include_bytes!("../../fixtures/gguf/quants.gguf");
    attack("gguf", &[gguf.to_vec()], |bytes| {
        let bytes = Bytes::copy_from_slice(bytes);
        let _ = gguf::tokenizer_json(&bytes, "mutated");
        gguf::read(&bytes, "mutated")
            .and_then(|file| file.into_model("mutated"))
            .is_ok()
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    safetensors::write(&path, &[float_tensor("fc.weight", &[2, 3], &[0.5; 6])], &[]).unwrap();
    attack("safetensors", &[fs::read(&path).unwrap()], |bytes| {
        safetensors::read(Bytes::copy_from_slice(bytes), "mutated").is_ok()
    });
}

/// Whether a data set of arrays or a text opens with these files.
fn opens(bytes: &[u8], options: &DataOptions, ports: &[Port]) -> bool {
    let Ok(data) = Dataset::from_bytes("data", bytes.to_vec(), options, ports) else {
        return false;
    };
    !data.is_empty() && data.batch(0..1).is_ok()
}

/// A `.npy` of bytes in the shape of pictures.
fn pictures(samples: usize) -> Vec<u8> {
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({samples}, 2, 2), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(vec![7; samples * 4]);
    bytes
}

#[test]
fn mutated_arrays_and_labels() {
    attack("npy", &[pictures(5)], |bytes| {
        opens(bytes, &DataOptions::default(), &picture_port())
    });
    let folder = tempfile::tempdir().unwrap();
    let labels = folder.path().join("labels.csv");
    let options = DataOptions {
        labels: Some(labels.clone()),
        ..DataOptions::default()
    };
    let seeds = [
        "0\n1\n2\n1\n0\n",
        "label\n3\n1\n2\n0\n0\n",
        "\u{feff}1.0\n2.0\n0.0\n0.0\n1.0\n",
    ];
    attack("labels", &seeds.map(|seed| seed.as_bytes().to_vec()), |bytes| {
        fs::write(&labels, bytes).unwrap();
        opens(&pictures(5), &options, &picture_port())
    });
}

#[test]
fn mutated_tokenizers() {
    let pieces = r###""[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"b":4,"##a":5,"##b":6,"ab":7"###;
    let word_piece = format!(
        r###"{{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{{"type":"Whitespace"}},"post_processor":null,
        "decoder":null,"model":{{"type":"WordPiece","vocab":{{{pieces}}},"unk_token":"[UNK]","continuing_subword_prefix":"##",
        "max_input_chars_per_word":100}}}}"###
    );
    let pairs = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,
        "trim_offsets":true,"use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":false,
        "trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,
        "end_of_word_suffix":null,"fuse_unk":false,"vocab":{"a":0,"b":1,"ab":2,"Ġ":3},"merges":["a b"]}}"#;
    let unigram = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"post_processor":null,"decoder":null,
        "model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.0],["b",-1.5],["ab",-0.5],[" ",-2.0]]}}"#;
    let characters = r#"["a", "b", " "]"#;
    let folder = tempfile::tempdir().unwrap();
    let ports = [Port {
        name: "tokens".to_owned(),
        shape: Some(vec![None, None]),
        axis_names: vec![None; 2],
        kind: splitscope::data::ElementKind::Integer,
    }];
    for (name, seeds) in [
        (
            "tokenizer.json",
            vec![word_piece.into_bytes(), pairs.into(), unigram.into()],
        ),
        ("vocabulary.json", vec![characters.into()]),
    ] {
        let vocabulary = folder.path().join(name);
        let options = DataOptions {
            vocabulary: Some(vocabulary.clone()),
            window: Some(4),
            ..DataOptions::default()
        };
        attack(name, &seeds, |bytes| {
            fs::write(&vocabulary, bytes).unwrap();
            opens(b"ab ab ba ab a b ab ba ab ab", &options, &ports)
        });
    }
}

/// Rows of a sweep, as the program wrote them: read, and gone on with.
fn rows(folder: &Path) -> Vec<u8> {
    let path = folder.join("whole.csv");
    let words = [
        "sweep",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "4",
        "--weight-bits",
        "8,4",
        "--csv",
    ];
    let ran = Command::new(env!("CARGO_BIN_EXE_splitscope"))
        .args(words)
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ran.status.success());
    fs::read(path).unwrap()
}

#[test]
fn mutated_rows_and_recipes() {
    let folder = tempfile::tempdir().unwrap();
    let seed = rows(folder.path());
    let path = folder.path().join("rows.csv");
    let setting = SweepSetting {
        model: "demo:fashion".to_owned(),
        data: "other data".to_owned(),
        calibration: "none".to_owned(),
        samples: 4,
    };
    attack("rows", &[seed], |bytes| {
        fs::write(&path, bytes).unwrap();
        // Of another setting: refused, and then not a byte of it is changed.
        if SweepCsv::resume(&path, setting.clone()).is_err() {
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        load_rows(&path).is_ok_and(|rows| !rows.is_empty())
    });
    let recipe = Recipe::preset(Preset::Deploy).to_toml().unwrap();
    attack("recipe", &[recipe.into_bytes()], |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| Recipe::from_toml(text).is_ok())
    });
}
