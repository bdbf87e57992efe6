//! The table of layers: virtual rows, sorted, filtered, coloured by error, walked with the arrow keys.

mod cells;
mod edit;

use super::Outbox;
use super::learn::glossary::{Term, words_help_ui};
use super::text::{self, note};
use super::widgets::{ROW_HEIGHT, column};
use crate::inference::LayerSensitivity;
use crate::printable::csv::cell;
use crate::quantization::LayerPlan;
use crate::session::{Action, LayerFacts, LayerOrder, OpenNetwork, PlanSummary};
use cells::{Columns, Field, cell_ui, header_ui};
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
}

impl OrderKey {
    fn same(&self, other: &Self) -> bool {
        let plans = match (&self.plan, &other.plan) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        plans
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
    /// The selection was moved by key: bring it into sight.
    scroll_to: Option<usize>,
    /// Facts of the layers, or their settings.
    columns: Columns,
    /// Layers that are chosen besides the selected one: what is set for one of them is set for all.
    marked: BTreeSet<usize>,
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
        let Some((_, order)) = &self.order else { return };
        let row = order.iter().position(|&layer| layer == open.selected());
        let next = row.map_or(0, |row| {
            row.saturating_add_signed(step).min(order.len().saturating_sub(1))
        });
        if let Some(&layer) = order.get(next) {
            out.actions.push(Action::SelectLayer(layer));
            self.scroll_to = Some(next);
        }
    }

    /// Draws the table.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, sigma: f64, out: &mut Outbox) {
        self.filter_ui(ui, sigma, out);
        self.exceptions_ui(ui, open);
        self.marked_ui(ui, open);
        let costs = open.layer_order();
        self.update_order(open, &costs);
        let (up, down) = ui.input(|input| (input.key_pressed(Key::ArrowUp), input.key_pressed(Key::ArrowDown)));
        if (up || down) && ui.memory(|memory| memory.focused().is_none()) {
            self.walk(open, if up { -1 } else { 1 }, out);
        }
        let order = self.order.as_ref().map_or(&[][..], |(_, order)| order.as_slice());
        if order.is_empty() && !self.filter.is_empty() {
            ui.label(format!("No layer matches '{}'.", self.filter));
            return;
        }
        let scroll_to = self.scroll_to.take();
        let mut sort = None;
        let fields = self.columns.fields(ui.available_width());
        let least_name = if ui.available_width() < NARROW { 64.0 } else { 88.0 };
        let (modifiers, marked) = (ui.input(|input| input.modifiers), self.marked.clone());
        let mut clicked = None;
        let mut table = TableBuilder::new(ui)
            .id_salt(("layers", fields.len()))
            .striped(true)
            .sense(Sense::click())
            .cell_layout(Layout::left_to_right(Align::Center))
            .auto_shrink(false);
        for field in fields {
            table = table.column(column(field.width(), least_name));
        }
        if let Some(row) = scroll_to {
            table = table.scroll_to_row(row, None);
        }
        let (field, descending, common_end) = (self.field, self.descending, self.common_end);
        table
            .header(ROW_HEIGHT, |mut header| {
                for &titled in fields {
                    header.col(|ui| {
                        if header_ui(ui, titled, (titled == field).then_some(descending)) {
                            sort = Some(titled);
                        }
                    });
                }
            })
            .body(|body| {
                body.rows(ROW_HEIGHT, order.len(), |mut row| {
                    let layer = order[row.index()];
                    row.set_selected(layer == open.selected() || marked.contains(&layer));
                    let targets = edit::targets(layer, &marked);
                    for &field in fields {
                        row.col(|ui| {
                            if !edit::cell_ui(ui, field, open, &targets, layer, out) {
                                cell_ui(ui, field, open, &costs, layer, common_end);
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
                        row_menu(ui, open, layer, order);
                    });
                });
            });
        if let Some(layer) = clicked {
            let (rows, selected) = (order.to_vec(), open.selected());
            self.click(&rows, selected, layer, modifiers, out);
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
                let settings = Button::selectable(self.columns == Columns::Settings, "settings").small();
                let help = "Show the settings that hold for each layer: bits, scales, clip, rounding. Click one to change it; \
                            Ctrl or Shift selects several rows.";
                let settings = ui.add(settings).on_hover_text(help);
                settings.widget_info(|| {
                    WidgetInfo::selected(Role::CheckBox, true, self.columns == Columns::Settings, "Layer settings as columns")
                });
                if settings.clicked() {
                    self.columns = self.columns.other();
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

    fn update_order(&mut self, open: &OpenNetwork, costs: &LayerOrder<'_>) {
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
            Field::Max => key.facts[index].max_in_sigma().unwrap_or(-1.0),
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

/// What can be copied of a row: right-click.
fn row_menu(ui: &mut Ui, open: &OpenNetwork, layer: usize, order: &[usize]) {
    let rows = [
        ("Copy name", "The layer's full name."),
        ("Copy row", "The layer's numbers, as CSV."),
        ("Copy table", "All rows in their present order, as CSV."),
    ];
    for (text, what) in rows {
        if ui.button(text).on_hover_text(what).clicked() {
            let copied = match text {
                "Copy name" => open.original.network.layers[layer].name.clone(),
                "Copy row" => csv(open, &[layer]),
                _ => csv(open, order),
            };
            ui.ctx().copy_text(copied);
            ui.close();
        }
    }
}

/// The numbers of those layers, a row each.
fn csv(open: &OpenNetwork, layers: &[usize]) -> String {
    let mut text =
        "layer,operator,shape,weights,largest |w| in sigma,outliers,SQNR in dB,output SQNR of this layer only in dB\n"
            .to_owned();
    let costs = open.layer_order();
    for &index in layers {
        let (layer, facts) = (&open.original.network.layers[index], &open.shown().layers[index]);
        let plan = open.planned().map(|(_, planned)| &planned.summary);
        let number = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{}",
            cell(&layer.name),
            layer.op,
            text::shape(&layer.shape),
            layer.parameters(),
            number(facts.max_in_sigma()),
            facts.outliers,
            number(plan.and_then(|plan| plan.sqnr_db(index))),
            number(costs.costs.get(index).copied().flatten().and_then(|cost| cost.sqnr_db))
        );
    }
    text
}

/// Length of the last dotted part that all names share (`.weight`), 0 if they don't.
fn common_end<'a>(names: impl Iterator<Item = &'a str> + Clone) -> usize {
    let mut all = names.clone();
    let Some(end) = all.next().and_then(|name| name.rfind('.').map(|dot| &name[dot..])) else {
        return 0;
    };
    let shared = names.count() > 1 && all.all(|name| name.len() > end.len() && name.ends_with(end));
    if shared { end.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::common_end;

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
