//! A window too small for all views beside each other shows them behind tabs, one at a time; the layout waits for more room.

use super::Drawing;
use crate::app::view::View;
use egui::{Id, Ui, Vec2, vec2};
use egui_tiles::{Tiles, Tree};

/// Below this width or height the views have no room beside each other, points.
const LEAST: Vec2 = vec2(740.0, 400.0);

/// Whether the views do not fit beside each other.
pub(super) fn is_too_small(size: Vec2) -> bool {
    size.x < LEAST.x || size.y < LEAST.y
}

/// The open views as tabs.
#[derive(Default)]
pub(super) struct Compact {
    tree: Option<(Vec<View>, Tree<View>)>,
    /// The view to be in front.
    wanted: Option<View>,
}

impl Compact {
    /// Brings a view to the front.
    pub(super) fn show(&mut self, view: View) {
        self.wanted = Some(view);
    }

    /// Draws the `open` views into all that is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &[View], behavior: &mut Drawing<'_>) {
        if self.tree.as_ref().is_none_or(|(of, _)| of != open) {
            let mut tiles = Tiles::default();
            let panes = open.iter().map(|view| tiles.insert_pane(*view)).collect();
            let root = tiles.insert_tab_tile(panes);
            self.tree = Some((open.to_vec(), Tree::new(Id::unique("compact views"), root, tiles)));
            self.wanted = self.wanted.or(Some(View::Weights).filter(|view| open.contains(view)));
        }
        let Some((_, tree)) = &mut self.tree else { return };
        if let Some(pane) = self.wanted.take().and_then(|view| tree.tiles.find_pane(&view)) {
            tree.make_active(|id, _| id == pane);
        }
        tree.ui(behavior, ui);
    }
}
