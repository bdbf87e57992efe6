//! Names that tell layers apart.

use crate::network::layer::Layer;
use std::collections::{HashMap, HashSet};

/// Gives the second layer of a name the suffix `#2`, the third `#3`, and so on, passing over names that are in use.
/// Depends on the order of the layers only.
pub(super) fn make_unique(layers: &mut [Layer]) {
    let given: HashSet<String> = layers.iter().map(|layer| layer.name.clone()).collect();
    let mut used: HashSet<String> = HashSet::with_capacity(layers.len());
    let mut counts: HashMap<String, usize> = HashMap::new();
    for layer in layers {
        if used.insert(layer.name.clone()) {
            continue;
        }
        let count = counts.entry(layer.name.clone()).or_insert(1);
        let name = loop {
            *count += 1;
            let name = format!("{}#{count}", layer.name);
            if !given.contains(&name) && !used.contains(&name) {
                break name;
            }
        };
        used.insert(name.clone());
        layer.name = name;
    }
}
