//! Where files go, and dialogs that come late or not at all.

use super::*;

#[test]
fn it_is_said_where_a_new_file_goes_and_what_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| place_of(folder.path().join(name).to_str().unwrap());
    assert!(at("new.onnx").starts_with("In "));
    std::fs::write(folder.path().join("old.onnx"), b"x").unwrap();
    assert!(at("old.onnx").starts_with("Replaces the file"));
    assert!(at("none/new.onnx").starts_with("There is no folder"));
    assert!(at("").starts_with("This is a folder"));
    assert_eq!(place_of(""), "");
    let here = std::env::current_dir().unwrap();
    assert_eq!(place_of("relative.onnx"), format!("In {}.", here.display()));
}

/// What is asked for while the keyboard goes where `keyboard` says, after so many seconds of waiting for `answer`.
fn asked_after(keyboard: Keyboard, seconds: u64, answer: Option<Option<&str>>) -> (Dialogs, Outbox) {
    let (sender, receiver) = channel();
    if let Some(answer) = answer {
        sender.send(answer.map(PathBuf::from)).unwrap();
    }
    let waiting = Waiting {
        purpose: Purpose::Model,
        started: Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap(),
        answer: receiver,
        suggestion: String::new(),
        keyboard,
        late: false,
    };
    let (mut dialogs, mut out) = (Dialogs::new(true), Outbox::default());
    dialogs.take_answer(waiting, &mut out);
    // It outlives the look at it.
    drop(sender);
    (dialogs, out)
}

#[test]
fn a_dialog_that_never_took_the_keyboard_has_failed_however_long_that_took() {
    let (dialogs, _) = asked_after(Keyboard::Ours, 25, Some(None));
    assert_eq!(dialogs.prompt.unwrap().why, NO_DIALOG);
    let (dialogs, _) = asked_after(Keyboard::Ours.now(true).now(false).now(true), 25, Some(None));
    assert!(dialogs.prompt.is_none(), "a person has cancelled it");
    let (dialogs, _) = asked_after(Keyboard::Unknown.now(false), 25, Some(None));
    assert!(dialogs.prompt.is_none(), "nothing tells that it was not there");
    let (dialogs, _) = asked_after(Keyboard::Unknown, 0, Some(None));
    assert!(dialogs.prompt.is_some(), "nobody is that quick");
}

#[test]
fn while_a_dialog_does_not_come_the_path_can_be_typed() {
    let (dialogs, _) = asked_after(Keyboard::Ours, 1, None);
    assert!(dialogs.prompt.is_none() && dialogs.waiting.is_some());
    let (dialogs, _) = asked_after(Keyboard::Ours, 3, None);
    assert_eq!(dialogs.prompt.unwrap().why, LATE_DIALOG);
    let (dialogs, _) = asked_after(Keyboard::Taken, 300, None);
    assert!(dialogs.prompt.is_none(), "a person is looking for the file");
    let (dialogs, out) = asked_after(Keyboard::Ours, 3, Some(Some("/a.onnx")));
    assert!(dialogs.prompt.is_none() && matches!(&out.actions[..], [Action::Open(_)]));
}

#[test]
fn a_dropped_file_is_known_by_its_name() {
    let of = |name: &str| purpose_of(Path::new(name));
    assert_eq!(of("net.ONNX"), Purpose::Model);
    assert_eq!(of("net.safetensors"), Purpose::Model);
    assert_eq!(of("a/recipe.toml"), Purpose::Recipe);
    assert_eq!(of("boot.PNG"), Purpose::Picture);
    assert_eq!(of("images"), Purpose::Data);
    assert_eq!(of("t10k-images-idx3-ubyte.gz"), Purpose::Data);
}

#[test]
fn weights_that_are_called_as_data_are_a_model_all_the_same() {
    use ndarray::Array1;
    use ndarray_npy::NpzWriter;

    let folder = tempfile::tempdir().unwrap();
    let npz = |file: &str, arrays: &[&str]| {
        let path = folder.path().join(file);
        let mut writer = NpzWriter::new(std::fs::File::create(&path).unwrap());
        for name in arrays {
            writer.add_array(*name, &Array1::from(vec![1.0_f32, 2.0])).unwrap();
        }
        writer.finish().unwrap();
        path
    };
    assert_eq!(
        purpose_of(&npz("net.npz", &["conv1.weight", "conv1.bias"])),
        Purpose::Model
    );
    assert_eq!(purpose_of(&npz("keras.npz", &["dense/kernel:0"])), Purpose::Model);
    assert_eq!(purpose_of(&npz("test.npz", &["x_test", "y_test"])), Purpose::Data);
    assert_eq!(
        purpose_of(&npz("tokens.npz", &["input_ids", "attention_mask"])),
        Purpose::Data
    );
    // A checkpoint of PyTorch, and one of the data sets that end alike.
    let write = |file: &str, bytes: &[u8]| {
        let path = folder.path().join(file);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    assert_eq!(purpose_of(&write("pytorch_model.bin", legacy)), Purpose::Model);
    assert_eq!(purpose_of(&write("data_batch_1.bin", &[6; 3073])), Purpose::Data);
}
