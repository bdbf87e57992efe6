//! The blocks that a network repeats, read off the names of its layers: `model.layers.3.self_attn.q_proj` is the part
//! `self_attn.q_proj` of the block `model.layers.3`.

use std::collections::HashMap;

/// What ends a part of a name.
const SEPARATORS: [char; 3] = ['.', '/', ':'];

/// The layers of a network by block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blocks {
    /// In the order of their first layers; each has two layers or more.
    pub blocks: Vec<Block>,
    /// What the layers are called within their blocks, in the order in which they first come.
    pub parts: Vec<String>,
    /// Positions of the layers that are in no block.
    pub outside: Vec<usize>,
}

/// Layers whose names begin alike, up to and with the first number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// `model.layers.3`.
    pub name: String,
    /// Position of the part in [`Blocks::parts`], and of the layer in the network.
    pub layers: Vec<(usize, usize)>,
}

impl Blocks {
    /// Of layers with those names, in the network's order.
    ///
    /// # Example
    ///
    /// ```
    /// use splitscope::network::Blocks;
    ///
    /// let names = ["stem", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2", "fc"];
    /// let found = Blocks::of(names);
    /// assert_eq!(found.blocks[1].name, "layer1.1");
    /// assert_eq!(found.parts, ["conv1", "conv2"]);
    /// assert_eq!(found.outside, [0, 5]);
    /// ```
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let places: Vec<Option<(&str, &str)>> = names.iter().map(|name| place(name)).collect();
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        for (block, _) in places.iter().flatten() {
            *sizes.entry(block).or_default() += 1;
        }
        let mut found = Self::default();
        let (mut blocks, mut parts) = (HashMap::new(), HashMap::new());
        for (layer, place) in places.into_iter().enumerate() {
            let Some((block, part)) = place.filter(|(block, _)| sizes[block] > 1) else {
                found.outside.push(layer);
                continue;
            };
            let block = *blocks.entry(block).or_insert_with(|| {
                found.blocks.push(Block {
                    name: block.to_owned(),
                    layers: Vec::new(),
                });
                found.blocks.len() - 1
            });
            let part = *parts.entry(part).or_insert_with(|| {
                found.parts.push(part.to_owned());
                found.parts.len() - 1
            });
            found.blocks[block].layers.push((part, layer));
        }
        found
    }

    /// Whether blocks tell more than a list of layers: there are two or more.
    pub fn are_some(&self) -> bool {
        self.blocks.len() > 1
    }
}

/// The block and the part that a name stands for: cut behind the first part that is a number, or else behind the first that
/// ends in an underscore and a number (`encoder/layer_3/attention`).
fn place(name: &str) -> Option<(&str, &str)> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_numbered = |part: &str| {
        part.rsplit_once('_')
            .is_some_and(|(word, number)| !word.is_empty() && is_number(number))
    };
    let cut = |is_end: &dyn Fn(&str) -> bool| {
        let mut start = 0;
        for (end, separator) in name.match_indices(SEPARATORS) {
            if is_end(&name[start..end]) {
                return Some((&name[..end], &name[end + separator.len()..]));
            }
            start = end + separator.len();
        }
        None
    };
    let (block, part) = cut(&is_number).or_else(|| cut(&is_numbered))?;
    (!part.is_empty()).then_some((block, part))
}

/// Bytes of the last dotted part that all names share (`.weight`), 0 if they don't.
pub fn common_end<'a>(names: impl Iterator<Item = &'a str> + Clone) -> usize {
    let mut all = names.clone();
    let Some(end) = all.next().and_then(|name| name.rfind('.').map(|dot| &name[dot..])) else {
        return 0;
    };
    let shared = names.count() > 1 && all.all(|name| name.len() > end.len() && name.ends_with(end));
    if shared { end.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind_are_cut_behind_their_first_number() {
        let cases = [
            (
                "model.layers.11.mlp.gate_proj",
                Some(("model.layers.11", "mlp.gate_proj")),
            ),
            (
                "/layers.0/self_attn/q_proj/MatMul",
                Some(("/layers.0", "self_attn/q_proj/MatMul")),
            ),
            (
                "bert/encoder/layer_3/attention",
                Some(("bert/encoder/layer_3", "attention")),
            ),
            ("features.3.conv.0.0", Some(("features.3", "conv.0.0"))),
            ("encoder.block.0.layer.1.wi", Some(("encoder.block.0", "layer.1.wi"))),
            ("layer1.0.conv1", Some(("layer1.0", "conv1"))),
            ("conv1", None),
            ("classifier.6", None),
            ("größe.7.é", Some(("größe.7", "é"))),
            ("..", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(place(name), expected, "{name}");
        }
    }

    #[test]
    fn a_block_of_one_layer_is_none() {
        let found = Blocks::of([
            "features.0.weight",
            "features.3.weight",
            "h.0.a",
            "h.0.b",
            "h.1.b",
            "h.1.c",
        ]);
        assert_eq!(found.outside, [0, 1]);
        assert_eq!(found.parts, ["a", "b", "c"]);
        assert!(found.are_some());
        let layers: Vec<&[(usize, usize)]> = found.blocks.iter().map(|block| block.layers.as_slice()).collect();
        assert_eq!(layers, [[(0, 2), (1, 3)], [(1, 4), (2, 5)]]);
    }

    #[test]
    fn what_all_names_end_with_is_left_out() {
        assert_eq!(common_end(["a.weight", "b.1.weight"].into_iter()), ".weight".len());
        assert_eq!(common_end(["a.weight", "b.kernel"].into_iter()), 0);
        assert_eq!(common_end(["a.weight"].into_iter()), 0);
        assert_eq!(
            common_end([".weight", ".weight"].into_iter()),
            0,
            "something of a name must stay"
        );
    }
}
