//! A histogram in layers: the largest channels lie on top of all the others, each in its colour.

use super::super::plot::Scale;
use crate::session::{LayerView, StackedChannel};
use egui::Color32;
use egui_plot::{FilledArea, PlotUi};

/// Counts of bins, taken apart: they add up to the histogram.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stack {
    /// All weights but those of `channels`.
    pub(super) rest: Vec<f64>,
    /// The largest channels, largest first.
    pub(super) channels: Vec<Vec<f64>>,
}

impl Stack {
    /// The weights as they are; without `apart` all in one.
    pub(super) fn before(view: &LayerView, apart: bool) -> Self {
        Self::of(&view.before.counts, &view.stacked, apart, |channel| {
            Some(&channel.before)
        })
    }

    /// The weights after splitting.
    pub(super) fn after(view: &LayerView, apart: bool) -> Option<Self> {
        let histogram = view.after_histogram.as_ref()?;
        Some(Self::of(&histogram.counts, &view.stacked, apart, |channel| {
            channel.after.as_ref()
        }))
    }

    fn of(
        counts: &[u64],
        stacked: &[StackedChannel],
        apart: bool,
        part: impl Fn(&StackedChannel) -> Option<&Vec<u64>>,
    ) -> Self {
        let parts = stacked.iter().filter(|_| apart).filter_map(part);
        let channels: Vec<Vec<f64>> = parts.map(|part| part.iter().map(|n| *n as f64).collect()).collect();
        let rest = counts.iter().enumerate().map(|(bin, count)| {
            let apart: f64 = channels.iter().filter_map(|channel| channel.get(bin)).sum();
            (*count as f64 - apart).max(0.0)
        });
        Self {
            rest: rest.collect(),
            channels,
        }
    }

    /// Counts of all layers together.
    pub(super) fn total(&self, bin: usize) -> f64 {
        self.rest[bin] + self.channels.iter().map(|channel| channel[bin]).sum::<f64>()
    }

    /// The tallest bin.
    pub(super) fn highest(&self) -> f64 {
        (0..self.rest.len()).map(|bin| self.total(bin)).fold(0.0, f64::max)
    }

    /// Draws the rest in those bins whose middle satisfies `of`.
    pub(super) fn draw_rest(
        &self,
        plot: &mut PlotUi<'_>,
        name: &str,
        color: Color32,
        bins: &Bins,
        of: impl Fn(f64) -> bool,
    ) {
        let shown = |bin: usize| if of(bins.centre(bin)) { self.rest[bin] } else { 0.0 };
        let tops: Vec<f64> = (0..self.rest.len()).map(shown).collect();
        bins.area(plot, name, color, &vec![0.0; tops.len()], &tops);
    }

    /// Draws each channel above what is below it, the largest on top, in bins whose middle satisfies `of`.
    pub(super) fn draw_channels(
        &self,
        plot: &mut PlotUi<'_>,
        name: &str,
        colors: impl Fn(usize) -> Color32,
        bins: &Bins,
    ) {
        let mut below = self.rest.clone();
        for (rank, channel) in self.channels.iter().enumerate().rev() {
            let above: Vec<f64> = below.iter().zip(channel).map(|(a, b)| a + b).collect();
            bins.area(plot, name, colors(rank), &below, &above);
            below = above;
        }
    }
}

/// Where the bins lie, and how their counts become heights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bins {
    pub(super) low: f64,
    pub(super) width: f64,
    pub(super) scale: Scale,
}

impl Bins {
    /// The middle of a bin.
    fn centre(&self, bin: usize) -> f64 {
        self.low + self.width * (bin as f64 + 0.5)
    }

    /// A filled step shape between two rows of counts. One shape, not a bar a bin: adjacent thin bars show stripes.
    fn area(&self, plot: &mut PlotUi<'_>, name: &str, color: Color32, below: &[f64], above: &[f64]) {
        if below.iter().zip(above).all(|(a, b)| a >= b) {
            return;
        }
        let mut xs = Vec::with_capacity(above.len() * 2);
        let (mut bottoms, mut tops) = (xs.clone(), xs.clone());
        for (bin, (below, above)) in below.iter().zip(above).enumerate() {
            let left = self.low + self.width * bin as f64;
            xs.extend([left, left + self.width]);
            bottoms.extend([self.scale.height(*below); 2]);
            tops.extend([self.scale.height(*above); 2]);
        }
        let area = FilledArea::new(name, &xs, &bottoms, &tops).fill_color(color);
        plot.add(area.allow_hover(false));
    }
}
