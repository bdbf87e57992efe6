//! The tensors of a weights-only file by their names.

use crate::network::PackedGrid;
use crate::onnx::{FloatData, ModelProto, TensorProto, numbers};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

/// What wrappers put before every name: data-parallel and compiled modules, training frameworks.
const PREFIXES: [&str; 4] = ["module.", "model.", "backbone.", "_orig_mod."];

/// Counters of training that no graph needs.
const COUNTERS: &str = "num_batches_tracked";

/// What profilers (thop) leave in every module.
const PROFILER_COUNTERS: [&str; 2] = ["total_ops", "total_params"];

/// What averaged copies of all weights (EMA) have before their names, or in the place of `model.` or `module.`.
const AVERAGED: [&str; 5] = ["model_ema.", "ema_model.", "module_ema.", "ema.", "averaged_model."];

/// Module numbers from here on are not believed.
const MOST_MODULES: usize = 100_000;

/// A tensor of the file, as far as its header tells.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry<'a> {
    /// Its name in the file, with all prefixes.
    pub(super) stored: &'a str,
    /// Its sizes; `[0]` for a tensor without elements, which fits nowhere.
    pub(super) shape: Vec<usize>,
    /// See [`crate::onnx::schema::data_type`].
    pub(super) element_type: i32,
    /// The tensor itself.
    pub(super) tensor: &'a TensorProto,
    /// How its codes become numbers, if it holds codes.
    pub(super) grid: Option<&'a PackedGrid>,
}

impl Entry<'_> {
    /// The numbers of a tensor that a constant is made of.
    ///
    /// # Errors
    /// A sentence about the tensor.
    pub(super) fn numbers(&self) -> Result<FloatData, String> {
        if self.grid.is_some() {
            return Err("is packed, and a constant is made of it".to_owned());
        }
        numbers(self.tensor).map_err(|error| format!("cannot be read: {error}"))
    }
}

/// The grids of packed weights by their names.
pub(super) type Grids = HashMap<String, PackedGrid>;

/// Names (without the prefix that they all share) to tensors. Counters of training are left out.
#[derive(Debug, Default)]
pub(super) struct StateDict<'a> {
    entries: BTreeMap<&'a str, Entry<'a>>,
    /// What was left out, in sentences for a person.
    pub(super) notes: Vec<String>,
    /// Names of the scales and zero points of packed weights, which no family asks for.
    pub(super) companions: HashSet<&'a str>,
}

impl<'a> StateDict<'a> {
    /// The initializers of `model`, of which those in `grids` hold codes.
    pub(super) fn new(model: &'a ModelProto, grids: Option<&'a Grids>) -> Self {
        let companions: HashSet<&str> = grids
            .into_iter()
            .flat_map(HashMap::values)
            .flat_map(PackedGrid::companions)
            .collect();
        let tensors = model
            .graph
            .as_ref()
            .map(|graph| graph.initializer.as_slice())
            .unwrap_or_default();
        let grid = |tensor: &TensorProto| grids.and_then(|grids| grids.get(tensor.name()));
        let entries = (tensors.iter())
            .filter(|tensor| !tensor.name().ends_with(COUNTERS) && !companions.contains(tensor.name()))
            .map(|tensor| (tensor.name(), entry(tensor, grid(tensor))))
            .collect();
        let mut dict = Self {
            entries,
            notes: Vec::new(),
            companions,
        };
        dict.leave_out_profiler_counters();
        dict.leave_out_averages();
        while let Some(prefix) = dict.common_prefix() {
            let entries = dict.entries.into_iter();
            dict.entries = entries.map(|(name, entry)| (&name[prefix.len()..], entry)).collect();
        }
        dict
    }

    fn leave_out_profiler_counters(&mut self) {
        let before = self.entries.len();
        let is_counter = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            PROFILER_COUNTERS.contains(&last)
        };
        self.entries.retain(|name, _| !is_counter(name));
        let count = before - self.entries.len();
        if count > 0 {
            self.notes.push(format!(
                "{count} counters of a profiler (total_ops, total_params) are no weights and were left aside."
            ));
        }
    }

    /// Leaves out averaged copies of tensors that are there as they are, too.
    fn leave_out_averages(&mut self) {
        let is_copy = |name: &str| {
            let rest = AVERAGED.iter().find_map(|prefix| name.strip_prefix(prefix))?;
            let rest = rest.strip_prefix("module.").unwrap_or(rest);
            let originals = ["", "model.", "module.", "model.module."];
            let mut originals = originals.iter().map(|prefix| format!("{prefix}{rest}"));
            originals
                .any(|original| self.entries.contains_key(original.as_str()))
                .then_some(())
        };
        let copies: Vec<&str> = self
            .entries
            .keys()
            .copied()
            .filter(|name| is_copy(name).is_some())
            .collect();
        if copies.is_empty() || copies.len() == self.entries.len() {
            return;
        }
        let first = copies[0];
        self.notes.push(format!(
            "{} averaged copies of weights (EMA, such as '{}') were left aside.",
            copies.len(),
            crate::onnx::one_line(first)
        ));
        for copy in copies {
            self.entries.remove(copy);
        }
        // The average keeps count of its updates.
        let counts = |name: &str| {
            ["updates", "num_updates", "decay", "initted", "step"]
                .iter()
                .any(|last| name.ends_with(last))
        };
        let is_averages = |name: &str| AVERAGED.iter().any(|prefix| name.starts_with(prefix));
        self.entries.retain(|name, _| !(is_averages(name) && counts(name)));
    }

    fn common_prefix(&self) -> Option<&'static str> {
        let shared = |prefix: &&str| {
            self.entries
                .keys()
                .all(|name| name.len() > prefix.len() && name.starts_with(*prefix))
        };
        PREFIXES.into_iter().find(shared).filter(|_| !self.entries.is_empty())
    }

    /// The tensor called `name`.
    pub(super) fn get(&self, name: &str) -> Option<(&'a str, &Entry<'a>)> {
        self.entries.get_key_value(name).map(|(name, entry)| (*name, entry))
    }

    /// The sizes of the tensor called `name`.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Size of axis `axis` of the tensor called `name`.
    pub(super) fn size(&self, name: &str, axis: usize) -> Option<usize> {
        self.shape(name)?.get(axis).copied()
    }

    /// Whether there is a tensor of the module `module` (`layer1.0`), or it is a tensor itself.
    pub(super) fn has(&self, module: &str) -> bool {
        self.under(module).next().is_some() || self.entries.contains_key(module)
    }

    /// Modules `PREFIX.0`, `PREFIX.1`, … without a gap: how many there are.
    pub(super) fn count(&self, prefix: &str) -> usize {
        (0..).take_while(|index| self.has(&format!("{prefix}.{index}"))).count()
    }

    /// The numbers N of all modules or tensors `PREFIX.N…`, in order; none that no network reaches.
    pub(super) fn numbers(&self, prefix: &str) -> Vec<usize> {
        let start = prefix.len() + 1;
        let number = |name: &'a str| name.get(start..)?.split('.').next()?.parse().ok();
        let numbers: BTreeSet<usize> = self.under(prefix).filter_map(number).collect();
        numbers
            .into_iter()
            .take_while(|number| *number < MOST_MODULES)
            .collect()
    }

    /// All names, in alphabetical order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.entries.keys().copied()
    }

    /// The tensors of the module `module`, or the tensor of that name itself.
    pub(super) fn names_within(&self, module: &str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        let own = self.entries.get_key_value(module).map(|(name, _)| *name);
        own.into_iter().chain(self.under(module))
    }

    /// The names that begin with `module` and a dot.
    fn under(&self, module: &str) -> impl Iterator<Item = &'a str> + use<'a, '_> {
        let prefix = format!("{module}.");
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let names = self.entries.range::<str, _>(from).map(|(name, _)| *name);
        names.take_while(move |name| name.starts_with(prefix.as_str()))
    }
}

fn entry<'a>(tensor: &'a TensorProto, grid: Option<&'a PackedGrid>) -> Entry<'a> {
    let sizes: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|&size| usize::try_from(size).ok().filter(|&s| s > 0))
        .collect();
    Entry {
        stored: tensor.name(),
        shape: sizes.unwrap_or_else(|| vec![0]),
        element_type: tensor.data_type(),
        tensor,
        grid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::GraphProto;
    use crate::onnx::build::float_tensor;

    fn model(names: &[&str]) -> ModelProto {
        let tensor = |name: &&str| float_tensor(*name, &[2], &[0.0; 2]);
        let graph = GraphProto {
            initializer: names.iter().map(tensor).collect(),
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        }
    }

    #[test]
    fn wrappers_of_all_names_are_taken_off_one_after_the_other() {
        let wrapped = model(&[
            "module.model.a.0.weight",
            "module.model.a.0.num_batches_tracked",
            "module.model.b",
        ]);
        let dict = StateDict::new(&wrapped, None);
        assert_eq!(dict.names().collect::<Vec<_>>(), ["a.0.weight", "b"]);
        assert_eq!(dict.get("b").unwrap().1.stored, "module.model.b");
        let partly = model(&["module.a", "b"]);
        assert_eq!(
            StateDict::new(&partly, None).names().collect::<Vec<_>>(),
            ["b", "module.a"]
        );
        let nothing_left = model(&["module."]);
        assert_eq!(
            StateDict::new(&nothing_left, None).names().collect::<Vec<_>>(),
            ["module."]
        );
    }

    #[test]
    fn counters_of_profilers_and_averaged_copies_are_left_aside_with_a_note() {
        let file = model(&[
            "module.a.weight",
            "module.a.total_ops",
            "module.total_params",
            "module.b",
        ]);
        let dict = StateDict::new(&file, None);
        assert_eq!(dict.names().collect::<Vec<_>>(), ["a.weight", "b"]);
        assert!(dict.notes[0].starts_with("2 counters"), "{:?}", dict.notes);
        let file = model(&[
            "model.a",
            "model.b",
            "model_ema.module.a",
            "model_ema.b",
            "model_ema.updates",
        ]);
        let dict = StateDict::new(&file, None);
        assert_eq!(dict.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(dict.notes[0].starts_with("2 averaged copies"), "{:?}", dict.notes);
        // An average alone is the network.
        let file = model(&["ema.a", "ema.b"]);
        assert_eq!(StateDict::new(&file, None).names().count(), 2);
    }

    #[test]
    fn modules_are_counted_by_their_numbers() {
        let file = model(&[
            "f.0.weight",
            "f.18446744073709551615.weight",
            "f.1.weight",
            "f.1.bias",
            "f.3.weight",
            "f.10",
            "f.x",
            "fa.2.weight",
        ]);
        let dict = StateDict::new(&file, None);
        assert_eq!(dict.count("f"), 2);
        assert_eq!(dict.numbers("f"), [0, 1, 3, 10]);
        assert!(dict.has("f.3") && dict.has("f.10") && !dict.has("f.2") && !dict.has("f.1.w"));
        assert_eq!(dict.size("f.1.bias", 0), Some(2));
        assert_eq!(dict.size("f.1.bias", 1), None);
    }

    #[test]
    fn a_tensor_without_elements_fits_nowhere() {
        let mut file = model(&["a"]);
        file.graph.as_mut().unwrap().initializer[0].dims = vec![i64::MAX, 0];
        assert_eq!(StateDict::new(&file, None).shape("a"), Some(&[0][..]));
    }
}
