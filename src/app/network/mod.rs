//! The network view: every layer as a small picture, all on one scale, to be compared at a glance.

mod blocks;
mod card;
mod figure;

pub(super) use figure::layers_figure;

use super::Outbox;
use super::errors::lost_text;
use super::learn::glossary::{Term, words_help_ui};
use super::plot::export::menu;
use super::plot::{cost_scale_ui, sqnr_scale_ui, swatch};
use super::text::{self, note};
use super::theme::tokens;
use crate::session::{Action, LayerFacts, LayerOrder, OpenNetwork, PlanSummary, Watched};
use blocks::BlockMap;
use card::{CARD, Card, card_ui};
use egui::{Button, Rect, ScrollArea, TextWrapMode, Ui, vec2};
use std::sync::Arc;

/// The words of the legend.
const WORDS: [Term; 5] = [Term::Sigma, Term::Outlier, Term::Sqnr, Term::Plain, Term::Split];

/// Points between cards.
const GAP: f32 = 8.0;
/// The scale never reaches further, standard deviations: beyond it only the ends are drawn.
const FURTHEST: f64 = 24.0;

/// In which order the layers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Position,
    Error,
    Outliers,
    /// What the network loses with the layer alone quantized, once that is known.
    Lost,
}

/// What the order was computed from.
struct OrderKey {
    order: Order,
    facts: Arc<Vec<LayerFacts>>,
    /// The errors, if they are sorted by.
    plan: Option<Arc<PlanSummary>>,
    /// What layers cost, as shares of the worst; empty unless it is sorted by.
    costs: Vec<f64>,
}

impl OrderKey {
    fn same(&self, other: &Self) -> bool {
        let plan = |key: &Self| key.plan.as_ref().map(Arc::as_ptr);
        self.order == other.order
            && self.costs == other.costs
            && Arc::ptr_eq(&self.facts, &other.facts)
            && plan(self) == plan(other)
    }
}

/// State of the view between frames.
pub(super) struct NetworkPanel {
    order: Order,
    sorted: Option<(OrderKey, Vec<usize>)>,
    reach: Option<(Arc<Vec<LayerFacts>>, f64)>,
    /// The layers whose cards were drawn in this frame.
    visible: Vec<usize>,
    /// Blocks against their parts instead of cards.
    by_block: bool,
    blocks: BlockMap,
}

impl Default for NetworkPanel {
    fn default() -> Self {
        Self {
            order: Order::Position,
            sorted: None,
            reach: None,
            visible: Vec::new(),
            by_block: false,
            blocks: BlockMap::default(),
        }
    }
}

impl NetworkPanel {
    /// At the end of a frame: what was in sight.
    pub(super) fn watch(&mut self, watched: &mut Watched) {
        watched.cards = std::mem::take(&mut self.visible);
    }

    /// Draws the view.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, sigma: f64, out: &mut Outbox) {
        let analysis = open.shown();
        if analysis.layers.is_empty() {
            ui.centered_and_justified(|ui| ui.label("This network has no layer with weights."));
            return;
        }
        if open.original.network.blocks().are_some() {
            self.shown_ui(ui);
            if self.by_block {
                self.blocks.ui(ui, open, sigma, out);
                return;
            }
        }
        let reach = self.reach(&analysis.layers);
        let costs = open.layer_order();
        self.legend_ui(ui, open, &costs, sigma, reach);
        self.sort(open, &costs);
        let order = self.sorted.as_ref().map_or(&[][..], |(_, order)| order.as_slice());
        let columns = (((ui.available_width() + GAP) / (CARD.x + GAP)) as usize).max(1);
        let width = (ui.available_width() - 8.0 + GAP) / columns as f32 - GAP;
        let stride = vec2(width + GAP, CARD.y + GAP);
        let visible = &mut self.visible;
        let all = ui.available_rect_before_wrap();
        let cards = open.cards();
        ScrollArea::vertical()
            .id_salt("network")
            .auto_shrink(false)
            .show_viewport(ui, |ui, viewport| {
                ui.set_height(order.len().div_ceil(columns) as f32 * stride.y);
                // Only what is in sight is drawn, and only that is computed.
                let first = (viewport.min.y / stride.y).floor().max(0.0) as usize;
                let last = (viewport.max.y / stride.y).ceil() as usize;
                let origin = ui.min_rect().min;
                for (place, &layer) in order.iter().enumerate().take(last * columns).skip(first * columns) {
                    let offset = vec2((place % columns) as f32 * stride.x, (place / columns) as f32 * stride.y);
                    let rect = Rect::from_min_size(origin + offset, vec2(width, CARD.y));
                    let cost = costs
                        .share_of_worst(layer)
                        .zip(costs.costs.get(layer).copied().flatten());
                    let card = Card {
                        layer,
                        cost: cost.map(|(share, cost)| (share, lost_text(cost.accuracy_lost()))),
                        known: cards.get(layer),
                        sigma,
                        reach,
                    };
                    let response = card_ui(ui, rect, open, &card);
                    if response.clicked() {
                        out.actions.push(Action::SelectLayer(layer));
                    }
                    menu(&response, all, out, || layers_figure(open, Some(cards)));
                    visible.push(layer);
                }
            });
    }

    /// Standard deviations to which the common scale reaches: looked up once for the same facts.
    fn reach(&mut self, facts: &Arc<Vec<LayerFacts>>) -> f64 {
        match &self.reach {
            Some((of, reach)) if Arc::ptr_eq(of, facts) => *reach,
            _ => {
                let reach = common_reach(facts);
                self.reach = Some((Arc::clone(facts), reach));
                reach
            }
        }
    }

    /// Cards, or blocks against their parts.
    fn shown_ui(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.label(note("show"));
            ui.selectable_value(&mut self.by_block, false, "cards")
                .on_hover_text("A small picture of each layer.");
            ui.selectable_value(&mut self.by_block, true, "blocks").on_hover_text(
                "The blocks that the network repeats, one above the other; what they consist of side by side.",
            );
        });
    }

    fn legend_ui(&mut self, ui: &mut Ui, open: &OpenNetwork, costs: &LayerOrder<'_>, sigma: f64, reach: f64) {
        let colors = tokens(ui);
        ui.horizontal_wrapped(|ui| {
            // A choice goes on the next line as a whole.
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            ui.label(note("sort by"));
            for (order, name, why) in [
                (Order::Position, "position", "In the order of the network."),
                (
                    Order::Error,
                    "error",
                    "The largest error under the present recipe first.",
                ),
                (Order::Outliers, "outliers", "The largest share of outliers first."),
            ] {
                ui.selectable_value(&mut self.order, order, name).on_hover_text(why);
            }
            let measured = costs.basis.is_some();
            let lost = Button::selectable(self.order == Order::Lost, "accuracy lost");
            let response = ui
                .add_enabled(measured, lost)
                .on_hover_text("The layer that costs the network most when it alone is quantized first.")
                .on_disabled_hover_text("Not known yet: the network has to run first.");
            if response.clicked() {
                self.order = Order::Lost;
            }
            if !measured && self.order == Order::Lost {
                self.order = Order::Position;
            }
            ui.add_space(8.0);
            let range = format!("all on ±{} σ of the layer", text::short_number(reach));
            ui.label(note(range)).on_hover_text(
                "Every histogram has the same scale, in standard deviations of its layer's weights; counts are \
                 logarithmic. The line below it reaches from the least weight to the largest.",
            );
            swatch(
                ui,
                colors.outlier,
                &format!("beyond {} σ", text::short_number(sigma)),
                "Outliers: they stretch the grid.",
            );
        });
        let (ratio, clip) = open.compared_on_cards();
        let (ratio, clip) = (text::percent(ratio), text::clip(clip));
        ui.horizontal_wrapped(|ui| {
            ui.label(note("error of the weights")).on_hover_text(
                "Size of the weights' quantization error against the size of the weights, at the recipe's bits: a full \
                 bar is an error as large as the weights themselves.",
            );
            swatch(
                ui,
                colors.quantized,
                "plain",
                "Neither split nor clipped: the thing to beat.",
            );
            swatch(ui, colors.clipped, &format!("clip {clip}"), "Clipped, not split.");
            swatch(
                ui,
                colors.split,
                &format!("OCS {ratio}"),
                "Outlier channels split, not clipped.",
            );
            ui.label(note("both: OCS and clip"))
                .on_hover_text("Split first, then clipped: the bar of two colours.");
            ui.add_space(8.0);
            if costs.max_error > 0.0 {
                cost_scale_ui(ui);
            } else {
                sqnr_scale_ui(ui);
            }
            words_help_ui(ui, "the network view", &WORDS);
        });
    }

    fn sort(&mut self, open: &OpenNetwork, costs: &LayerOrder<'_>) {
        let key = OrderKey {
            order: self.order,
            facts: Arc::clone(&open.shown().layers),
            plan: (open.planned().filter(|_| self.order == Order::Error))
                .map(|(_, planned)| Arc::clone(&planned.summary)),
            costs: if self.order == Order::Lost {
                let share = |layer| costs.share_of_worst(layer).unwrap_or(-1.0);
                (0..costs.costs.len()).map(share).collect()
            } else {
                Vec::new()
            },
        };
        if self.sorted.as_ref().is_some_and(|(known, _)| known.same(&key)) {
            return;
        }
        let layers = &open.shown().network.layers;
        let badness = |index: usize| match key.order {
            Order::Position => 0.0,
            Order::Error => {
                let sqnr = key.plan.as_ref().and_then(|plan| plan.sqnr_db(index));
                sqnr.map_or(f64::NEG_INFINITY, |sqnr| -sqnr)
            }
            Order::Lost => key.costs.get(index).copied().unwrap_or(-1.0),
            Order::Outliers => key.facts[index].outliers as f64 / layers[index].parameters().max(1) as f64,
        };
        let mut order: Vec<usize> = (0..key.facts.len()).collect();
        order.sort_by(|a, b| badness(*b).total_cmp(&badness(*a)));
        self.sorted = Some((key, order));
    }
}

/// Standard deviations from the mean to the farthest weight of all layers, within reason. Layers of equal weights have none.
fn common_reach(facts: &[LayerFacts]) -> f64 {
    let farthest = facts.iter().filter_map(LayerFacts::farthest_in_sigma);
    farthest.fold(4.0_f64, f64::max).min(FURTHEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Format, Network};
    use crate::onnx::build::float_tensor;
    use crate::onnx::{GraphProto, ModelProto};
    use crate::progress::Progress;
    use crate::session::Analysis;

    /// How far the common scale of layers with these weights reaches.
    fn reach(layers: &[&[f32]]) -> f64 {
        let tensor = |(i, weights): (usize, &&[f32])| float_tensor(format!("w{i}"), &[1, weights.len()], weights);
        let graph = GraphProto {
            initializer: layers.iter().enumerate().map(tensor).collect(),
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        let network = Network::new("tensors", None, Format::Safetensors, model).unwrap();
        let analysis = Analysis::new(Arc::new(network), 4.0, &Progress::default()).unwrap();
        assert!(analysis.layers.iter().all(|facts| facts.readable().is_some()));
        common_reach(&analysis.layers)
    }

    /// 99 zeros and one `x`: it lies 9.95 standard deviations from the mean.
    fn with_an_outlier(x: f32, offset: f32) -> Vec<f32> {
        let mut weights = vec![offset; 100];
        weights[37] += x;
        weights
    }

    #[test]
    fn layers_of_equal_weights_stay_out_of_the_common_scale() {
        let outlier = with_an_outlier(0.5, 0.0);
        let alone = reach(&[&outlier]);
        assert!((alone - 99.0_f64.sqrt()).abs() < 1e-9, "{alone}");
        for equal in [0.0, 1.0, 0.1, -0.3, 1e30, 1e-38] {
            let equal = vec![equal; 5003];
            assert_eq!(reach(&[&equal, &outlier]), alone, "{}", equal[0]);
        }
        assert_eq!(reach(&[&[0.1; 5003]]), 4.0);
    }

    #[test]
    fn the_common_scale_reaches_from_the_mean_of_each_layer() {
        let reach = reach(&[&with_an_outlier(0.5, 100.0)]);
        assert!((reach - 99.0_f64.sqrt()).abs() < 1e-3, "{reach}");
    }
}
