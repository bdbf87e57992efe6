//! Every network at hand opens.

use super::{Format, LayerKind, Network};
use crate::onnx;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared");

/// Opens the network, reads the weights of each of its layers, and folds it. Layers that can be put on a grid must have
/// weights.
fn open(name: &str, bytes: Bytes) -> Network {
    let model = onnx::read_bytes(bytes, None).unwrap();
    let network = Network::new(name, None, Format::Onnx, model).unwrap();
    for (index, layer) in network.layers.iter().enumerate() {
        let weights = network.weights(index);
        assert!(
            weights.is_ok() || !layer.support.can_quantize(),
            "{name}: {layer:?}: {:?}",
            weights.err()
        );
    }
    let folded = super::fold_batch_norm(&network).unwrap();
    let names = |network: &Network| -> Vec<String> { network.layers.iter().map(|l| l.name.clone()).collect() };
    assert_eq!(names(&network), names(&folded), "{name}");
    network
}

#[test]
#[ignore = "needs ../shared"]
fn every_shared_model_opens() {
    for entry in std::fs::read_dir(Path::new(SHARED).join("models")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "onnx") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let network = open(&name, std::fs::read(&path).unwrap().into());
            println!("{name}: {} nodes, {} parameters", network.nodes(), network.parameters());
            for layer in &network.layers {
                println!("  {} {} {:?} {:?}", layer.name, layer.op, layer.shape, layer.support);
            }
            assert!(network.layers.len() >= 5, "{name}");
        }
    }
}

#[test]
#[ignore = "needs ../shared"]
fn every_model_of_the_backend_tests_opens() {
    let archive = Path::new(SHARED).join("data/onnx-1.17.0-backend-test-data.tar.gz");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(archive).unwrap())
        .read_to_end(&mut tar)
        .unwrap();
    let tar = Bytes::from(tar);
    let (mut models, mut position) = (0, 0);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    // A tar archive: headers of 512 bytes with the name first and the size in octal at 124, contents padded to 512.
    while tar.get(position).is_some_and(|&byte| byte != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &tar[position + range.start..position + range.end];
            String::from_utf8_lossy(field).trim_matches(['\0', ' ']).to_owned()
        };
        let (name, size) = (text(0..100), usize::from_str_radix(&text(124..136), 8).unwrap());
        let start = position + 512;
        if name.ends_with(".onnx") {
            models += 1;
            for layer in open(&name, tar.slice(start..start + size)).layers {
                let kind = match layer.kind {
                    LayerKind::Quantized => layer.op,
                    kind => format!("{kind:?}"),
                };
                *kinds.entry(kind).or_default() += 1;
            }
        }
        position = start + size.next_multiple_of(512);
    }
    println!("{models} models with layers of the kinds {kinds:?}");
    assert!(models > 1000, "{models}");
}
