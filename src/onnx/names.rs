//! The names in use in a model, and new ones beside them.

use super::{GraphProto, ModelProto, NodeProto};
use std::collections::{HashMap, HashSet};

/// Every name of a value or node, in all graphs: a new one must neither collide nor shadow.
#[derive(Default)]
pub(crate) struct Names {
    taken: HashSet<String>,
    /// For each name that was wanted more than once, the number that comes next behind it: the numbers before are taken, and a
    /// thousand layers that share a weight would otherwise try them all again.
    next: HashMap<String, usize>,
    /// Names that were tried.
    #[cfg(test)]
    tried: usize,
}

impl Names {
    pub(crate) fn of(model: &ModelProto) -> Self {
        let mut names = Self::default();
        let training = model
            .training_info
            .iter()
            .flat_map(|training| training.initialization.iter().chain(&training.algorithm));
        for graph in model.graph.iter().chain(training) {
            names.gather(graph);
        }
        names
    }

    fn gather(&mut self, graph: &GraphProto) {
        let infos = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        self.taken.extend(infos.map(|info| info.name().to_owned()));
        let sparse = graph
            .sparse_initializer
            .iter()
            .filter_map(|sparse| sparse.values.as_ref());
        let tensors = graph.initializer.iter().chain(sparse);
        self.taken.extend(tensors.map(|tensor| tensor.name().to_owned()));
        for node in &graph.node {
            self.taken.insert(node.name().to_owned());
            self.taken.extend(node.input.iter().chain(&node.output).cloned());
            node.subgraphs().for_each(|graph| self.gather(graph));
        }
    }

    /// `wanted`, with a number behind it if the name is taken.
    pub(crate) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        if self.insert(&name) {
            return name;
        }
        let mut number = self.next.get(wanted).copied().unwrap_or(2);
        loop {
            name = format!("{wanted}_{number}");
            number += 1;
            if self.insert(&name) {
                self.next.insert(wanted.to_owned(), number);
                return name;
            }
        }
    }

    fn insert(&mut self, name: &str) -> bool {
        #[cfg(test)]
        {
            self.tried += 1;
        }
        self.taken.insert(name.to_owned())
    }
}

/// The name of a node; if it has none, that of its first output.
pub(crate) fn label(node: &NodeProto) -> &str {
    match node.name() {
        "" => node.output.first().map(String::as_str).unwrap_or_default(),
        name => name,
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self {
            taken: names.into_iter().collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_wanted_again_get_the_next_free_number() {
        let mut names: Names = ["w".to_owned(), "w_3".to_owned()].into_iter().collect();
        let fresh: Vec<String> = (0..3).map(|_| names.fresh("w")).collect();
        assert_eq!(fresh, ["w_2", "w_4", "w_5"]);
        assert_eq!(names.fresh("w_2"), "w_2_2");
        assert_eq!(names.fresh("new"), "new");
    }

    #[test]
    fn each_of_many_equal_names_is_found_in_two_tries() {
        let mut names = Names::default();
        for _ in 0..1000 {
            names.fresh("w.q");
        }
        assert!(names.tried <= 2000, "{} names tried", names.tried);
    }
}
