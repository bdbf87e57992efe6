//! What is asked of the session directly: recipes, files good and bad, data, sweeps, exports, snapshots.

use super::random::Random;
use splitscope::inference::DataOptions;
use splitscope::inference::sweep::SweepGrid;
use splitscope::quantization::{
    Bits, Clip, Granularity, LayerRecipe, Preset, Recipe, Rounding, SplitExport, SplitKind,
};
use splitscope::session::{Action, ExportKind, Session, Side, Watched};
use std::path::{Path, PathBuf};

/// Files to open, and a folder to write to.
pub(crate) struct Files {
    folder: PathBuf,
    models: Vec<PathBuf>,
    data: Vec<String>,
    recipes: Vec<PathBuf>,
}

impl Files {
    pub(crate) fn write(folder: &Path) -> Self {
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let fashion = include_bytes!("../../../assets/fashion_resnet.onnx");
        let models = vec![
            PathBuf::from("demo:fashion"),
            PathBuf::from("demo:fashion"),
            PathBuf::from("demo:fashion"),
            PathBuf::from("demo:shakespeare"),
            file("whole.onnx", fashion),
            file("cut.onnx", &fashion[..fashion.len() / 2]),
            file("empty.onnx", b""),
            file("noise.safetensors", &[7; 300]),
            file("weights.safetensors", &safetensors()),
            PathBuf::from("/no/such/model.onnx"),
        ];
        let recipes = vec![
            file("good.toml", b"weight_bits = 5\nexpand_ratio = 0.02\n"),
            file("bad.toml", b"weight_bits = 99\n"),
            file("stranger.toml", b"[layers.nowhere]\nfloat = true\n"),
            file("no.toml", &[0xff, 0xfe]),
        ];
        let images = file(
            "images-idx3-ubyte.gz",
            include_bytes!("../../../assets/fashion_test_1000.images-idx3-ubyte.gz"),
        );
        let data = vec![
            "demo:fashion".to_owned(),
            "demo:shakespeare".to_owned(),
            images.display().to_string(),
            folder.display().to_string(),
            "/no/such/data".to_owned(),
        ];
        Self {
            folder: folder.to_owned(),
            models,
            data,
            recipes,
        }
    }
}

/// Two matrices without a graph.
fn safetensors() -> Vec<u8> {
    let header = r#"{"a.weight":{"dtype":"F32","shape":[8,16],"data_offsets":[0,512]},"b.weight":{"dtype":"F32","shape":[4,8],"data_offsets":[512,640]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..160).flat_map(|i| ((i * 37 % 23) as f32 - 11.0).to_le_bytes()));
    bytes
}

/// Something to ask of the session as it is.
pub(crate) fn action(random: &mut Random, session: &Session, files: &Files) -> Action {
    match random.below(40) {
        0 | 1 => Action::Open(random.of(&files.models)),
        2 => Action::OpenData {
            path: random.of(&files.data),
            options: DataOptions::default(),
        },
        3 => Action::UseNoise,
        4..12 => Action::EditRecipe {
            recipe: Box::new(recipe(random, session)),
            gesture: random.below(2) == 0,
        },
        12 => Action::EndGesture,
        13 => Action::ApplyPreset(random.of(&Preset::ALL)),
        14 | 15 => Action::Undo,
        16 => Action::Redo,
        17 => Action::LoadRecipe(random.of(&files.recipes)),
        18..21 => Action::SelectLayer(random.below(30)),
        21 => {
            let low = random.share() * 2.0 - 1.0;
            let ranges = [
                None,
                Some((low, low + random.share())),
                Some((low, low)),
                Some((0.0, 1e-30)),
            ];
            Action::ShowRange(random.of(&ranges))
        }
        22 => Action::ShowActivations,
        23 => Action::Watch(Watched {
            error_curves: random.below(2) == 0,
            continuation: random.below(3) == 0,
            input_channels: random.below(2) == 0,
            trace: random.below(3) == 0,
            comparison: (random.below(2) == 0).then(|| [Side::Present, Side::Snapshot(snapshot(random, session))]),
            cure: random.below(3) == 0,
            graph: random.below(2) == 0,
            cards: (0..random.below(30)).collect(),
        }),
        24 => match random.below(2) {
            0 => Action::MeasureSensitivity,
            _ => Action::FindMassive,
        },
        25 => Action::CheckSplit,
        26 => Action::MeasureOracle,
        27 | 28 => Action::StartSweep(SweepGrid {
            weight_bits: vec![bits(random), bits(random)],
            expand_ratios: vec![0.0, random.share() * 0.1],
            clips: vec![clip(random)],
            activation_bits: if random.below(3) == 0 {
                vec![bits(random)]
            } else {
                vec![]
            },
            ..SweepGrid::default()
        }),
        29 => Action::SaveSweep(files.folder.join("sweep.csv")),
        30 => Action::TakeSnapshot(random.of(&["", "a", "the one"]).to_owned()),
        31 => match random.below(3) {
            0 => Action::RenameSnapshot {
                id: snapshot(random, session),
                name: "renamed".to_owned(),
            },
            1 => Action::RestoreSnapshot(snapshot(random, session)),
            _ => Action::RemoveSnapshot(snapshot(random, session)),
        },
        32 => Action::CalibrateOnData(random.below(2) == 0),
        33 => Action::SetSigma(random.of(&[3.0, 4.0, 0.0, -1.0, 1e9, f64::NAN])),
        34 => Action::SetSampleLimit(random.of(&[0, 1, 10, 40])),
        35 => {
            let kind = random.of(&ExportKind::ALL);
            let name = random.of(&["out", "no/such/folder/out", "out"]);
            Action::Export {
                kind,
                path: files.folder.join(format!("{name}.{}", kind.extension())),
            }
        }
        36 | 37 => match session.running().first() {
            Some(job) => Action::Cancel(job.id),
            None => Action::Retry,
        },
        38 => match random.below(4) {
            0 => Action::SavePreset(random.of(&["mine", "a/b", ""]).to_owned()),
            1 => Action::ApplyUserPreset("mine".to_owned()),
            2 => Action::DeletePreset("mine".to_owned()),
            _ => Action::ListPresets,
        },
        _ => random.of(&[Action::Retry, Action::ClearMessages, Action::ClearRecent]),
    }
}

fn snapshot(random: &mut Random, session: &Session) -> u64 {
    let ids: Vec<u64> = session
        .open()
        .map(|open| open.snapshots().all().iter().map(|snapshot| snapshot.id).collect())
        .unwrap_or_default();
    if ids.is_empty() { 7 } else { random.of(&ids) }
}

fn bits(random: &mut Random) -> Bits {
    match random.below(9) {
        0 => Bits::Float,
        bits => Bits::Grid(bits.clamp(2, 8) as u8),
    }
}

fn clip(random: &mut Random) -> Clip {
    match random.below(9) {
        at @ 0..7 => Clip::CHOICES[at],
        7 => Clip::Manual(random.share() as f32 + 1e-6),
        _ => Clip::Percentile(99.0),
    }
}

/// A recipe; some are out of range, or name layers that are not there.
fn recipe(random: &mut Random, session: &Session) -> Recipe {
    let ratio = random.of(&[0.0, 0.02, 0.05, 0.2, 1.0, -0.5, f64::NAN]);
    let split = random.of(&[SplitKind::Qa, SplitKind::Naive]);
    let mut recipe = Recipe {
        weight_bits: bits(random),
        expand_ratio: ratio,
        split,
        clip: clip(random),
        activation_bits: if random.below(3) == 0 {
            bits(random)
        } else {
            Bits::Float
        },
        activation_clip: clip(random),
        activation_expand_ratio: random.of(&[0.0, 0.0, 0.05]),
        activation_split: split,
        unsigned_activations: random.below(2) == 0,
        scales: random.of(&Granularity::CHOICES),
        rounding: random.of(&[Rounding::Nearest, Rounding::Squant]),
        fold_batch_norm: random.below(2) == 0,
        cross_layer_equalization: random.below(6) == 0,
        bias_correction: random.below(6) == 0,
        split_export: random.of(&[SplitExport::Gather, SplitExport::Widen]),
        float_first_layer: random.below(2) == 0,
        float_last_layer: random.below(2) == 0,
        ..Recipe::default()
    };
    let names = session.open().map(|open| {
        let layers = &open.original.network.layers;
        layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>()
    });
    let names = names
        .filter(|names| !names.is_empty())
        .unwrap_or_else(|| vec!["nowhere".to_owned()]);
    for _ in 0..random.below(3) {
        let layer = LayerRecipe {
            float: (random.below(3) == 0).then(|| random.below(2) == 0),
            weight_bits: (random.below(2) == 0).then(|| bits(random)),
            expand_ratio: (random.below(2) == 0).then(|| random.share()),
            clip: (random.below(2) == 0).then(|| clip(random)),
            ..LayerRecipe::default()
        };
        recipe.layers.insert(random.of(&names), layer);
    }
    recipe
}
