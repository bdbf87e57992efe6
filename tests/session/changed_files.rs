//! Model files that are cut off or changed while they are open: a read error, never the end of the program. A file that has
//! changed spoils every export of the same process, so each test has one of its own.

#![cfg(unix)]

use crate::common::alone::ran_alone;
use splitscope::files::COPIED_AT_MOST;
use splitscope::format::{open, safetensors};
use splitscope::jobs::Waker;
use splitscope::session::{Action, Level, Saved, Session};
use splitscope::statistics::streamed_statistics;
use std::fs::{File, FileTimes};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Bytes of the small layer, which comes first.
const SMALL: u64 = 64 * 64 * 4;

/// A file that is mapped because it is too large to be copied; it has holes, so that it takes no room on the disk.
fn large(folder: &Path) -> PathBuf {
    let path = folder.join("large.safetensors");
    let rows = (COPIED_AT_MOST + (16 << 20)) / 4096;
    let end = SMALL + rows * 4096;
    let header = format!(
        r#"{{"a":{{"dtype":"F32","shape":[64,64],"data_offsets":[0,{SMALL}]}},"b":{{"dtype":"F32","shape":[{rows},1024],"data_offsets":[{SMALL},{end}]}}}}"#
    );
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    for weight in 0..SMALL / 4 {
        file.write_all(&(weight as f32).to_le_bytes()).unwrap();
    }
    file.set_len(8 + header.len() as u64 + end).unwrap();
    path
}

fn cut(path: &Path, length: u64) {
    File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_file_cut_off_while_it_is_mapped_is_a_read_error() {
    if ran_alone("changed_files::a_file_cut_off_while_it_is_mapped_is_a_read_error") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = large(folder.path());
    let network = open(&path).unwrap();
    let small = network.weights(0).unwrap();
    assert_eq!(small[4095], 4095.0);
    let large = network.weight_elements(1).unwrap();
    cut(&path, 4096);
    // Who holds the weights already can go on reading, on any thread, and finds zeros; that it is no result is asked afterwards.
    assert_eq!(small[4095], 0.0);
    assert_eq!(streamed_statistics(&large, &network.layers[1].layout).max_abs, 0.0);
    for fault in [
        network.weights(0).err(),
        network.weights(1).err(),
        network.check_files().err(),
    ] {
        let fault = fault.unwrap().to_string();
        assert!(
            fault.contains("large.safetensors was changed or cut off while it was open"),
            "{fault}"
        );
    }
    assert!(splitscope::files::check_all().is_err());
    drop((small, large, network));
    splitscope::files::check_all().unwrap();
    // What is left of it is told when it is opened.
    let fault = open(&path).err().unwrap().to_string();
    assert!(fault.contains("cut off"), "{fault}");
}

#[test]
fn a_file_written_to_while_it_is_mapped_is_a_read_error() {
    if ran_alone("changed_files::a_file_written_to_while_it_is_mapped_is_a_read_error") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = large(folder.path());
    let network = open(&path).unwrap();
    network.weights(1).unwrap();
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::End(-4)).unwrap();
    file.write_all(&1.0_f32.to_le_bytes()).unwrap();
    // The clock of a file system goes in steps of some milliseconds: this is a later one.
    let later = FileTimes::new().set_modified(SystemTime::now() + Duration::from_secs(1));
    file.set_times(later).unwrap();
    let fault = network.weights(1).err().unwrap().to_string();
    assert!(fault.contains("layer 'b'") && fault.contains("was changed"), "{fault}");
}

#[test]
fn a_file_replaced_by_another_stays_open_as_it_was() {
    if ran_alone("changed_files::a_file_replaced_by_another_stays_open_as_it_was") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = large(folder.path());
    let network = open(&path).unwrap();
    splitscope::replacement::replace_file(&path, b"another").unwrap();
    assert_eq!(network.weights(0).unwrap()[4095], 4095.0);
    network.check_files().unwrap();
}

#[test]
fn an_export_from_a_file_that_was_cut_off_leaves_the_old_file() {
    if ran_alone("changed_files::an_export_from_a_file_that_was_cut_off_leaves_the_old_file") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = large(folder.path());
    let out = folder.path().join("out.safetensors");
    std::fs::write(&out, "old").unwrap();
    let network = open(&path).unwrap();
    // The small layer alone: what comes of it would be whole, though of zeros.
    let mut model = (*network.model).clone();
    model.graph.as_mut().unwrap().initializer.truncate(1);
    cut(&path, 4096);
    let fault = safetensors::write(&out, &model.graph.as_ref().unwrap().initializer, &[])
        .err()
        .unwrap()
        .to_string();
    assert!(fault.contains("large.safetensors was changed or cut off"), "{fault}");
    assert_eq!(std::fs::read(&out).unwrap(), b"old");
    let fault = splitscope::onnx::write_file(&model, &out).err().unwrap().to_string();
    assert!(fault.contains("large.safetensors was changed or cut off"), "{fault}");
    assert_eq!(std::fs::read(&out).unwrap(), b"old");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing is left behind"
    );
}

#[test]
fn a_session_whose_file_is_cut_off_says_so_and_goes_on() {
    if ran_alone("changed_files::a_session_whose_file_is_cut_off_says_so_and_goes_on") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = large(folder.path());
    let mut session = Session::new(Waker::none(), Saved::default());
    session.act(Action::Open(path.clone()));
    assert!(session.wait_until_idle(Duration::from_secs(120)));
    cut(&path, 4096);
    let other = usize::from(session.open().unwrap().selected() == 0);
    session.act(Action::SelectLayer(other));
    assert!(session.wait_until_idle(Duration::from_secs(120)));
    let told = |session: &Session, text: &str| {
        let mut errors = session
            .messages()
            .iter()
            .filter(|message| message.level == Level::Error);
        errors.any(|message| message.text.contains(text))
    };
    assert!(
        told(&session, "was changed or cut off while it was open"),
        "{:?}",
        session.messages()
    );
    session.act(Action::SetSampleLimit(20));
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    assert!(session.wait_until_idle(Duration::from_secs(120)));
    assert_eq!(session.open().unwrap().original.network.name, "demo:fashion");
}

#[test]
fn the_program_survives_a_cut_at_any_moment() {
    if ran_alone("changed_files::the_program_survives_a_cut_at_any_moment") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for delay in [0, 20, 60, 120, 250] {
        let path = large(folder.path());
        let program = Command::new(env!("CARGO_BIN_EXE_splitscope"))
            .args(["inspect".as_ref(), path.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        cut(&path, 4096);
        let output = program.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => assert_eq!(text, ""),
            Some(1) => assert!(text.contains("cut off") && text.lines().count() == 1, "{text}"),
            other => panic!("after {delay} ms: {other:?}, {:?}: {text}", output.status),
        }
    }
}
