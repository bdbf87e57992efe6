//! The blocks that a network repeats as a map: a row a block, a column for each of its parts, one number in each cell.

use crate::app::errors::lost_text;
use crate::app::inputs::{InputFacts, Inputs};
use crate::app::plot::export::menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, Token, color_scale_ui, cost_scale_ui, sqnr_scale_ui};
use crate::app::text::{self, note};
use crate::app::theme::{faded, tokens};
use crate::app::{Outbox, text::abbreviated};
use crate::network::Blocks;
use crate::session::{Action, LayerOrder, OpenNetwork};
use egui::{
    Align2, Color32, Painter, Rect, Role, ScrollArea, Sense, StrokeKind, TextStyle, Ui, WidgetInfo, pos2, vec2,
};

/// Height of a row and of the titles, least and greatest width of a column, and of the names of blocks, points.
const ROW: f32 = 20.0;
const COLUMN: (f32, f32) = (58.0, 130.0);
const NAMES: f32 = 128.0;
/// The weakest colour of a cell with a number.
const WEAKEST: f32 = 0.06;

/// What the cells show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Measure {
    #[default]
    Lost,
    Sqnr,
    Max,
    Outliers,
    Ratio,
}

impl Measure {
    const ALL: [Self; 5] = [Self::Lost, Self::Sqnr, Self::Max, Self::Outliers, Self::Ratio];

    fn name(self) -> &'static str {
        match self {
            Self::Lost => "accuracy lost",
            Self::Sqnr => "weight SQNR",
            Self::Max => "max |w|",
            Self::Outliers => "outliers",
            Self::Ratio => "input ratio",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Lost => "What the network loses with only this layer quantized.",
            Self::Sqnr => "SQNR of the layer's weights under the present recipe.",
            Self::Max => "How far from the mean the farthest weight of the layer lies, in standard deviations.",
            Self::Outliers => "The share of the layer's weights beyond the set number of standard deviations.",
            Self::Ratio => {
                "The largest |x| of the largest channel of the layer's input over that of the median channel."
            }
        }
    }

    fn axis(self) -> &'static str {
        match self {
            Self::Lost => "error of the outputs with this layer quantized, share of the worst",
            Self::Sqnr => "SQNR of the weights, dB",
            Self::Max => "farthest weight, σ",
            Self::Outliers => "outliers, % of the weights",
            Self::Ratio => "largest input channel over the median one",
        }
    }
}

/// State between frames.
#[derive(Default)]
pub(super) struct BlockMap {
    measure: Measure,
    inputs: Inputs,
}

/// What the cells are made of.
struct Known<'a> {
    measure: Measure,
    open: &'a OpenNetwork,
    order: LayerOrder<'a>,
    inputs: &'a [Option<InputFacts>],
    /// The largest number of any layer in a block.
    most: f64,
}

impl<'a> Known<'a> {
    fn new(measure: Measure, open: &'a OpenNetwork, inputs: &'a [Option<InputFacts>], blocks: &Blocks) -> Self {
        let mut known = Self {
            measure,
            open,
            order: open.layer_order(),
            inputs,
            most: 0.0,
        };
        let layers = blocks.blocks.iter().flat_map(|block| &block.layers);
        let numbers = layers.filter_map(|(_, layer)| known.number(*layer));
        known.most = numbers.filter(|number| number.is_finite()).fold(0.0, f64::max);
        known
    }

    /// The number of a layer; `None` where it is not known or there is none.
    fn number(&self, layer: usize) -> Option<f64> {
        let facts = self.open.shown().layers.get(layer)?;
        match self.measure {
            Measure::Lost => self.order.share_of_worst(layer),
            Measure::Sqnr => {
                let (_, planned) = self.open.planned()?;
                Some(planned.plan.layers.get(layer)?.quantized()?.sqnr_db)
            }
            Measure::Max => facts.farthest_in_sigma(),
            Measure::Outliers => {
                facts.readable()?;
                let weights = self.open.original.network.layers.get(layer)?.parameters();
                Some(100.0 * facts.outliers as f64 / weights.max(1) as f64)
            }
            Measure::Ratio => self.inputs.get(layer)?.as_ref()?.spread?.ratio_to_median,
        }
    }

    fn text(&self, layer: usize) -> Option<String> {
        let number = self.number(layer)?;
        Some(match self.measure {
            Measure::Lost => lost_text((*self.order.costs.get(layer)?)?.accuracy_lost()),
            Measure::Sqnr => text::decibels(number),
            Measure::Max => format!("{number:.1} σ"),
            Measure::Outliers => text::percent(number / 100.0),
            Measure::Ratio => format!("{} ×", text::three_digits(number)),
        })
    }

    /// The colour of a layer's cell: what stands out is bad.
    fn color(&self, ui: &Ui, layer: usize) -> Option<Color32> {
        let (number, colors) = (self.number(layer)?, tokens(ui));
        Some(match self.measure {
            Measure::Lost => colors.cost(number),
            Measure::Sqnr => colors.sqnr(number),
            Measure::Max | Measure::Outliers | Measure::Ratio => faded(colors.outlier, strength(number, self.most)),
        })
    }

    fn scale_ui(&self, ui: &mut Ui) {
        let outlier = tokens(ui).outlier;
        match self.measure {
            Measure::Lost => cost_scale_ui(ui),
            Measure::Sqnr => sqnr_scale_ui(ui),
            Measure::Max | Measure::Outliers | Measure::Ratio => {
                let most = match self.measure {
                    Measure::Max => format!("{:.1} σ", self.most),
                    Measure::Outliers => text::percent(self.most / 100.0),
                    _ => format!("{} ×", text::three_digits(self.most)),
                };
                let says = format!("Colours of cells: from 0 to {most}");
                color_scale_ui(ui, ["0".to_owned(), most], &says, |share| {
                    faded(outlier, share.max(WEAKEST))
                });
            }
        }
    }
}

/// How strong the colour of a number is beside the largest: the square root shows what is small beside an outlier.
fn strength(number: f64, most: f64) -> f32 {
    if most > 0.0 {
        ((number / most).clamp(0.0, 1.0).sqrt() as f32).max(WEAKEST)
    } else {
        WEAKEST
    }
}

impl BlockMap {
    /// Draws the map.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, sigma: f64, out: &mut Outbox) {
        let blocks = open.original.network.blocks();
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for measure in Measure::ALL {
                ui.selectable_value(&mut self.measure, measure, measure.name())
                    .on_hover_text(measure.help());
            }
        });
        let inputs = std::sync::Arc::clone(self.inputs.update(open, sigma));
        let known = Known::new(self.measure, open, &inputs, blocks);
        ui.horizontal_wrapped(|ui| {
            known.scale_ui(ui);
            if !blocks.outside.is_empty() {
                let layers = &open.original.network.layers;
                let names = blocks.outside.iter().filter_map(|layer| layers.get(*layer));
                let names: Vec<&str> = names.take(12).map(|layer| layer.name.as_str()).collect();
                let more = blocks.outside.len() - names.len();
                let more = if more > 0 {
                    format!("\nand {more} more")
                } else {
                    String::new()
                };
                let count = text::plural(blocks.outside.len() as u64, "layer", "layers");
                ui.label(note(format!("{count} outside of blocks")))
                    .on_hover_text(names.join("\n") + &more);
            }
        });
        if self.measure == Measure::Ratio && inputs.is_empty() && !open.wants_activations() {
            out.actions.push(Action::ShowActivations);
        }
        let all = ui.available_rect_before_wrap();
        let columns = blocks.parts.len().max(1) as f32;
        let width = ((ui.available_width() - NAMES - 12.0) / columns).clamp(COLUMN.0, COLUMN.1);
        ScrollArea::horizontal()
            .id_salt("parts")
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.set_width(NAMES + width * columns);
                titles_ui(ui, blocks, open, width);
                ScrollArea::vertical().id_salt("blocks").auto_shrink(false).show_rows(
                    ui,
                    ROW,
                    blocks.blocks.len(),
                    |ui, rows| {
                        for row in rows {
                            let response = row_ui(ui, &known, blocks, row, width, out);
                            menu(&response, all, out, || figure(&known, blocks));
                        }
                    },
                );
            });
    }
}

/// What the columns are.
fn titles_ui(ui: &mut Ui, blocks: &Blocks, open: &OpenNetwork, width: f32) {
    let size = vec2(NAMES + width * blocks.parts.len() as f32, ROW);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let painter = ui.painter_at(rect);
    let ink = ui.visuals().text_color();
    let names = Rect::from_min_size(rect.min, vec2(NAMES, ROW));
    write(ui, &painter, names, "block", Align2::LEFT_CENTER, ink);
    for (place, part) in blocks.parts.iter().enumerate() {
        let cell = Rect::from_min_size(
            pos2(rect.min.x + NAMES + width * place as f32, rect.min.y),
            vec2(width, ROW),
        );
        write(ui, &painter, cell, part, Align2::CENTER_CENTER, ink);
    }
    if let Some(pointer) = response.hover_pos() {
        let place = ((pointer.x - rect.min.x - NAMES) / width).floor();
        let part = (place >= 0.0).then(|| blocks.parts.get(place as usize)).flatten();
        let of = blocks.blocks.iter().flat_map(|block| &block.layers);
        let layer = of
            .filter(|(part, _)| *part as f32 == place)
            .map(|(_, layer)| *layer)
            .next();
        if let (Some(part), Some(layer)) = (part, layer.and_then(|layer| open.original.network.layers.get(layer))) {
            response.on_hover_text(format!("{part}\n{} {}", layer.op, text::shape(&layer.shape)));
        }
    }
}

/// A block: its name, and a cell for each of its layers. A click selects the layer.
fn row_ui(ui: &mut Ui, known: &Known<'_>, blocks: &Blocks, row: usize, width: f32, out: &mut Outbox) -> egui::Response {
    let block = &blocks.blocks[row];
    let size = vec2(
        NAMES + width * blocks.parts.len() as f32,
        ROW - ui.spacing().item_spacing.y,
    );
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let painter = ui.painter_at(rect);
    let names = Rect::from_min_size(rect.min, vec2(NAMES, rect.height()));
    write(
        ui,
        &painter,
        names,
        &block.name,
        Align2::LEFT_CENTER,
        ui.visuals().text_color(),
    );
    let layers = &known.open.original.network.layers;
    for (part, layer) in &block.layers {
        let left = rect.min.x + NAMES + width * *part as f32;
        let cell = Rect::from_min_size(pos2(left, rect.min.y), vec2(width, rect.height())).shrink(1.0);
        let Some(name) = layers.get(*layer).map(|layer| layer.name.as_str()) else {
            continue;
        };
        let cell_response = ui.interact(cell, ui.scope_id().with(("cell", *layer)), Sense::click());
        let shown = known.text(*layer);
        let label = format!("Cell of {name}, {}", shown.as_deref().unwrap_or("not known"));
        let selected = *layer == known.open.selected();
        cell_response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &label));
        if let Some(color) = known.color(ui, *layer) {
            painter.rect_filled(cell, 2.0, color);
            let ink = ink_on(color, ui.visuals().panel_fill);
            write(
                ui,
                &painter,
                cell,
                shown.as_deref().unwrap_or(""),
                Align2::CENTER_CENTER,
                ink,
            );
        } else {
            write(
                ui,
                &painter,
                cell,
                "–",
                Align2::CENTER_CENTER,
                ui.visuals().weak_text_color(),
            );
        }
        if selected {
            let stroke = egui::Stroke::new(2.0, ui.visuals().selection.stroke.color);
            painter.rect_stroke(cell, 2.0, stroke, StrokeKind::Inside);
        }
        if cell_response.clicked() {
            out.actions.push(Action::SelectLayer(*layer));
        }
        cell_response.on_hover_text(format!(
            "{name}\n{}: {}",
            known.measure.name(),
            shown.as_deref().unwrap_or("not known")
        ));
    }
    response
}

/// A text in its place, cut in the middle where it does not fit.
fn write(ui: &Ui, painter: &Painter, rect: Rect, text: &str, align: Align2, ink: Color32) {
    let font = TextStyle::Small.resolve(ui.style());
    let width = |text: &str| painter.layout_no_wrap(text.to_owned(), font.clone(), ink).size().x;
    let shown = abbreviated(text, |text| width(text) <= rect.width() - 4.0);
    painter.text(align.pos_in_rect(&rect), align, shown, font, ink);
}

/// Black or white, whichever is read better on `color` over `ground`.
fn ink_on(color: Color32, ground: Color32) -> Color32 {
    let seen = ground.blend(color);
    let light = |part: u8| (f32::from(part) / 255.0).powf(2.2);
    let luminance = 0.2126 * light(seen.r()) + 0.7152 * light(seen.g()) + 0.0722 * light(seen.b());
    // Where the contrast with black and with white is the same (WCAG 2.1, relative luminance).
    if luminance > 0.179 {
        Color32::BLACK
    } else {
        Color32::WHITE
    }
}

/// The map, to copy or save.
fn figure(known: &Known<'_>, blocks: &Blocks) -> Figure {
    let column = |(part, name): (usize, &String)| {
        let number = |block: &crate::network::Block| {
            let layer = block.layers.iter().find(|(of, _)| *of == part);
            layer.and_then(|(_, layer)| known.number(*layer)).unwrap_or(f64::NAN)
        };
        let cells = Shape::Cells {
            x: part as f64,
            low: -0.5,
            width: 1.0,
            values: blocks.blocks.iter().map(number).collect(),
        };
        Series::new(name.clone(), Token::Outlier, cells)
    };
    Figure {
        title: format!(
            "{} of the blocks of {}",
            known.measure.name(),
            known.open.original.network.name
        ),
        x: format!("part of the block: {}", known.measure.axis()),
        y: format!(
            "block: 0 is {}",
            blocks.blocks.first().map_or("", |block| block.name.as_str())
        ),
        x_range: (-0.5, blocks.parts.len() as f64 - 0.5),
        y_range: (-0.5, blocks.blocks.len() as f64 - 0.5),
        scale: Scale::Linear,
        series: blocks.parts.iter().enumerate().map(column).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_number_has_the_full_colour_and_a_small_one_is_still_seen() {
        assert_eq!(strength(369.0, 369.0), 1.0);
        assert!((strength(92.25, 369.0) - 0.5).abs() < 1e-6);
        assert_eq!(strength(0.0, 369.0), WEAKEST);
        assert_eq!(strength(1.0, 0.0), WEAKEST);
    }

    #[test]
    fn text_is_read_on_every_colour() {
        assert_eq!(
            ink_on(Color32::from_rgb(0xd5, 0x5e, 0x00), Color32::BLACK),
            Color32::BLACK
        );
        assert_eq!(
            ink_on(Color32::from_rgb(0x20, 0x20, 0x60), Color32::WHITE),
            Color32::WHITE
        );
        assert_eq!(ink_on(Color32::TRANSPARENT, Color32::WHITE), Color32::BLACK);
        assert_eq!(ink_on(Color32::TRANSPARENT, Color32::BLACK), Color32::WHITE);
    }
}
