//! Files that are larger than memory.

use splitscope::jobs::Waker;
use splitscope::session::{Action, Kind, Saved, Session};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shards, and tensors of each: 4 x 23 matrices of 4096 x 11008 BF16 elements are 8.3 GB.
const SHARDS: usize = 4;
const TENSORS: usize = 23;
const SHAPE: [usize; 2] = [4096, 11008];
const TENSOR_BYTES: usize = SHAPE[0] * SHAPE[1] * 2;

/// Writes the shards and their index; returns the index.
fn write_set(folder: &Path) -> PathBuf {
    // Pseudo-random halves of weights around 0.02, the same block again and again.
    let mut state = 1_u32;
    let block: Vec<u8> = (0..1 << 21)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            half::bf16::from_f32((state >> 8) as f32 / (1 << 24) as f32 * 0.08 - 0.04).to_le_bytes()
        })
        .collect();
    let mut map = serde_json::Map::new();
    for shard in 0..SHARDS {
        let name = format!("model-{:05}-of-{SHARDS:05}.safetensors", shard + 1);
        let mut header = serde_json::Map::new();
        for tensor in 0..TENSORS {
            let key = format!("layers.{}.weight", shard * TENSORS + tensor);
            let offsets = [tensor * TENSOR_BYTES, (tensor + 1) * TENSOR_BYTES];
            let entry = serde_json::json!({ "dtype": "BF16", "shape": SHAPE, "data_offsets": offsets });
            header.insert(key.clone(), entry);
            map.insert(key, name.clone().into());
        }
        let mut header = serde_json::Value::Object(header).to_string();
        header.extend(std::iter::repeat_n(
            ' ',
            header.len().next_multiple_of(8) - header.len(),
        ));
        let mut file = BufWriter::with_capacity(1 << 22, File::create(folder.join(&name)).unwrap());
        file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
        file.write_all(header.as_bytes()).unwrap();
        let mut left = TENSORS * TENSOR_BYTES;
        while left > 0 {
            let part = left.min(block.len());
            file.write_all(&block[..part]).unwrap();
            left -= part;
        }
        file.flush().unwrap();
    }
    let index = folder.join("model.safetensors.index.json");
    std::fs::write(
        &index,
        serde_json::json!({ "metadata": {}, "weight_map": map }).to_string(),
    )
    .unwrap();
    index
}

/// A number of a file of /proc, such as kilobytes of anonymous memory.
fn proc_number(file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn anonymous_bytes() -> u64 {
    proc_number("/proc/self/status", "RssAnon:") * 1024
}

#[test]
#[ignore = "writes 8 GB to the temporary folder"]
fn safetensors_of_eight_gigabytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = write_set(folder.path());
    let bytes = (SHARDS * TENSORS * TENSOR_BYTES) as u64;
    let (peak, running) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let watch = std::thread::spawn({
        let (peak, running) = (Arc::clone(&peak), Arc::clone(&running));
        move || {
            while running.load(Ordering::Relaxed) {
                peak.fetch_max(anonymous_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    });
    let read_before = proc_number("/proc/self/io", "read_bytes:");
    let started = Instant::now();
    let mut session = Session::new(Waker::none(), Saved::default());
    session.act(Action::Open(path));
    while session.open().is_none() {
        session.poll();
        std::thread::sleep(Duration::from_millis(1));
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", session.messages());
    }
    let listed = started.elapsed();
    let count = session.open().unwrap().original.layers.len();
    assert_eq!(count, SHARDS * TENSORS);

    // What a person selects is measured next, long before its turn.
    session.act(Action::SelectLayer(80));
    let known = |session: &Session, index: usize| session.open().unwrap().shown().layers[index].readable().is_some();
    let selecting = Instant::now();
    while !known(&session, 80) {
        session.poll();
        std::thread::sleep(Duration::from_millis(1));
        assert!(
            selecting.elapsed() < Duration::from_secs(60),
            "{:?}",
            session.messages()
        );
    }
    let selected = selecting.elapsed();
    assert!((0..count).filter(|index| known(&session, *index)).count() < count / 2);
    let job = session.job(Kind::Measure).unwrap();
    assert!(job.fraction.is_some());

    assert!(session.wait_until_idle(Duration::from_secs(600)));
    let all = started.elapsed();
    running.store(false, Ordering::Relaxed);
    watch.join().unwrap();
    let open = session.open().unwrap();
    assert!(open.shown().is_complete() && open.view().is_some());
    let read = proc_number("/proc/self/io", "read_bytes:") - read_before;
    let peak = peak.load(Ordering::Relaxed);
    println!(
        "{bytes} bytes: listed in {listed:?}, selected layer in {selected:?}, all in {all:?}; anonymous memory {} MB at \
         most; {read} bytes read from disk",
        peak >> 20
    );
    assert!(listed < Duration::from_secs(1), "{listed:?}");
    assert!(read <= bytes + bytes / 10, "{read} bytes read from disk");
    let largest = 2 * TENSOR_BYTES as u64;
    assert!(peak < (300 << 20) + largest, "{} MB of anonymous memory", peak >> 20);
}
