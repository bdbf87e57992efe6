//! What the hand does on a histogram: drags the threshold, zooms around the pointer, pans.

use super::super::plot::near;
use egui_plot::PlotUi;

/// A hand on the threshold, from one frame to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::app) struct Grip {
    /// The threshold is being dragged.
    pub(in crate::app) dragging: bool,
    /// The pointer is on the threshold; from the last frame, so that the plot doesn't pan when it is grabbed.
    pub(in crate::app) hot: bool,
}

/// What the hand did on the plot in this frame.
#[derive(Default)]
pub(in crate::app) struct Hand {
    pub(in crate::app) grip: Grip,
    /// A new threshold.
    pub(in crate::app) threshold: Option<f64>,
    /// The threshold was let go.
    pub(in crate::app) released: bool,
    /// A new visible range; `Some(None)` shows all.
    pub(in crate::app) range: Option<Option<(f64, f64)>>,
    pub(in crate::app) reset_threshold: bool,
}

/// What the hand does with the threshold on those `sides`.
pub(in crate::app) fn threshold_hand(plot: &PlotUi<'_>, grip: Grip, threshold: f64, sides: &[f64], most: f64) -> Hand {
    let near = sides.iter().any(|side| near(plot, side * threshold));
    let response = plot.response().clone();
    let (pressed, down) = response
        .ctx
        .input(|input| (input.pointer.primary_pressed(), input.pointer.primary_down()));
    // Grabbed on the press: a drag is told only after the pointer has moved some way.
    let near = near && (response.contains_pointer() || grip.dragging);
    let dragging = (grip.dragging || (near && pressed)) && down;
    let mut hand = Hand {
        grip: Grip {
            hot: near || dragging,
            dragging,
        },
        released: grip.dragging && !down,
        reset_threshold: near && response.double_clicked(),
        ..Hand::default()
    };
    let moved = response.ctx.input(|input| input.pointer.delta().x != 0.0);
    if dragging
        && moved
        && let Some(pointer) = plot.pointer_coordinate()
    {
        hand.threshold = Some(pointer.x.abs().clamp(most * 0.01, most));
    }
    hand
}

/// The wheel zooms around the pointer, a drag pans, a double click shows all.
pub(in crate::app) fn zoom_and_pan(
    plot: &PlotUi<'_>,
    range: (f64, f64),
    whole: (f64, f64),
) -> Option<Option<(f64, f64)>> {
    let response = plot.response();
    if response.double_clicked() {
        return Some(None);
    }
    if response.dragged() {
        let delta = f64::from(plot.pointer_coordinate_drag_delta().x);
        return (delta != 0.0).then(|| limited((range.0 - delta, range.1 - delta), whole));
    }
    let pointer = plot.pointer_coordinate().filter(|_| response.hovered())?;
    let (scroll, zoom) = response
        .ctx
        .input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
    if scroll == 0.0 && (zoom - 1.0).abs() < f32::EPSILON {
        return None;
    }
    // What the plot took moves nothing around it.
    (response.ctx).input_mut(|input| input.smooth_scroll_delta = egui::Vec2::ZERO);
    let factor = f64::from(zoom * (scroll / 200.0).exp());
    Some(limited(
        (
            pointer.x + (range.0 - pointer.x) / factor,
            pointer.x + (range.1 - pointer.x) / factor,
        ),
        whole,
    ))
}

/// A range narrower than the whole, and no narrower than numbers can tell apart; `None` when it shows all.
fn limited(range: (f64, f64), whole: (f64, f64)) -> Option<(f64, f64)> {
    let (width, full) = (range.1 - range.0, whole.1 - whole.0);
    if width.is_nan() || width >= full * 0.999 {
        return None;
    }
    let centre = (range.0 + range.1) / 2.0;
    let centre = centre.clamp(whole.0, whole.1);
    let half = (width / 2.0).max(full * 1e-5);
    Some((centre - half, centre + half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_out_ends_at_all_weights_and_zooming_in_ends_somewhere() {
        let whole = (-1.0, 1.0);
        assert_eq!(limited((-1.5, 1.5), whole), None);
        assert_eq!(limited((0.25, 0.5), whole), Some((0.25, 0.5)));
        let (low, high) = limited((0.5, 0.5), whole).unwrap();
        assert!(high > low);
        let (low, high) = limited((5.0, 5.5), whole).unwrap();
        assert!(low <= 1.0 && high >= 1.0, "the view never leaves the weights");
        assert_eq!(limited((f64::NAN, 1.0), whole), None);
    }
}
