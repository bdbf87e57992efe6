//! Lesson: a channel is duplicated in a tiny network, and its outputs stay what they were.

use super::super::Outbox;
use super::super::text;
use super::super::theme::{Tokens, tokens};
use super::scene::{FIGURE, Scene, sentences};
use crate::network::{Layout, OutAxis};
use crate::quantization::{Share, SplitKind, split_channels};
use egui::{Align2, Color32, Pos2, Rect, Role, Sense, Slider, Stroke, TextStyle, Ui, WidgetInfo, pos2, vec2};

/// Inputs and outputs of the tiny network.
const INPUTS: usize = 3;
const OUTPUTS: usize = 2;

pub(super) struct DuplicatingLesson {
    split: bool,
    /// Halve the activation instead of the weights.
    activations: bool,
    /// What flows in.
    inputs: [f32; INPUTS],
}

impl Default for DuplicatingLesson {
    fn default() -> Self {
        Self {
            split: true,
            activations: false,
            inputs: [1.0, 2.0, -1.0],
        }
    }
}

/// The tiny network: what each input node carries, and the weights to each output.
struct Tiny {
    /// Which of the inputs each node reads.
    source: Vec<usize>,
    /// What it carries.
    carries: Vec<f32>,
    /// `[outputs, nodes]`.
    weights: Vec<f32>,
}

impl Tiny {
    fn outputs(&self) -> Vec<f32> {
        let row = |row: &[f32]| row.iter().zip(&self.carries).map(|(w, x)| w * x).sum();
        self.weights.chunks(self.carries.len().max(1)).map(row).collect()
    }

    /// `weights` `[OUTPUTS, INPUTS]` with the channel of the largest |w| duplicated, if wanted.
    fn new(weights: &[f32], inputs: [f32; INPUTS], split: bool, activations: bool) -> Self {
        let layout = Layout {
            groups: 1,
            outer: OUTPUTS,
            channels: INPUTS,
            inner: 1,
            out_axis: OutAxis::Outer,
            out_run: 1,
        };
        let split = split_channels(weights, &layout, usize::from(split), SplitKind::Naive, 0.0);
        let columns = split.index.len();
        let copied = |source: usize| split.order.contains(&source);
        let share = |source: usize| {
            if activations && copied(source) {
                Share::Lower.factor()
            } else {
                Share::Whole.factor()
            }
        };
        let weight = |i: usize| {
            let (row, source) = (i / columns, split.index[i % columns]);
            if activations {
                weights[row * INPUTS + source]
            } else {
                split.values[i]
            }
        };
        Self {
            carries: split
                .index
                .iter()
                .map(|source| inputs[*source] * share(*source))
                .collect(),
            weights: (0..OUTPUTS * columns).map(weight).collect(),
            source: split.index,
        }
    }

    fn largest(&self) -> f32 {
        self.weights.iter().fold(0.0, |most: f32, w| most.max(w.abs()))
    }
}

impl DuplicatingLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let weights = six_weights(scene);
        let before = Tiny::new(&weights, self.inputs, false, false);
        let shown = Tiny::new(&weights, self.inputs, self.split, self.activations);
        picture_ui(ui, &shown);
        ui.horizontal_wrapped(|ui| {
            ui.checkbox(&mut self.split, "Duplicate the channel with the largest weight");
            ui.selectable_value(&mut self.activations, false, "halve the weights");
            ui.selectable_value(&mut self.activations, true, "halve the activation");
        });
        ui.horizontal(|ui| {
            let label = ui.label("Second input");
            ui.add(Slider::new(&mut self.inputs[1], -3.0..=3.0).max_decimals(1))
                .labelled_by(label.id);
        });
        let told = |outputs: &[f32]| {
            let each: Vec<String> = outputs.iter().map(|y| text::three_digits(f64::from(*y))).collect();
            each.join(" and ")
        };
        let halved = if self.activations {
            "each copy passes on half of what flows in and keeps its weights, so that the largest activation is halved"
        } else {
            "each copy takes half of the weights, so that the largest weight is halved"
        };
        sentences(
            ui,
            [
                "Three inputs and two outputs with six weights of this layer: an output is the sum of its inputs, each times \
                 the weight on its line."
                    .to_owned(),
                format!("A split draws one input twice; {halved}."),
                format!(
                    "The outputs are {} before and {} now, while the largest weight went from {} to {}.",
                    told(&before.outputs()),
                    told(&shown.outputs()),
                    text::three_digits(f64::from(before.largest())),
                    text::three_digits(f64::from(shown.largest()))
                ),
            ],
        );
        let channels = scene.view.channels.len().max(1);
        scene.try_it(ui, "Split one channel of this layer", out, |layer| {
            // Rounded down to what the recipe shows, it still asks for one.
            layer.expand_ratio = Some(((1e4 / channels as f64).floor() / 1e4).max(1e-4));
        });
    }
}

/// Six weights of the layer, its largest among them.
fn six_weights(scene: &Scene<'_>) -> Vec<f32> {
    let values = &scene.sample.values;
    let count = OUTPUTS * INPUTS;
    let mut six: Vec<f32> = (0..count)
        .map(|i| values.get(i * values.len() / count).copied().unwrap_or(0.5))
        .collect();
    let largest = values
        .iter()
        .copied()
        .fold(0.0_f32, |a, b| if b.abs() > a.abs() { b } else { a });
    six[1] = if largest == 0.0 { 1.0 } else { largest };
    six
}

/// Inputs left, outputs right, a line a weight.
fn picture_ui(ui: &mut Ui, tiny: &Tiny) {
    let colors = tokens(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), FIGURE), Sense::hover());
    response.widget_info(|| {
        WidgetInfo::labeled(
            Role::Image,
            true,
            format!("A network with {} inputs", tiny.source.len()),
        )
    });
    let inner = Rect::from_min_max(rect.min + vec2(90.0, 22.0), rect.max - vec2(90.0, 22.0));
    let nodes = tiny.source.len();
    let place = |i: usize, of: usize, x: f32| {
        let share = if of > 1 { i as f32 / (of - 1) as f32 } else { 0.5 };
        pos2(x, inner.min.y + inner.height() * share)
    };
    // Copies stand below their original: in the order of what they read.
    let mut order: Vec<usize> = (0..nodes).collect();
    order.sort_by_key(|node| (tiny.source[*node], *node));
    let outputs = tiny.outputs();
    for (row, _) in outputs.iter().enumerate() {
        for (line, &node) in order.iter().enumerate() {
            let (from, to) = (place(line, nodes, inner.min.x), place(row, OUTPUTS, inner.max.x));
            let weight = tiny.weights[row * nodes + node];
            let share = weight.abs() / tiny.largest().max(f32::MIN_POSITIVE);
            let color = node_color(tiny, node, colors);
            ui.painter()
                .line_segment([from, to], Stroke::new(0.8 + 3.2 * share, color));
            label(ui, from.lerp(to, 0.25 + 0.3 * row as f32), weight);
        }
    }
    for (line, &node) in order.iter().enumerate() {
        let at = place(line, nodes, inner.min.x);
        ui.painter().circle_filled(at, 9.0, node_color(tiny, node, colors));
        let name = format!(
            "x{} → {}",
            tiny.source[node] + 1,
            text::three_digits(f64::from(tiny.carries[node]))
        );
        side(ui, at - vec2(14.0, 0.0), Align2::RIGHT_CENTER, &name);
    }
    for (row, output) in outputs.iter().enumerate() {
        let at = place(row, OUTPUTS, inner.max.x);
        ui.painter().circle_filled(at, 9.0, colors.original);
        side(
            ui,
            at + vec2(14.0, 0.0),
            Align2::LEFT_CENTER,
            &format!("y{} = {}", row + 1, text::three_digits(f64::from(*output))),
        );
    }
}

fn node_color(tiny: &Tiny, node: usize, colors: &Tokens) -> Color32 {
    let copies = tiny
        .source
        .iter()
        .filter(|source| **source == tiny.source[node])
        .count();
    if copies > 1 { colors.split } else { colors.original }
}

fn label(ui: &Ui, at: Pos2, weight: f32) {
    let font = TextStyle::Small.resolve(ui.style());
    let text = text::three_digits(f64::from(weight));
    let galley = ui.painter().layout_no_wrap(text, font, ui.visuals().text_color());
    let rect = Rect::from_center_size(at, galley.size());
    ui.painter().rect_filled(rect.expand(1.0), 2.0, ui.visuals().panel_fill);
    ui.painter().galley(rect.min, galley, ui.visuals().text_color());
}

fn side(ui: &Ui, at: Pos2, anchor: Align2, text: &str) {
    let font = TextStyle::Body.resolve(ui.style());
    ui.painter().text(at, anchor, text, font, ui.visuals().text_color());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicated_channel_changes_no_output_and_halves_what_was_largest() {
        let weights = [0.5, 8.0, -0.25, 1.0, -2.0, 0.75];
        let inputs = [1.0, 2.0, -1.0];
        let whole = Tiny::new(&weights, inputs, false, false);
        assert_eq!(whole.outputs(), [16.75, -3.75]);
        for activations in [false, true] {
            let split = Tiny::new(&weights, inputs, true, activations);
            assert_eq!(split.outputs(), whole.outputs());
            assert_eq!(split.source, [0, 1, 2, 1]);
            let most = split.carries.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            assert_eq!(
                (split.largest(), most),
                if activations { (8.0, 1.0) } else { (4.0, 2.0) }
            );
        }
    }
}
