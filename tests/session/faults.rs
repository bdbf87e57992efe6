//! What goes wrong around the program: full disks, kills, files replaced, networks and data that are partly broken.

#![cfg(unix)]

use splitscope::inference::{DataOptions, Dataset, Engine, Rten};
use splitscope::jobs::Waker;
use splitscope::network::{Format, Network};
use splitscope::onnx::{encode, read_bytes};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Outcome, Recipe, plan, rewrite};
use splitscope::session::{Action, ExportKind, Level, Memory, RunState, Saved, Session};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const FASHION: &[u8] = include_bytes!("../../assets/fashion_resnet.onnx");
const LIMIT: Duration = Duration::from_secs(120);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn program(words: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_splitscope"));
    program.args(words).env_remove("RUST_LOG").stdin(Stdio::null());
    program
}

/// The one line of a run that must fail with status 1.
fn fault(output: Output) -> String {
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{:?} {text}", output.status);
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn errors(session: &Session) -> Vec<&str> {
    let errors = session
        .messages()
        .iter()
        .filter(|message| message.level == Level::Error);
    errors.map(|message| message.text.as_str()).collect()
}

#[test]
fn a_disk_that_fills_up_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["out.onnx", "out.safetensors"] {
        let out = folder.path().join(name);
        fs::write(&out, "old").unwrap();
        // Files of 100 KiB at most: the system refuses what goes beyond, as a full disk does.
        let output = Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_splitscope"),
            ])
            .args([
                "quantize",
                "demo:fashion",
                "--weight-bits",
                "4",
                "--activation-bits",
                "float",
                "-o",
                text(&out),
            ])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output();
        let line = fault(output.unwrap());
        assert!(line.contains(name) && line.contains("too large"), "{line}");
        assert_eq!(fs::read(&out).unwrap(), b"old");
    }
    assert_eq!(names_in(folder.path()), ["out.onnx", "out.safetensors"]);
}

#[test]
fn a_folder_that_may_not_be_written_to_is_told() {
    // Not even the superuser can put a file there.
    let out = "/sys/kernel/out.onnx";
    let words = [
        "quantize",
        "demo:fashion",
        "--weight-bits",
        "4",
        "--activation-bits",
        "float",
        "-o",
        out,
    ];
    let line = fault(program(&words).output().unwrap());
    assert!(line.contains(out), "{line}");
    let mut session = Session::new(Waker::none(), Saved::default());
    session.act(Action::SetSampleLimit(20));
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    assert!(session.wait_until_idle(LIMIT));
    for kind in [ExportKind::Onnx, ExportKind::Safetensors, ExportKind::Recipe] {
        session.act(Action::Export {
            kind,
            path: PathBuf::from(out),
        });
        assert!(session.wait_until_idle(LIMIT));
        assert!(errors(&session).last().unwrap().contains(out), "{:?}", errors(&session));
    }
}

/// Ends a program as a power cut does.
fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_kill_at_any_moment_of_an_export_leaves_the_old_file_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.onnx");
    let words = [
        "quantize",
        "demo:fashion",
        "--weight-bits",
        "4",
        "--activation-bits",
        "float",
        "-o",
        text(&out),
    ];
    let started = Instant::now();
    assert!(program(&words).output().unwrap().status.success());
    let whole = started.elapsed();
    let new = fs::read(&out).unwrap();
    let old = [FASHION, b""].concat();
    let mut ends = [0, 0];
    // In ever smaller steps towards the moment at which the new file takes the place of the old one, wherever that is today:
    // earlier if the new one was there, later if it was not. A kill at once finds the old one, so both ends cannot be missed.
    let (mut after, mut stride) = (whole / 2, whole / 4);
    for step in 0..24_u32 {
        fs::write(&out, &old).unwrap();
        let child = program(&words)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(after);
        kill(child);
        let there = fs::read(&out).unwrap();
        assert!(there == old || there == new, "step {step}: {} bytes", there.len());
        let replaced = there == new;
        ends[usize::from(replaced)] += 1;
        after = if replaced {
            after.saturating_sub(stride)
        } else {
            after + stride
        };
        stride = (stride * 3 / 4).max(Duration::from_millis(2));
    }
    assert!(ends[0] > 0, "every kill came too late to prove anything: {ends:?}");
}

/// The folder in which a child of these tests saves without end.
const CHILD: &str = "SPLITSCOPE_TEST_SAVES_IN";

#[test]
#[ignore = "the child of the tests below, which kill it"]
fn a_child_that_saves_without_end() {
    let folder = PathBuf::from(std::env::var(CHILD).unwrap());
    let mut memory = Memory::of_session(folder.join("session.json"));
    let own = format!("/{}.onnx", std::process::id());
    for turn in 0_u32.. {
        let mut saved = Saved::default();
        saved.remember(Path::new(&own));
        saved.sample_limit = turn as usize + 1;
        memory.save(&saved);
        memory.wait();
        let recipe = Recipe {
            expand_ratio: f64::from(turn % 100) / 100.0,
            ..Recipe::default()
        };
        recipe.save(&folder.join("recipe.toml")).unwrap();
    }
}

fn saving_child(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::a_child_that_saves_without_end", "--ignored"])
        .env(CHILD, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until a child has saved for the first time.
fn wait_for(path: &Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(started.elapsed() < LIMIT, "the child does not save");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn assert_whole(folder: &Path) -> Saved {
    Recipe::load(&folder.join("recipe.toml")).unwrap();
    Memory::of_session(folder.join("session.json")).load().unwrap()
}

#[test]
fn a_kill_at_any_moment_of_a_save_leaves_a_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    for step in 0..12 {
        let child = saving_child(folder.path());
        wait_for(&folder.path().join("recipe.toml"));
        std::thread::sleep(Duration::from_micros(20_000 + step * 1_700));
        kill(child);
        assert_whole(folder.path());
    }
}

#[test]
fn two_windows_that_save_the_same_session_leave_a_whole_file_with_what_both_opened() {
    let folder = tempfile::tempdir().unwrap();
    let children = [saving_child(folder.path()), saving_child(folder.path())];
    wait_for(&folder.path().join("recipe.toml"));
    let own = children
        .each_ref()
        .map(|child| PathBuf::from(format!("/{}.onnx", child.id())));
    let started = Instant::now();
    let both = || {
        let recent = assert_whole(folder.path()).recent;
        own.iter().all(|path| recent.contains(path))
    };
    // At every moment in between the file is whole; before long it knows of both.
    while !both() {
        assert!(started.elapsed() < LIMIT, "one of the two is lost");
    }
    for _ in 0..200 {
        assert_whole(folder.path());
    }
    children.into_iter().for_each(kill);
    assert_whole(folder.path());
}

/// The demo with one weight of a layer replaced.
fn demo_with(weight: f32, layer: &str) -> Network {
    let mut model = read_bytes(FASHION.into(), None).unwrap();
    let network = Network::new("n", None, Format::Onnx, model.clone()).unwrap();
    let name = &network.layers[network.layer_index(layer).unwrap()].weight;
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    let tensor = tensors.iter_mut().find(|tensor| tensor.name() == name).unwrap();
    let mut bytes = tensor.raw_data.clone().unwrap().to_vec();
    bytes[..4].copy_from_slice(&weight.to_le_bytes());
    tensor.raw_data = Some(bytes.into());
    Network::new("n", None, Format::Onnx, model).unwrap()
}

#[test]
fn a_layer_with_weights_that_are_not_finite_is_marked_and_the_rest_goes_on() {
    for weight in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let network = demo_with(weight, "layer1.0.conv1");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.onnx");
        fs::write(&path, encode(&network.model).unwrap()).unwrap();
        let mut session = Session::new(Waker::none(), Saved::default());
        session.act(Action::Open(path));
        assert!(session.wait_until_idle(LIMIT));
        let told = session
            .messages()
            .iter()
            .any(|message| message.level == Level::Warning && message.text.contains("Layer 'layer1.0.conv1' holds"));
        assert!(told, "{:?}", session.messages());
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            activation_bits: Bits::Float,
            float_first_layer: false,
            expand_ratio: 0.05,
            ..Recipe::default()
        };
        let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
        let mut broken = 0;
        for layer in &plan.layers {
            match &layer.outcome {
                Outcome::Float(why) if layer.name == "layer1.0.conv1" => {
                    assert!(why.contains("1 weights are NaN or infinite"), "{why}");
                    broken += 1;
                }
                Outcome::Float(why) => assert!(why.contains("by the recipe"), "{}: {why}", layer.name),
                Outcome::Expanded(_) | Outcome::Quantized(_) => {}
            }
        }
        assert_eq!(broken, 1);
        let bytes = encode(&rewrite(&network, &plan).unwrap()).unwrap();
        Rten::load(bytes).unwrap();
    }
}

#[test]
fn a_model_file_overwritten_while_it_is_open_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, FASHION).unwrap();
    let mut session = Session::new(Waker::none(), Saved::default());
    session.act(Action::SetSampleLimit(50));
    session.act(Action::Open(path.clone()));
    session.act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions::default(),
    });
    assert!(session.wait_until_idle(LIMIT));
    // In place, not by renaming: what a script does that exports anew.
    fs::write(&path, "no network at all").unwrap();
    let mut recipe = session.open().unwrap().recipe().clone();
    recipe.weight_bits = Bits::Grid(4);
    recipe.activation_bits = Bits::Float;
    session.act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session), [""; 0]);
    assert_eq!(session.open().unwrap().run_state(session.limit()), RunState::Done);
    // And it can be written over with what came of the old contents.
    session.act(Action::Export {
        kind: ExportKind::Onnx,
        path: path.clone(),
    });
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session), [""; 0]);
    assert!(splitscope::format::open(&path).unwrap().layers.len() > 20);
}

#[test]
fn unreadable_images_are_left_out_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for class in ["0", "1"] {
        fs::create_dir(at(class)).unwrap();
        for i in 0..3 {
            image::GrayImage::new(28, 28)
                .save(at(&format!("{class}/{i}.png")))
                .unwrap();
        }
    }
    let good = fs::read(at("0/0.png")).unwrap();
    fs::write(at("0/cut.png"), &good[..good.len() / 2]).unwrap();
    fs::write(at("1/empty.jpg"), "").unwrap();
    fs::write(at("1/words.webp"), "no picture").unwrap();
    std::os::unix::fs::symlink("nowhere", at("1/dangling.png")).unwrap();
    let words = [
        "evaluate",
        "demo:fashion",
        "--data",
        text(folder.path()),
        "--weight-bits",
        "4",
    ];
    let words = [&words[..], &["--activation-bits", "float", "--json"]].concat();
    let output = program(&words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["samples"], 6);
    let ports = Rten::load(FASHION.to_vec()).unwrap();
    let data = Dataset::open(text(folder.path()), &DataOptions::default(), ports.inputs()).unwrap();
    let [note] = data.notes() else {
        panic!("{:?}", data.notes())
    };
    for part in ["3 unreadable image(s) left out", "cut.png", "empty.jpg", "words.webp"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!((data.len(), data.label(2), data.label(3)), (6, Some(0), Some(1)));
}
