//! The small picture of one layer.

use crate::app::text;
use crate::app::theme::{Tokens, faded, thin, tokens};
use crate::session::{CARD_BINS, CardErrors, LayerCard, LayerFacts, NoCard, OpenNetwork};
use egui::{
    Align2, Color32, Mesh, Painter, Rangef, Rect, Response, Role, Sense, Shape, StrokeKind, TextStyle, Ui, WidgetInfo,
    pos2, vec2,
};

/// Least width and the height of a card, points.
pub(super) const CARD: egui::Vec2 = vec2(204.0, 96.0);
/// Points between the frame and what is in it.
const MARGIN: f32 = 6.0;
/// Height of the line with the name, of the histogram, of an error bar.
const TITLE: f32 = 16.0;
const HISTOGRAM: f32 = 36.0;
const BAR: f32 = 4.0;

/// What a card needs to be drawn.
pub(super) struct Card<'a> {
    pub(super) layer: usize,
    pub(super) known: Option<&'a Result<LayerCard, NoCard>>,
    /// Standard deviations beyond which a weight is an outlier.
    pub(super) sigma: f64,
    /// Standard deviations that half of the histogram's width stands for.
    pub(super) reach: f64,
    /// What the layer costs the network: as a share of the worst layer, and in words. `None` as long as it is not known.
    pub(super) cost: Option<(f64, String)>,
}

/// Draws a card into `rect`.
pub(super) fn card_ui(ui: &Ui, rect: Rect, open: &OpenNetwork, card: &Card<'_>) -> Response {
    let layer = &open.original.network.layers[card.layer];
    let facts = &open.shown().layers[card.layer];
    let plan = open
        .planned()
        .and_then(|(_, planned)| planned.plan.layers.get(card.layer));
    let sqnr = plan
        .and_then(|plan| plan.quantized())
        .map(|quantized| quantized.sqnr_db);
    let selected = card.layer == open.selected();
    let response = ui.interact(rect, ui.scope_id().with(("card", card.layer)), Sense::click());
    let colors = tokens(ui);
    let number = match (&card.cost, sqnr, plan) {
        (Some((_, lost)), _, _) => lost.clone(),
        (None, Some(sqnr), _) => text::decibels(sqnr),
        (None, None, Some(_)) => text::not_planned(layer).to_owned(),
        (None, None, None) => String::new(),
    };
    // What the layer costs tells more than the error of its weights, which stands for it until it is known.
    let color = match &card.cost {
        Some((share, _)) => Some(colors.cost(*share)),
        None => sqnr.map(|sqnr| colors.sqnr(sqnr)),
    };
    let label = format!("Card of {}, {number}", layer.name);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &label));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let visuals = ui.visuals();
    let painter = ui.painter_at(rect);
    let stroke = if selected {
        egui::Stroke::new(2.0, visuals.selection.stroke.color)
    } else if response.hovered() {
        visuals.widgets.hovered.bg_stroke
    } else {
        thin(faded(colors.grid, 0.5))
    };
    painter.rect(rect, 4.0, visuals.faint_bg_color, stroke, StrokeKind::Inside);
    let inner = rect.shrink(MARGIN);
    title(ui, &painter, inner, &layer.name, &number, color);
    let plot = Rect::from_min_size(inner.min + vec2(0.0, TITLE), vec2(inner.width(), HISTOGRAM));
    let says = match card.known {
        Some(Ok(known)) => {
            let fill = color.unwrap_or(colors.original);
            histogram(&painter, plot, facts, known, card, fill, colors);
            if let Some(errors) = known.errors {
                bars(&painter, inner, &errors, colors);
            }
            let weights = sqnr.map(|sqnr| format!("weight SQNR {}\n", text::decibels(sqnr)));
            let errors = known.errors.map(|errors| errors_text(&errors));
            weights.unwrap_or_default() + &errors.unwrap_or_default()
        }
        Some(Err(reason)) => reason.to_string(),
        None => {
            let font = TextStyle::Small.resolve(ui.style());
            painter.text(
                plot.center(),
                Align2::CENTER_CENTER,
                "…",
                font,
                visuals.weak_text_color(),
            );
            String::new()
        }
    };
    response.on_hover_ui(|ui| tooltip_ui(ui, open, card, facts, &says))
}

/// The name, cut in the middle, and the error with its colour beside it.
fn title(ui: &Ui, painter: &Painter, inner: Rect, name: &str, number: &str, color: Option<Color32>) {
    let font = TextStyle::Small.resolve(ui.style());
    let strong = ui.visuals().text_color();
    let right = painter.text(inner.right_top(), Align2::RIGHT_TOP, number, font.clone(), strong);
    let mut end = right.min.x - 4.0;
    if let Some(color) = color {
        let square = Rect::from_min_size(pos2(end - 9.0, inner.min.y + 2.0), vec2(9.0, 9.0));
        painter.rect(square, 2.0, color, thin(tokens(ui).grid), StrokeKind::Inside);
        end -= 14.0;
    }
    let room = end - inner.min.x;
    let width = |text: &str| {
        let galley = painter.layout_no_wrap(text.to_owned(), font.clone(), strong);
        galley.size().x
    };
    let shown = text::abbreviated(name, |text| width(text) <= room);
    painter.text(inner.left_top(), Align2::LEFT_TOP, shown, font, strong);
}

/// The counts on a logarithmic scale, outliers in their colour, and the range below.
fn histogram(
    painter: &Painter,
    rect: Rect,
    facts: &LayerFacts,
    known: &LayerCard,
    card: &Card<'_>,
    fill: Color32,
    colors: &Tokens,
) {
    let Some(statistics) = facts.readable().filter(|statistics| statistics.std > 0.0) else {
        return;
    };
    let base = rect.max.y - 6.0;
    let x = |weight: f64| {
        let share = ((weight - statistics.mean) / statistics.std / card.reach).clamp(-1.0, 1.0) as f32;
        rect.center().x + share * rect.width() / 2.0
    };
    let outlying = |weight: f64| (weight - statistics.mean).abs() > card.sigma * statistics.std;
    let highest = known.counts.iter().copied().max().unwrap_or(0) as f32;
    let scale = (base - rect.min.y) / (1.0 + highest).log10().max(0.1);
    let reach = f64::from(known.max_abs);
    let width = 2.0 * reach / CARD_BINS as f64;
    let mut mesh = Mesh::default();
    for (bin, &count) in known.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let left = -reach + width * bin as f64;
        let height = (1.0 + count as f32).log10() * scale;
        // At least a point wide: a single outlier must be seen.
        let (from, to) = (x(left), x(left + width));
        let to = to.max(from + 1.0);
        let bar = Rect::from_min_max(pos2(from, base - height), pos2(to, base));
        let color = if outlying(left + width / 2.0) {
            colors.outlier
        } else {
            fill
        };
        mesh.add_colored_rect(bar, color);
    }
    painter.add(Shape::mesh(mesh));
    // From the least to the largest weight.
    let (low, high) = (x(f64::from(statistics.min)), x(f64::from(statistics.max)));
    let line = base + 4.0;
    painter.hline(Rangef::new(low, high), line, thin(colors.grid));
    for (end, weight) in [(low, statistics.min), (high, statistics.max)] {
        let color = if outlying(f64::from(weight)) {
            colors.outlier
        } else {
            colors.grid
        };
        painter.vline(end, Rangef::new(line - 3.0, line + 3.0), egui::Stroke::new(1.5, color));
    }
}

/// Four bars, one a way; a full one is an error as large as the weights.
fn bars(painter: &Painter, inner: Rect, errors: &CardErrors, colors: &Tokens) {
    let mut top = inner.min.y + TITLE + HISTOGRAM + 6.0;
    let ways = [
        (errors.plain, [colors.quantized; 2]),
        (errors.clip, [colors.clipped; 2]),
        (errors.split, [colors.split; 2]),
        (errors.both, [colors.split, colors.clipped]),
    ];
    for (error, [upper, lower]) in ways {
        let width = inner.width() * (error as f32).clamp(0.0, 1.0);
        let bar = Rect::from_min_size(pos2(inner.min.x, top), vec2(width, BAR));
        let full = Rect::from_min_size(bar.min, vec2(inner.width(), BAR));
        painter.rect_filled(full, 1.0, faded(colors.grid, 0.18));
        let (above, below) = bar.split_top_bottom_at_fraction(0.5);
        painter.rect_filled(above, 0.0, upper);
        painter.rect_filled(below, 0.0, lower);
        top += BAR + 2.0;
    }
}

fn errors_text(errors: &CardErrors) -> String {
    let of = |error: f64| {
        let db = if error > 0.0 {
            -20.0 * error.log10()
        } else {
            f64::INFINITY
        };
        format!("{} ({})", text::decibels(db), text::percent(error))
    };
    format!(
        "plain {}\nclip {}\nOCS {}\nOCS and clip {}",
        of(errors.plain),
        of(errors.clip),
        of(errors.split),
        of(errors.both)
    )
}

fn tooltip_ui(ui: &mut Ui, open: &OpenNetwork, card: &Card<'_>, facts: &LayerFacts, says: &str) {
    let layer = &open.original.network.layers[card.layer];
    ui.strong(&layer.name);
    let weights = text::plural(layer.parameters(), "weight", "weights");
    ui.label(format!("{} {} · {weights}", layer.op, text::shape(&layer.shape)));
    match (&facts.statistics, facts.farthest_in_sigma()) {
        (Ok(statistics), Some(max)) => {
            ui.label(format!(
                "{} to {} · farthest {max:.1} σ · {}",
                text::three_digits(f64::from(statistics.min)),
                text::three_digits(f64::from(statistics.max)),
                text::plural(facts.outliers, "outlier", "outliers")
            ));
        }
        (Err(reason), _) => {
            ui.label(reason.to_string());
        }
        _ => {}
    }
    if !says.is_empty() {
        ui.label(says);
    }
}
