//! What the histogram shows, as one figure: drawn in the window, copied and saved.

use super::super::plot::Token;
use super::super::plot::figure::Figure;
use super::super::plot::histogram::{Bounds, Extreme, Histogram, y_range};
use super::{Grip, Picture, Show, headroom, threshold_and_sides};
use crate::session::{ClipMark, LayerView, StackedChannel};

/// The figure, in a plot `height` points high.
pub(super) fn figure(picture: &Picture<'_>, show: &Show, grip: Grip, height: f32) -> Figure {
    let view = picture.view;
    let bins = view.before.counts.len().max(1);
    let mut drawn = Histogram::new(view.range.0, (view.range.1 - view.range.0) / bins as f64);
    let statistics = picture.facts.readable();
    let bounds = statistics.map(|statistics| Bounds {
        mean: statistics.mean,
        std: statistics.std,
        sigma: picture.sigma,
    });
    if let Some(bounds) = &bounds {
        drawn.bounds(bounds);
    }
    bars(&mut drawn, picture, show, bounds.as_ref());
    let after = view.after.as_deref();
    if let Some(channel) = picture.lit {
        let reach = after.map_or(&view.channels, |after| &after.channels).get(channel);
        let reach = f64::from(reach.copied().unwrap_or(0.0));
        drawn.lit(channel, &[-reach, reach]);
    }
    if let Some(quantized) = after.map(|after| &after.quantized) {
        drawn.grid(quantized.grid);
        let (threshold, sides) = threshold_and_sides(quantized);
        drawn.threshold(threshold, &sides, grip.hot);
    }
    if let Some(details) = picture.details.filter(|_| show.fits) {
        drawn.fits(&details.fits, picture.range);
    }
    let marks = marks(picture, show, height);
    drawn.marks(marks);
    if let Some(after) = &view.after_histogram {
        drawn.clipped(&after.counts, |x| picture.clipped(x));
    }
    if let Some(after) = after.filter(|_| show.staircase) {
        drawn.staircase(&after.staircase, after.quantized.grid);
    }
    if let Some(bounds) = bounds.filter(|_| show.outliers) {
        let stack = picture.after.as_ref().unwrap_or(&picture.before);
        drawn.outliers(&bounds, &extremes(view), stack);
    }
    Figure {
        title: format!("weights of {}", picture.open.selected_name()),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: picture.range,
        y_range: y_range(show.scale, highest(picture, show), headroom(height, !marks.is_empty())),
        scale: show.scale,
        series: drawn.series,
    }
}

/// A plot that is lower than this shows no ways to clip, points: their labels would hide the weights.
const LOW: f32 = 100.0;

/// Where each way to clip would, if that is shown and there is room for it.
pub(super) fn marks<'a>(picture: &Picture<'a>, show: &Show, height: f32) -> &'a [ClipMark] {
    let details = picture.details.filter(|_| show.clips && height >= LOW);
    details.map_or(&[][..], |details| &details.clips)
}

/// The bars: before as a ghost behind those after splitting, the largest channels in their colours.
fn bars(drawn: &mut Histogram, picture: &Picture<'_>, show: &Show, bounds: Option<&Bounds>) {
    let is_outlier = |x: f64| bounds.is_some_and(|bounds| bounds.is_outlier(x));
    let numbers: Vec<usize> = picture.view.stacked.iter().map(|channel| channel.channel).collect();
    let (before, lit) = (&picture.before, picture.lit);
    let Some(after) = &picture.after else {
        drawn.bars("before", Token::Original, 0.85, &before.rest, |x| !is_outlier(x));
        drawn.bars("outliers", Token::Outlier, 1.0, &before.rest, is_outlier);
        drawn.channels(before, &numbers, lit, "", 1.0);
        return;
    };
    if show.before {
        drawn.bars("before", Token::Original, 0.6, &before.rest, |x| !is_outlier(x));
        drawn.channels(before, &numbers, lit, " before", 0.4);
    }
    let strength = if show.staircase { 0.35 } else { 0.8 };
    drawn.bars("after splitting", Token::Quantized, strength, &after.rest, |x| {
        !picture.clipped(x)
    });
    if show.before {
        drawn.bars("outliers before", Token::Outlier, 0.8, &before.rest, is_outlier);
    }
    drawn.channels(after, &numbers, lit, "", 1.0);
}

/// The largest weight of each of the largest channels, as it is now; where channels are too few to be told apart, the outermost
/// bins.
fn extremes(view: &LayerView) -> Vec<Extreme> {
    let of_channel = |(rank, stacked): (usize, &StackedChannel)| {
        let ends = [stacked.sorted.first()?, stacked.sorted.last()?];
        let x = ends.into_iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        Some(Extreme {
            x: f64::from(x),
            channel: Some((rank, stacked.channel)),
        })
    };
    let found: Vec<Extreme> = view.stacked.iter().enumerate().filter_map(of_channel).collect();
    if !found.is_empty() {
        return found;
    }
    let histogram = view.after_histogram.as_ref().unwrap_or(&view.before);
    let centre = |bin: usize| histogram.low + histogram.bin_width() * (bin as f64 + 0.5);
    let first = histogram.counts.iter().position(|count| *count > 0);
    let last = histogram.counts.iter().rposition(|count| *count > 0);
    let mut ends: Vec<usize> = first.into_iter().chain(last).collect();
    ends.dedup();
    ends.into_iter()
        .map(|bin| Extreme {
            x: centre(bin),
            channel: None,
        })
        .collect()
}

/// Count of the tallest thing that is shown.
fn highest(picture: &Picture<'_>, show: &Show) -> f64 {
    let mut most = picture.before.highest();
    if let Some(histogram) = &picture.view.after_histogram {
        most = most.max(histogram.counts.iter().copied().max().unwrap_or(0) as f64);
    }
    if let Some(after) = picture.view.after.as_deref().filter(|_| show.staircase) {
        most = most.max(after.staircase.counts.iter().copied().max().unwrap_or(0) as f64);
    }
    most
}
