//! The table of layers: virtual rows, sorted, filtered, coloured by error, walked with the arrow keys.

mod blocks;
mod cells;
mod edit;
mod outline;

use super::Outbox;
use super::inputs::{InputFacts, Inputs};
use super::learn::glossary::{Term, words_help_ui};
use super::text::{self, note};
use super::widgets::{ROW_HEIGHT, column};
use crate::inference::LayerSensitivity;
use crate::network::common_end;
use crate::printable::csv::cell;
use crate::quantization::LayerPlan;
use crate::session::{Action, LayerFacts, LayerOrder, OpenNetwork, PlanSummary};
use blocks::{MANY, Row};
use cells::{Columns, Field, block_cell_ui, cell_ui, header_ui, input_number};
use egui::{Align, Button, Key, Layout, Modifiers, Role, Sense, Ui, WidgetInfo};
use egui_extras::TableBuilder;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Below this width labels give way to what they are for, points.
const NARROW: f32 = 290.0;

/// The words of the table.
const WORDS: [Term; 5] = [Term::Layer, Term::Outlier, Term::Sigma, Term::Sqnr, Term::Bits];

/// What the order of rows was computed from.
struct OrderKey {
    filter: String,
    field: Field,
    descending: bool,
    facts: Arc<Vec<LayerFacts>>,
    /// The layers with settings of their own, if only they are listed.
    exceptions: Option<BTreeSet<String>>,
    /// The errors, if they are sorted by.
    plan: Option<Arc<PlanSummary>>,
    /// What layers cost, if they are sorted by that.
    costs: Vec<f64>,
    /// The inputs, if they are sorted by.
    inputs: Option<Arc<Vec<Option<InputFacts>>>>,
}

impl OrderKey {
    fn same(&self, other: &Self) -> bool {
        let plans = match (&self.plan, &other.plan) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        let inputs = |key: &Self| key.inputs.as_ref().map(Arc::as_ptr);
        plans
            && inputs(self) == inputs(other)
            && Arc::ptr_eq(&self.facts, &other.facts)
            && self.exceptions == other.exceptions
            && self.costs == other.costs
            && (&self.filter, self.field, self.descending) == (&other.filter, other.field, other.descending)
    }
}

/// State of the table between frames.
pub(super) struct LayerTable {
    filter: String,
    field: Field,
    descending: bool,
    order: Option<(OrderKey, Vec<usize>)>,
    /// Bytes at the end of every name that tell nothing, such as `.weight`.
    common_end: usize,
    focus_filter: bool,
    /// Only layers with settings of their own are listed.
    only_exceptions: bool,
    /// The selection was moved by key to this layer: bring it into sight.
    scroll_to: Option<usize>,
    /// Facts of the layers, or their settings.
    columns: Columns,
    /// Layers that are chosen besides the selected one: what is set for one of them is set for all.
    marked: BTreeSet<usize>,
    /// What is known of the layers' inputs.
    inputs: Inputs,
    /// Whether blocks have rows of their own; by the number of layers until somebody says.
    grouped: Option<bool>,
    /// Blocks whose layers are not listed.
    folded: BTreeSet<usize>,
    /// Layers as they were listed last.
    listed: Vec<usize>,
}

impl Default for LayerTable {
    fn default() -> Self {
        Self {
            filter: String::new(),
            field: Field::Name,
            descending: false,
            order: None,
            common_end: 0,
            focus_filter: false,
            only_exceptions: false,
            scroll_to: None,
            columns: Columns::default(),
            marked: BTreeSet::new(),
            inputs: Inputs::default(),
            grouped: None,
            folded: BTreeSet::new(),
            listed: Vec::new(),
        }
    }
}

impl LayerTable {
    /// Puts the keyboard into the filter.
    pub(super) fn focus_filter(&mut self) {
        self.focus_filter = true;
    }

    /// Lists only the layers with settings of their own.
    pub(super) fn show_exceptions(&mut self) {
        self.only_exceptions = true;
    }

    /// Selects the row `step` rows further down.
    pub(super) fn walk(&mut self, open: &OpenNetwork, step: isize, out: &mut Outbox) {
        let row = self.listed.iter().position(|&layer| layer == open.selected());
        let next = row.map_or(0, |row| {
            row.saturating_add_signed(step).min(self.listed.len().saturating_sub(1))
        });
        if let Some(&layer) = self.listed.get(next) {
            out.actions.push(Action::SelectLayer(layer));
            self.scroll_to = Some(layer);
        }
    }

    /// Draws the table.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, sigma: f64, out: &mut Outbox) {
        self.filter_ui(ui, sigma, out);
        self.exceptions_ui(ui, open);
        self.marked_ui(ui, open);
        let costs = open.layer_order();
        let inputs = Arc::clone(self.inputs.update(open, sigma));
        if self.columns == Columns::Inputs && inputs.is_empty() {
            inputs_missing_ui(ui, open, out);
        }
        self.update_order(open, &costs, &inputs);
        let (up, down) = ui.input(|input| (input.key_pressed(Key::ArrowUp), input.key_pressed(Key::ArrowDown)));
        if (up || down) && ui.memory(|memory| memory.focused().is_none()) {
            self.walk(open, if up { -1 } else { 1 }, out);
        }
        let order = self.order.as_ref().map_or(&[][..], |(_, order)| order.as_slice());
        if order.is_empty() && !self.filter.is_empty() {
            ui.label(format!("No layer matches '{}'.", self.filter));
            return;
        }
        let blocks = open.original.network.blocks();
        let rows = if self.is_grouped(open) {
            blocks::rows(order, blocks, &self.folded)
        } else {
            order.iter().copied().map(Row::Layer).collect()
        };
        self.listed = rows.iter().filter_map(|row| row.layer()).collect();
        let scroll_to = self.scroll_to.take();
        let scroll_to = scroll_to.and_then(|layer| rows.iter().position(|row| *row == Row::Layer(layer)));
        let mut sort = None;
        let fields = self.columns.fields(ui.available_width());
        let least_name = if ui.available_width() < NARROW { 64.0 } else { 88.0 };
        let (modifiers, marked) = (ui.input(|input| input.modifiers), self.marked.clone());
        let (mut clicked, mut folding) = (None, None);
        let mut table = TableBuilder::new(ui)
            .id_salt(("layers", fields.len()))
            .striped(true)
            .sense(Sense::click())
            .cell_layout(Layout::left_to_right(Align::Center))
            .auto_shrink(false);
        for field in fields.iter() {
            table = table.column(column(field.width(), least_name));
        }
        if let Some(row) = scroll_to {
            table = table.scroll_to_row(row, None);
        }
        let (field, descending, common_end) = (self.field, self.descending, self.common_end);
        table
            .header(ROW_HEIGHT, |mut header| {
                for &titled in fields.iter() {
                    header.col(|ui| {
                        if header_ui(ui, titled, &costs, (titled == field).then_some(descending)) {
                            sort = Some(titled);
                        }
                    });
                }
            })
            .body(|body| {
                body.rows(ROW_HEIGHT, rows.len(), |mut row| {
                    let layer = match rows[row.index()] {
                        Row::Layer(layer) => layer,
                        Row::Block(number) => {
                            let (block, is_folded) = (&blocks.blocks[number], self.folded.contains(&number));
                            for &field in fields.iter() {
                                row.col(|ui| block_cell_ui(ui, field, open, &costs, &inputs, block, is_folded));
                            }
                            let response = row.response();
                            if response.clicked() {
                                folding = Some(Folding::One(number));
                            }
                            response.context_menu(|ui| folding = folding_menu(ui).or(folding));
                            return;
                        }
                    };
                    row.set_selected(layer == open.selected() || marked.contains(&layer));
                    let targets = edit::targets(layer, &marked);
                    for &field in fields.iter() {
                        row.col(|ui| {
                            if !edit::cell_ui(ui, field, open, &targets, layer, out) {
                                let input = inputs.get(layer).and_then(Option::as_ref);
                                cell_ui(ui, field, (open, sigma), &costs, input, layer, common_end);
                            }
                        });
                    }
                    let response = row.response();
                    if response.clicked() {
                        clicked = Some(layer);
                    }
                    response.context_menu(|ui| {
                        edit::bits_menu(ui, open, &targets, order, out);
                        ui.separator();
                        row_menu(ui, open, &inputs, layer, order);
                        if blocks.are_some() {
                            ui.separator();
                            folding = folding_menu(ui).or(folding);
                        }
                    });
                });
            });
        if let Some(layer) = clicked {
            let (rows, selected) = (std::mem::take(&mut self.listed), open.selected());
            self.click(&rows, selected, layer, modifiers, out);
            self.listed = rows;
        }
        if let Some(folding) = folding {
            self.fold(folding, blocks.blocks.len());
        }
        if let Some(field) = sort {
            // Numbers are worst first at the first click, names in order.
            self.descending = if field == self.field {
                !self.descending
            } else {
                !matches!(
                    field,
                    Field::Name | Field::Op | Field::Sqnr | Field::Bits | Field::Scales | Field::Clip | Field::Rounding
                )
            };
            self.field = field;
        }
    }

    /// Whether the rows of blocks are listed: in the network's order, of all layers.
    fn is_grouped(&self, open: &OpenNetwork) -> bool {
        let network = &open.original.network;
        let is_wanted = self.grouped.unwrap_or(network.layers.len() >= MANY);
        let is_whole = self
            .order
            .as_ref()
            .is_some_and(|(_, order)| order.len() == network.layers.len());
        is_wanted && is_whole && self.field == Field::Name && !self.descending && network.blocks().are_some()
    }

    fn fold(&mut self, folding: Folding, blocks: usize) {
        match folding {
            Folding::One(block) => {
                if !self.folded.remove(&block) {
                    self.folded.insert(block);
                }
            }
            Folding::All => {
                (self.grouped, self.field, self.descending) = (Some(true), Field::Name, false);
                self.folded = (0..blocks).collect();
            }
            Folding::Nothing => {
                (self.grouped, self.field, self.descending) = (Some(true), Field::Name, false);
                self.folded.clear();
            }
            Folding::Off => self.grouped = Some(false),
        }
    }

    /// A click on a row: alone it selects the layer; with Ctrl it marks it too, with Shift all from the selected one on.
    fn click(&mut self, rows: &[usize], selected: usize, layer: usize, modifiers: Modifiers, out: &mut Outbox) {
        let place = |layer: usize| rows.iter().position(|of| *of == layer);
        if modifiers.shift
            && let (Some(from), Some(to)) = (place(selected), place(layer))
        {
            self.marked = rows[from.min(to)..=from.max(to)].iter().copied().collect();
        } else if modifiers.command {
            self.marked.insert(selected);
            if layer != selected && !self.marked.insert(layer) {
                self.marked.remove(&layer);
            }
        } else {
            self.marked.clear();
            out.actions.push(Action::SelectLayer(layer));
        }
    }

    /// How many layers are chosen, and the way back to one.
    fn marked_ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        let count = open.original.network.layers.len();
        self.marked.retain(|layer| *layer < count);
        if self.marked.len() < 2 {
            return;
        }
        ui.horizontal(|ui| {
            ui.label(note(format!(
                "{} layers selected: a setting of one is set for all",
                self.marked.len()
            )));
            if ui.small_button("one").on_hover_text("Select one layer only.").clicked() {
                self.marked.clear();
            }
        });
    }

    fn filter_ui(&mut self, ui: &mut Ui, sigma: f64, out: &mut Outbox) {
        let is_narrow = ui.available_width() < NARROW;
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let mut value = sigma;
                let drag = egui::DragValue::new(&mut value)
                    .range(1.0..=20.0)
                    .speed(0.05)
                    .max_decimals(1)
                    .suffix(" σ");
                let response = ui
                    .add(drag)
                    .on_hover_text("How many standard deviations from the mean make an outlier.");
                let changed = if is_narrow {
                    response.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, "outliers >"));
                    response.changed()
                } else {
                    let label = ui.label(note("outliers >"));
                    response.labelled_by(label.id).changed()
                };
                if changed {
                    out.actions.push(Action::SetSigma(value));
                }
                if !is_narrow {
                    words_help_ui(ui, "the layers", &WORDS);
                }
                for (columns, text, label, help) in Columns::OTHERS.into_iter().rev() {
                    let is_shown = self.columns == columns;
                    let button = ui.add(Button::selectable(is_shown, text).small()).on_hover_text(help);
                    button.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, is_shown, label));
                    if button.clicked() {
                        self.columns = if is_shown { Columns::Facts } else { columns };
                    }
                }
                let filter = egui::TextEdit::singleline(&mut self.filter)
                    .hint_text("filter…")
                    .desired_width(f32::INFINITY);
                let response = ui.add(filter);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::TextInput, true, "Filter layers"));
                if std::mem::take(&mut self.focus_filter) {
                    response.request_focus();
                }
            });
        });
    }

    /// That only some layers are listed, and the way back.
    fn exceptions_ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        self.only_exceptions &= !open.recipe().layers.is_empty();
        if self.only_exceptions {
            ui.horizontal(|ui| {
                ui.label(note("only layers with own settings"));
                let all = ui.small_button("all layers").on_hover_text("List all layers again.");
                self.only_exceptions = !all.clicked();
            });
        }
    }

    fn update_order(&mut self, open: &OpenNetwork, costs: &LayerOrder<'_>, inputs: &Arc<Vec<Option<InputFacts>>>) {
        let key = OrderKey {
            filter: self.filter.trim().to_lowercase(),
            field: self.field,
            descending: self.descending,
            facts: Arc::clone(&open.shown().layers),
            exceptions: self
                .only_exceptions
                .then(|| open.recipe().layers.keys().cloned().collect()),
            plan: (open.planned().filter(|_| self.field.depends_on_the_recipe()))
                .map(|(_, planned)| Arc::clone(&planned.summary)),
            costs: if self.field == Field::Lost {
                let cost = |cost: &Option<&LayerSensitivity>| cost.map_or(-1.0, LayerSensitivity::output_error);
                costs.costs.iter().map(cost).collect()
            } else {
                Vec::new()
            },
            inputs: self.field.is_of_inputs().then(|| Arc::clone(inputs)),
        };
        if self.order.as_ref().is_some_and(|(known, _)| known.same(&key)) {
            return;
        }
        let layers = &open.shown().network.layers;
        self.common_end = common_end(layers.iter().map(|layer| layer.name.as_str()));
        let matches = |&index: &usize| {
            let layer = &layers[index];
            if key.exceptions.as_ref().is_some_and(|own| !own.contains(&layer.name)) {
                return false;
            }
            key.filter.is_empty()
                || layer.name.to_lowercase().contains(&key.filter)
                || layer.op.to_lowercase().contains(&key.filter)
        };
        let mut order: Vec<usize> = (0..layers.len()).filter(matches).collect();
        let settings = |index: usize| open.settings(index).weights;
        let splits = |index: usize| {
            let plan = open.planned().and_then(|(_, planned)| planned.plan.layers.get(index));
            plan.and_then(LayerPlan::quantized)
                .map_or(0, |quantized| quantized.splits.len())
        };
        let number = |index: usize| match key.field {
            Field::Parameters => layers[index].parameters() as f64,
            Field::Max | Field::Outline => key.facts[index].farthest_in_sigma().unwrap_or(-1.0),
            Field::Outliers => key.facts[index].outliers as f64,
            // Layers without an error stand behind those with one.
            Field::Sqnr => key
                .plan
                .as_ref()
                .and_then(|plan| plan.sqnr_db(index))
                .unwrap_or(f64::INFINITY),
            Field::Lost => key.costs.get(index).copied().unwrap_or(-1.0),
            Field::Bits => settings(index).bits.grid().map_or(f64::INFINITY, f64::from),
            Field::Splits => splits(index) as f64,
            Field::InputMax | Field::InputOutliers | Field::InputRatio => {
                let input = inputs.get(index).and_then(Option::as_ref);
                input.and_then(|input| input_number(key.field, input)).unwrap_or(-1.0)
            }
            Field::Name | Field::Op | Field::Shape | Field::Scales | Field::Clip | Field::Rounding => index as f64,
        };
        order.sort_by(|&a, &b| match key.field {
            Field::Op => layers[a].op.cmp(&layers[b].op),
            Field::Shape => layers[a].shape.cmp(&layers[b].shape),
            Field::Scales => settings(a).scales.to_string().cmp(&settings(b).scales.to_string()),
            Field::Clip => text::clip(settings(a).clip).cmp(&text::clip(settings(b).clip)),
            Field::Rounding => settings(a).rounding.to_string().cmp(&settings(b).rounding.to_string()),
            _ => number(a).total_cmp(&number(b)),
        });
        if key.descending {
            order.reverse();
        }
        self.order = Some((key, order));
    }
}

/// What becomes of the rows of blocks.
#[derive(Clone, Copy)]
enum Folding {
    /// That block is folded, or opened again.
    One(usize),
    All,
    Nothing,
    /// Blocks have no rows.
    Off,
}

/// How blocks are listed: right-click.
fn folding_menu(ui: &mut Ui) -> Option<Folding> {
    let choices = [
        (
            "Fold all blocks",
            Folding::All,
            "One row for each block that the network repeats.",
        ),
        (
            "Open all blocks",
            Folding::Nothing,
            "The layers of each block below its row.",
        ),
        ("No rows for blocks", Folding::Off, "List layers only."),
    ];
    let mut chosen = None;
    for (text, folding, help) in choices {
        if ui.button(text).on_hover_text(help).clicked() {
            chosen = Some(folding);
            ui.close();
        }
    }
    chosen
}

/// Says why nothing is known of the inputs, and begins to find out.
fn inputs_missing_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    if let Some(reason) = open.original.network.why_not_runnable.as_deref() {
        ui.label(note(format!("No inputs to show: {reason}.")));
    } else if let Some(reason) = open.calibration_failure() {
        ui.label(note(format!("The inputs could not be measured: {reason}")));
    } else {
        ui.label(note("Measuring what flows into the layers…"));
        if !open.wants_activations() {
            out.actions.push(Action::ShowActivations);
        }
    }
}

/// What can be copied of a row: right-click.
fn row_menu(ui: &mut Ui, open: &OpenNetwork, inputs: &[Option<InputFacts>], layer: usize, order: &[usize]) {
    let rows = [
        ("Copy name", "The layer's full name."),
        ("Copy row", "The layer's numbers, as CSV."),
        ("Copy table", "All rows in their present order, as CSV."),
    ];
    for (text, what) in rows {
        if ui.button(text).on_hover_text(what).clicked() {
            let copied = match text {
                "Copy name" => open.original.network.layers[layer].name.clone(),
                "Copy row" => csv(open, inputs, &[layer]),
                _ => csv(open, inputs, order),
            };
            ui.ctx().copy_text(copied);
            ui.close();
        }
    }
}

/// The numbers of those layers, a row each.
fn csv(open: &OpenNetwork, inputs: &[Option<InputFacts>], layers: &[usize]) -> String {
    let mut text =
        "layer,operator,shape,weights,farthest weight in sigma,outliers,SQNR in dB,output SQNR of this layer only in dB,\
         largest |x|,outlier channels of the input,largest channel over the median one\n"
            .to_owned();
    let costs = open.layer_order();
    for &index in layers {
        let (layer, facts) = (&open.original.network.layers[index], &open.shown().layers[index]);
        let plan = open.planned().map(|(_, planned)| &planned.summary);
        let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        let of_input = inputs.get(index).and_then(Option::as_ref);
        let input = |field| number(of_input.and_then(|input| input_number(field, input)));
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{},{},{}",
            cell(&layer.name),
            layer.op,
            text::shape(&layer.shape),
            layer.parameters(),
            number(facts.farthest_in_sigma()),
            facts.outliers,
            number(plan.and_then(|plan| plan.sqnr_db(index))),
            number(costs.costs.get(index).copied().flatten().and_then(|cost| cost.sqnr_db)),
            input(Field::InputMax),
            input(Field::InputOutliers),
            input(Field::InputRatio)
        );
    }
    text
}
