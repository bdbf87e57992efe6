//! The columns of the table, their titles and the cells of a row.

use super::super::errors::{cost_text, lost_text, one_digit};
use super::super::inputs::InputFacts;
use super::super::text::{self, elided_after, elided_label, note};
use super::super::theme::{thin, tokens};
use super::super::widgets::{Heading, Sorted, number_cell, text_cell};
use super::outline::outline_ui;
use crate::inference::{AccuracyLost, LayerSensitivity, OrderBasis, is_huge, most_ranked};
use crate::network::{Block, Layer};
use crate::quantization::{LayerPlan, Outcome};
use crate::session::{LayerOrder, OpenNetwork, Planned};
use egui::{Rect, Sense, Ui, pos2, vec2};
use std::borrow::Cow;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Op,
    Shape,
    Parameters,
    Outline,
    Max,
    Outliers,
    Bits,
    Scales,
    Splits,
    Clip,
    Rounding,
    Sqnr,
    Lost,
    InputMax,
    InputOutliers,
    InputRatio,
}

impl Field {
    /// Width of the column, points; the name takes what is left.
    pub(super) fn width(self) -> Option<f32> {
        match self {
            Self::Name => None,
            Self::Op => Some(48.0),
            Self::Shape => Some(66.0),
            Self::Parameters | Self::Max | Self::Outliers => Some(50.0),
            Self::Outline => Some(84.0),
            Self::Bits => Some(38.0),
            Self::Scales | Self::Clip | Self::Rounding => Some(56.0),
            Self::Splits => Some(44.0),
            Self::InputMax => Some(56.0),
            Self::InputOutliers | Self::InputRatio => Some(62.0),
            Self::Sqnr => Some(66.0),
            Self::Lost => Some(86.0),
        }
    }

    /// Whether the order by it changes with the recipe.
    pub(super) fn depends_on_the_recipe(self) -> bool {
        matches!(
            self,
            Self::Bits | Self::Scales | Self::Splits | Self::Clip | Self::Rounding | Self::Sqnr | Self::Lost
        )
    }

    /// Whether the order by it changes with what flows through the network.
    pub(super) fn is_of_inputs(self) -> bool {
        matches!(self, Self::InputMax | Self::InputOutliers | Self::InputRatio)
    }

    /// The title; what a layer costs is named for what can be told of it.
    fn title(self, order: &LayerOrder<'_>) -> &'static str {
        let lost = || order.costs.iter().flatten().next().map(|cost| cost.accuracy_lost());
        match self {
            Self::Lost if matches!(lost(), Some(AccuracyLost::OutputDb(_))) => "Output SQNR",
            Self::Name => "Layer",
            Self::Op => "Op",
            Self::Shape => "Shape",
            Self::Parameters => "Weights",
            Self::Outline => "Histogram",
            Self::Max => "Max",
            Self::Outliers => "Outliers",
            Self::Bits => "Bits",
            Self::Scales => "Scales",
            Self::Splits => "Splits",
            Self::Clip => "Clip",
            Self::Rounding => "Rounding",
            Self::Sqnr => "SQNR",
            Self::Lost => "Accuracy lost",
            Self::InputMax => "Max |x|",
            Self::InputOutliers => "Outlier ch",
            Self::InputRatio => "× median",
        }
    }

    fn tooltip(self) -> &'static str {
        match self {
            Self::Name => "Name of the layer. Click to sort in the order of the network.",
            Self::Op => "Operator.",
            Self::Shape => "Sizes of the weight tensor, as stored.",
            Self::Parameters => "Number of weights.",
            Self::Outline => {
                "The weights between the largest magnitude on either side, square roots of counts (of large layers those of 65 536 weights from all over them); beyond the set number of standard deviations as outliers. Sorts by how far the farthest weight lies from the mean, in standard deviations."
            }
            Self::Max => {
                "How far from the mean the farthest weight lies, in standard deviations: how far the outliers stretch the grid."
            }
            Self::Outliers => "Weights further from the mean than the set number of standard deviations.",
            Self::Bits => "Bits of the weights, as they hold for this layer. Click to change them.",
            Self::Scales => "What has a scale of its own. Click to change it.",
            Self::Splits => "Channels that splitting adds.",
            Self::Clip => "How the clip threshold is chosen. Click to change it.",
            Self::Rounding => "Which integer each weight gets. Click to change it.",
            Self::Lost => {
                "What the network loses with only this layer quantized, on the first samples: points of accuracy, added perplexity, or SQNR of the outputs where there are no labels. The longest bar is the worst layer."
            }
            Self::InputMax => "The largest |x| that flows into the layer, on the samples that ranges come from.",
            Self::InputOutliers => {
                "Channels of the layer's input with values beyond the set number of standard deviations."
            }
            Self::InputRatio => {
                "The largest |x| of the largest input channel over that of the median channel: one far channel stretches the grid of all."
            }
            Self::Sqnr => {
                "Strength of the weights over strength of their quantization error under the present recipe. More is better; 6 dB is one bit."
            }
        }
    }
}

/// The title of a column; tells a click. `descending` is the direction if it is the one sorted by.
pub(super) fn header_ui(ui: &mut Ui, column: Field, order: &LayerOrder<'_>, descending: Option<bool>) -> bool {
    let heading = Heading {
        title: column.title(order),
        help: column.tooltip(),
        is_text: matches!(
            column,
            Field::Name | Field::Op | Field::Shape | Field::Outline | Field::Scales | Field::Clip | Field::Rounding
        ),
    };
    heading.sort_ui(
        ui,
        match descending {
            None => Sorted::No,
            Some(true) => Sorted::Descending,
            Some(false) => Sorted::Ascending,
        },
    )
}

/// Which columns are shown where not all fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Columns {
    /// What the layers are and what becomes of them.
    #[default]
    Facts,
    /// The recipe as it holds for each.
    Settings,
    /// What flows into each.
    Inputs,
}

impl Columns {
    /// Those besides the facts, with what they are called and what is said of them.
    pub(super) const OTHERS: [(Self, &'static str, &'static str, &'static str); 2] = [
        (
            Self::Settings,
            "settings",
            "Layer settings as columns",
            "Show the settings that hold for each layer: bits, scales, clip, rounding. Click one to change it; \
             Ctrl or Shift selects several rows.",
        ),
        (
            Self::Inputs,
            "inputs",
            "Layer inputs as columns",
            "Show what flows into each layer: the largest |x|, the outlier channels, and how far the largest channel is from \
             the median one.",
        ),
    ];

    /// The columns that fit into `width` points: the least telling ones go first.
    pub(super) fn fields(self, width: f32) -> Cow<'static, [Field]> {
        let fields: &[Field] = match self {
            Self::Facts => return FACTS.into_iter().filter(|fact| fits(*fact, width)).collect(),
            Self::Settings if width < 460.0 => &[Field::Name, Field::Bits, Field::Scales, Field::Clip, Field::Rounding],
            Self::Settings => &[
                Field::Name,
                Field::Bits,
                Field::Scales,
                Field::Splits,
                Field::Clip,
                Field::Rounding,
                Field::Lost,
            ],
            Self::Inputs if width < 420.0 => &[Field::Name, Field::InputMax, Field::InputOutliers, Field::InputRatio],
            Self::Inputs => &[
                Field::Name,
                Field::InputMax,
                Field::InputOutliers,
                Field::InputRatio,
                Field::Sqnr,
                Field::Lost,
            ],
        };
        Cow::Borrowed(fields)
    }
}

/// All facts, in their order.
const FACTS: [Field; 14] = [
    Field::Name,
    Field::Op,
    Field::Shape,
    Field::Parameters,
    Field::Outline,
    Field::Max,
    Field::Outliers,
    Field::Bits,
    Field::Scales,
    Field::Splits,
    Field::Clip,
    Field::Rounding,
    Field::Sqnr,
    Field::Lost,
];

/// Whether a fact has room in a table of `width` points.
fn fits(fact: Field, width: f32) -> bool {
    match fact {
        Field::Max => width >= 322.0,
        // Where there is no room for both, the other columns tell more.
        Field::Outline => (420.0..540.0).contains(&width) || width >= 940.0,
        Field::Op | Field::Shape | Field::Parameters | Field::Outliers => width >= 540.0,
        Field::Bits | Field::Scales | Field::Splits | Field::Clip | Field::Rounding => width >= 850.0,
        _ => true,
    }
}

/// One cell of the row of layer `index`; names lack the end that all share.
pub(super) fn cell_ui(
    ui: &mut Ui,
    field: Field,
    (open, sigma): (&OpenNetwork, f64),
    order: &LayerOrder<'_>,
    input: Option<&InputFacts>,
    index: usize,
    common_end: usize,
) {
    let layer = &open.original.network.layers[index];
    let facts = &open.shown().layers[index];
    let known = |ui: &mut Ui, number: String| match &facts.statistics {
        Ok(_) => number_cell(ui, &number),
        Err(_) if facts.pending => {
            ui.label(note("…"));
        }
        Err(reason) => {
            ui.colored_label(tokens(ui).error, "?")
                .on_hover_text(reason.to_string());
        }
    };
    match field {
        Field::Name => name_ui(ui, open, layer, common_end),
        Field::Op => text_cell(ui, &layer.op),
        Field::Shape => text_cell(ui, &text::shape(&layer.shape)),
        Field::Parameters => number_cell(ui, &text::short_count(layer.parameters())),
        Field::Outline => {
            if let (Some(outline), Ok(statistics)) = (&facts.outline, &facts.statistics) {
                outline_ui(ui, outline, statistics, sigma);
            }
        }
        Field::Max => {
            let max = facts.farthest_in_sigma();
            known(ui, max.map_or_else(String::new, |max| format!("{max:.1} σ")));
        }
        Field::Outliers => known(ui, text::short_count(facts.outliers)),
        Field::Bits | Field::Scales | Field::Splits | Field::Clip | Field::Rounding => {
            setting_ui(ui, field, open, index);
        }
        Field::Sqnr => sqnr_ui(ui, open.planned().map(|(_, planned)| planned), layer, index),
        Field::Lost => lost_ui(ui, order, index),
        Field::InputMax | Field::InputOutliers | Field::InputRatio => {
            if let Some(input) = input {
                number_cell(ui, &input_text(field, input));
            }
        }
    }
}

/// What a column of inputs shows of one; nothing where it is not known.
fn input_text(field: Field, input: &InputFacts) -> String {
    let spread = input.spread.as_ref();
    let text = match field {
        Field::InputOutliers => spread
            .and_then(|spread| spread.outliers)
            .map(|count| text::short_count(count as u64)),
        Field::InputRatio => {
            let ratio = spread.and_then(|spread| spread.ratio_to_median);
            ratio.map(|ratio| format!("{} ×", text::three_digits(ratio)))
        }
        _ => Some(text::three_digits(f64::from(input.max_abs))),
    };
    text.unwrap_or_default()
}

/// One cell of the row of a block: the sum of its layers, or the worst of them.
pub(super) fn block_cell_ui(
    ui: &mut Ui,
    field: Field,
    open: &OpenNetwork,
    order: &LayerOrder<'_>,
    inputs: &[Option<InputFacts>],
    block: &Block,
    is_folded: bool,
) {
    let members = || block.layers.iter().map(|(_, layer)| *layer);
    let facts = |layer: usize| open.shown().layers.get(layer);
    match field {
        Field::Name => {
            let mark = if is_folded { "▶" } else { "▼" };
            let count = text::plural(block.layers.len() as u64, "layer", "layers");
            let response = elided_after(ui, &format!("{mark} "), &block.name, ui.available_width());
            response
                .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("Block {}", block.name)));
            let act = if is_folded {
                "Click to list them."
            } else {
                "Click to fold them away."
            };
            response.on_hover_text(format!("{}: {count}. {act}", block.name));
        }
        Field::Parameters => {
            let weights = members().filter_map(|layer| Some(open.original.network.layers.get(layer)?.parameters()));
            number_cell(ui, &text::short_count(weights.sum()));
        }
        Field::Max => {
            let max = members().filter_map(|layer| facts(layer)?.farthest_in_sigma());
            if let Some(max) = max.max_by(f64::total_cmp) {
                number_cell(ui, &format!("{max:.1} σ"));
            }
        }
        Field::Outliers => {
            let outliers = members().filter_map(|layer| Some(facts(layer)?.outliers));
            number_cell(ui, &text::short_count(outliers.sum()));
        }
        Field::Splits => {
            let plan = open.planned().map(|(_, planned)| &planned.plan);
            let splits = members().filter_map(|layer| Some(plan?.layers.get(layer)?.quantized()?.splits.len()));
            number_cell(ui, &splits.sum::<usize>().to_string());
        }
        Field::Sqnr => {
            let plan = open.planned().map(|(_, planned)| &planned.plan);
            let errors = members().filter_map(|layer| Some(plan?.layers.get(layer)?.quantized()?.sqnr_db));
            if let Some(worst) = errors.min_by(f64::total_cmp) {
                decibels_ui(ui, worst);
            }
        }
        Field::Lost => {
            let error = |layer: &usize| {
                order
                    .costs
                    .get(*layer)
                    .copied()
                    .flatten()
                    .map(LayerSensitivity::output_error)
            };
            let known = members().filter(|layer| error(layer).is_some());
            if let Some(worst) = known.max_by(|a, b| error(a).unwrap_or(0.0).total_cmp(&error(b).unwrap_or(0.0))) {
                lost_ui(ui, order, worst);
            }
        }
        Field::InputMax | Field::InputOutliers | Field::InputRatio => {
            let inputs = members().filter_map(|layer| inputs.get(layer)?.as_ref());
            let number = |input: &&InputFacts| input_number(field, input).unwrap_or(-1.0);
            if let Some(worst) = inputs.max_by(|a, b| number(a).total_cmp(&number(b))) {
                number_cell(ui, &input_text(field, worst));
            }
        }
        Field::Op | Field::Shape | Field::Outline | Field::Bits | Field::Scales | Field::Clip | Field::Rounding => {}
    }
}

/// The number that a column of inputs sorts by.
pub(super) fn input_number(field: Field, input: &InputFacts) -> Option<f64> {
    match field {
        Field::InputOutliers => input.spread?.outliers.map(|count| count as f64),
        Field::InputRatio => input.spread?.ratio_to_median,
        _ => Some(f64::from(input.max_abs)),
    }
}

/// What the layer costs, on a bar as long as its share of what the worst layer does.
fn lost_ui(ui: &mut Ui, order: &LayerOrder<'_>, index: usize) {
    let Some(cost) = order.costs.get(index).copied().flatten() else {
        if order.leaves_out(index) {
            left_out_ui(ui, order);
        }
        return;
    };
    let share = order.share_of_worst(index).unwrap_or(0.0) as f32;
    let cell = ui.max_rect();
    if ui.rect_contains_pointer(cell) {
        ui.interact(cell, ui.scope_id().with("lost"), Sense::hover())
            .on_hover_text(cost_text(cost));
    }
    let bar = Rect::from_min_size(pos2(cell.min.x, cell.max.y - 4.0), vec2(cell.width() * share, 3.0));
    let color = tokens(ui).cost(f64::from(share));
    ui.painter().rect_filled(bar, 1.0, color);
    let shown = match cost.accuracy_lost() {
        // Inputs made up anew, or on another processor, move it by some tenths.
        AccuracyLost::OutputDb(db) if order.basis == Some(OrderBasis::Estimate) => format!("≈ {db:.0} dB"),
        lost if order.basis == Some(OrderBasis::Estimate) => format!("≈ {}", lost_text(lost)),
        // The unit, which the title's help tells, has no room beside such a number.
        AccuracyLost::Perplexity(added) if is_huge(added) => one_digit(added),
        lost => lost_text(lost),
    };
    number_cell(ui, &shown);
}

/// The cell of a layer that was not run by itself because the network is so deep.
fn left_out_ui(ui: &mut Ui, order: &LayerOrder<'_>) {
    let cell = ui.max_rect();
    if ui.rect_contains_pointer(cell) {
        let (layers, most) = (order.costs.len(), most_ranked(order.costs.len()));
        let why = format!(
            "Not run by itself: of {layers} layers the {most} whose weights have the largest error are. \
             Errors, Curves and sensitivity, runs all."
        );
        ui.interact(cell, ui.scope_id().with("left out"), Sense::hover())
            .on_hover_text(why);
    }
    number_cell(ui, "–");
}

fn name_ui(ui: &mut Ui, open: &OpenNetwork, layer: &Layer, common_end: usize) {
    let width = ui.available_width();
    let exception = open.recipe().layers.contains_key(&layer.name);
    let mark = if exception { 12.0 } else { 0.0 };
    let shown = layer.name.get(..layer.name.len() - common_end).unwrap_or(&layer.name);
    let response = elided_label(ui, shown, width - mark);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &layer.name));
    if common_end > 0 {
        response.on_hover_text(&layer.name);
    }
    if exception {
        ui.spacing_mut().item_spacing.x = 2.0;
        ui.label("•").on_hover_text("This layer has settings of its own.");
    }
}

/// Splits as planned; the other settings are drawn where they are changed, of a layer that can be quantized.
fn setting_ui(ui: &mut Ui, field: Field, open: &OpenNetwork, index: usize) {
    let plan = open.planned().and_then(|(_, planned)| planned.plan.layers.get(index));
    let inputs = plan.and_then(LayerPlan::inputs).filter(|_| field == Field::Splits);
    if let Some(inputs) = inputs {
        number_cell(ui, &inputs.splits.len().to_string());
    }
}

fn sqnr_ui(ui: &mut Ui, planned: Option<&Planned>, layer: &Layer, index: usize) {
    let Some(plan) = planned.and_then(|planned| planned.plan.layers.get(index)) else {
        ui.label(note("…"));
        return;
    };
    match &plan.outcome {
        Outcome::Float(reason) => {
            ui.add(egui::Label::new(note(text::not_planned(layer))).selectable(false))
                .on_hover_text(reason);
        }
        Outcome::Expanded(float) => {
            ui.add(egui::Label::new(note("float")).selectable(false))
                .on_hover_text(float.describe());
        }
        Outcome::Quantized(quantized) => {
            decibels_ui(ui, quantized.sqnr_db);
        }
    }
}

/// An error with its colour.
fn decibels_ui(ui: &mut Ui, sqnr_db: f64) {
    let (rect, _) = ui.allocate_exact_size(vec2(10.0, 12.0), Sense::hover());
    let color = tokens(ui).sqnr(sqnr_db);
    ui.painter()
        .rect(rect, 2.0, color, thin(tokens(ui).grid), egui::StrokeKind::Inside);
    ui.spacing_mut().item_spacing.x = 4.0;
    number_cell(ui, &text::decibels(sqnr_db));
}
