//! The channel under the pointer: hovered in one view, lit in every other.

use egui::{Context, Id};

/// Which channel, of which layer's input, and in which frame it was last under the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Lit {
    layer: usize,
    channel: usize,
    frame: u64,
}

fn id() -> Id {
    Id::unique("lit channel")
}

/// An input channel of a layer is under the pointer in this frame.
pub(super) fn light(ctx: &Context, layer: usize, channel: usize) {
    let now = Lit {
        layer,
        channel,
        frame: ctx.cumulative_frame_nr(),
    };
    let before: Option<Lit> = ctx.data(|data| data.get_temp(id()));
    ctx.data_mut(|data| data.insert_temp(id(), now));
    if before.is_none_or(|before| (before.layer, before.channel) != (layer, channel)) {
        // Views that were drawn before this one show it in the next frame.
        ctx.request_repaint();
    }
}

/// The channel of the layer that is lit.
pub(super) fn channel(ctx: &Context, layer: usize) -> Option<usize> {
    let lit: Lit = ctx.data(|data| data.get_temp(id()))?;
    (lit.layer == layer).then_some(lit.channel)
}

/// At the end of a frame: what the pointer has left goes out.
pub(super) fn settle(ctx: &Context) {
    let lit: Option<Lit> = ctx.data(|data| data.get_temp(id()));
    if lit.is_some_and(|lit| lit.frame != ctx.cumulative_frame_nr()) {
        ctx.data_mut(|data| data.remove_temp::<Lit>(id()));
        ctx.request_repaint();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_stays_lit_as_long_as_the_pointer_is_on_it() {
        let ctx = Context::default();
        let frame = |hovered: Option<usize>| {
            let mut seen = None;
            let _ = ctx.run_ui(egui::RawInput::default(), |_| {
                seen = channel(&ctx, 3);
                if let Some(hovered) = hovered {
                    light(&ctx, 3, hovered);
                }
                settle(&ctx);
            });
            seen
        };
        let seen = [Some(7), Some(7), Some(8), None, None].map(frame);
        assert_eq!(seen, [None, Some(7), Some(7), Some(8), None]);
        assert_eq!(channel(&ctx, 4), None, "of another layer");
    }
}
