//! What the colour of a box tells: what the layer costs the network, the error of its weights, or the error that arises in it.

use crate::app::errors::lost_text;
use crate::app::text;
use crate::app::theme::Tokens;
use crate::session::{DrawnNode, LayerOrder, OpenNetwork};
use egui::{Color32, ComboBox, Ui};
use std::collections::HashMap;

/// What the colours show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Coloring {
    /// What the network loses with only this layer quantized.
    #[default]
    Lost,
    /// The SQNR of its weights.
    Weights,
    /// The error that arises in the layer, of all values of the graph.
    Own,
}

impl Coloring {
    const ALL: [Self; 3] = [Self::Lost, Self::Weights, Self::Own];

    fn title(self) -> &'static str {
        match self {
            Self::Lost => "accuracy lost",
            Self::Weights => "weight SQNR",
            Self::Own => "own error",
        }
    }

    fn tells(self) -> &'static str {
        match self {
            Self::Lost => {
                "What the network loses with only this layer quantized; the worst layer of this network stands out most."
            }
            Self::Weights => "SQNR of the layer's weights. It does not tell what the network loses.",
            Self::Own => "SQNR of the layer's output, float inputs in the quantized layer: where the error arises.",
        }
    }

    /// The choice.
    pub(super) fn ui(&mut self, ui: &mut Ui) {
        let label = ui.label(text::note("colour:"));
        let combo = ComboBox::from_id_salt("graph colours")
            .width(104.0)
            .selected_text(self.title());
        let response = combo.show_ui(ui, |ui| {
            for coloring in Self::ALL {
                ui.selectable_value(self, coloring, coloring.title())
                    .on_hover_text(coloring.tells());
            }
        });
        response.response.labelled_by(label.id).on_hover_text(self.tells());
    }
}

/// The error of a box.
pub(super) struct Error {
    pub(super) color: Color32,
    pub(super) text: String,
}

/// The errors as they are now.
pub(super) struct Colors<'a> {
    coloring: Coloring,
    open: &'a OpenNetwork,
    tokens: &'a Tokens,
    order: LayerOrder<'a>,
    /// By name of the layer, decibels.
    own: HashMap<&'a str, f64>,
}

impl<'a> Colors<'a> {
    pub(super) fn new(coloring: Coloring, open: &'a OpenNetwork, tokens: &'a Tokens) -> Self {
        Self::with_order(coloring, open, tokens, open.layer_order())
    }

    fn with_order(coloring: Coloring, open: &'a OpenNetwork, tokens: &'a Tokens, order: LayerOrder<'a>) -> Self {
        // What layers cost tells more than the error of their weights, which stands for it until something is known.
        let is_to_come = coloring == Coloring::Lost && order.max_error <= 0.0;
        let coloring = if is_to_come { Coloring::Weights } else { coloring };
        let values = open.trace().filter(|_| coloring == Coloring::Own);
        let values = values.into_iter().flat_map(|(_, trace)| &trace.values);
        let own = values.filter_map(|value| Some((value.layer.as_deref()?, value.own_sqnr_db?)));
        Self {
            coloring,
            open,
            tokens,
            order,
            own: own.collect(),
        }
    }

    /// Whether the colours stand for what layers cost the network, else for decibels.
    pub(super) fn are_costs(&self) -> bool {
        self.coloring == Coloring::Lost
    }

    /// What stands in the box of a node whose first layer is `layer`: its error, or what it is without one.
    pub(super) fn text_of(&self, node: &DrawnNode, layer: usize) -> String {
        if let Some(error) = self.of(node) {
            return error.text;
        }
        let plan = self
            .open
            .planned()
            .and_then(|(_, planned)| planned.plan.layers.get(layer));
        match plan {
            Some(plan) if plan.quantized().is_none() => {
                text::not_planned(&self.open.original.network.layers[layer]).to_owned()
            }
            _ => "…".to_owned(),
        }
    }

    /// The worst error of the layers in a node; `None` where none is known.
    pub(super) fn of(&self, node: &DrawnNode) -> Option<Error> {
        match self.coloring {
            Coloring::Lost => {
                let share = |layer: &usize| Some((*layer, self.order.share_of_worst(*layer)?));
                let shares = node.layers.iter().filter_map(share);
                let (layer, share) = shares.max_by(|one, other| one.1.total_cmp(&other.1))?;
                Some(Error {
                    color: self.tokens.cost(share),
                    text: lost_text(self.order.costs[layer]?.accuracy_lost()),
                })
            }
            Coloring::Weights => {
                let (_, planned) = self.open.planned()?;
                let layers = node.layers.iter();
                let errors = layers.filter_map(|layer| planned.plan.layers.get(*layer)?.quantized());
                self.decibels(errors.map(|quantized| quantized.sqnr_db))
            }
            Coloring::Own => {
                let name = |layer: &usize| Some(self.open.original.network.layers.get(*layer)?.name.as_str());
                let layers = node.layers.iter().filter_map(name);
                self.decibels(layers.filter_map(|name| self.own.get(name).copied()))
            }
        }
    }

    fn decibels(&self, errors: impl Iterator<Item = f64>) -> Option<Error> {
        let db = errors.min_by(f64::total_cmp)?;
        Some(Error {
            color: self.tokens.sqnr(db),
            text: text::decibels(db),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::theme::tokens_of;
    use crate::jobs::Waker;
    use crate::session::{Action, Saved, Session, Watched};
    use std::path::PathBuf;
    use std::time::Duration;

    fn node(layers: &[usize]) -> DrawnNode {
        DrawnNode {
            op: "Conv".to_owned(),
            name: "node".to_owned(),
            layers: layers.to_vec(),
            is_end: false,
        }
    }

    /// Cost, weights and own error each colour the boxes by the numbers that the other views show, and the worst stands out most.
    #[test]
    fn boxes_are_coloured_by_the_numbers_of_the_other_views() {
        let mut session = Session::new(Waker::none(), Saved::default());
        session.act(Action::SetSampleLimit(64));
        session.act(Action::Watch(Watched {
            trace: true,
            ..Watched::default()
        }));
        session.act(Action::Open(PathBuf::from("demo:fashion")));
        assert!(session.wait_until_idle(Duration::from_secs(300)));
        let open = session.open().unwrap();
        let order = open.layer_order();
        let ranked = order.worst_first();
        assert!(ranked.len() >= 5, "{ranked:?}");
        let (worst, mildest) = (ranked[0], ranked[ranked.len() - 1]);
        let (_, trace) = open.trace().unwrap();
        let (_, planned) = open.planned().unwrap();
        for tokens in [false, true].map(tokens_of) {
            let colors = |coloring| Colors::new(coloring, open, tokens);
            let color = |coloring, layers: &[usize]| colors(coloring).of(&node(layers)).map(|error| error.color);
            assert_eq!(color(Coloring::Lost, &[worst]), Some(tokens.cost(1.0)));
            let share = order.share_of_worst(mildest).unwrap();
            assert!(share < 0.5, "{share}");
            assert_eq!(color(Coloring::Lost, &[mildest]), Some(tokens.cost(share)));
            // A node that holds two layers is as bad as the worse of them; one that holds none has no error.
            assert_eq!(color(Coloring::Lost, &[mildest, worst]), Some(tokens.cost(1.0)));
            let cost = order.costs[worst].unwrap().accuracy_lost();
            assert_eq!(
                colors(Coloring::Lost).of(&node(&[worst])).unwrap().text,
                lost_text(cost)
            );
            for layer in [worst, mildest] {
                let db = planned.plan.layers[layer].quantized().unwrap().sqnr_db;
                assert_eq!(color(Coloring::Weights, &[layer]), Some(tokens.sqnr(db)));
                let name = Some(open.original.network.layers[layer].name.as_str());
                let value = trace
                    .values
                    .iter()
                    .find(|value| value.layer.as_deref() == name)
                    .unwrap();
                let own = color(Coloring::Own, &[layer]);
                assert_eq!(own, value.own_sqnr_db.map(|db| tokens.sqnr(db)));
            }
            for coloring in Coloring::ALL {
                assert_eq!(color(coloring, &[]), None);
            }
            // As long as no cost is known the errors of the weights stand there, and "float" in layers that are.
            let nothing = LayerOrder {
                basis: None,
                costs: vec![None; order.costs.len()],
                plan_of_some: None,
                is_current: false,
                max_error: 0.0,
            };
            let early = Colors::with_order(Coloring::Lost, open, tokens, nothing);
            let db = planned.plan.layers[worst].quantized().unwrap().sqnr_db;
            assert!(!early.are_costs() && colors(Coloring::Lost).are_costs());
            assert_eq!(early.text_of(&node(&[worst]), worst), text::decibels(db));
            assert_eq!(early.text_of(&node(&[0]), 0), "float");
        }
    }

    #[test]
    fn a_layer_whose_error_is_to_come_is_not_called_float() {
        let mut session = Session::new(Waker::none(), Saved::default());
        session.act(Action::SetSampleLimit(8));
        session.act(Action::Open(PathBuf::from("demo:fashion")));
        assert!(session.wait_until_idle(Duration::from_secs(300)));
        let open = session.open().unwrap();
        assert!(open.trace().is_none(), "nobody asked for it");
        let shown = Colors::new(Coloring::Own, open, tokens_of(true));
        assert_eq!(
            [0, 1].map(|layer| shown.text_of(&node(&[layer]), layer)),
            ["float", "…"]
        );
    }
}
