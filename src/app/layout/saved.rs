//! The layout from one start of the program to the next.

use super::Layout;
use crate::app::view::View;
use egui::vec2;
use egui_tiles::{Container, Tile, TileId, Tiles, Tree};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Changes when a saved layout can no longer be understood.
const VERSION: u32 = 1;

/// What is written.
#[derive(Serialize, Deserialize)]
pub(in crate::app) struct SavedLayout {
    version: u32,
    /// Width and height that the tree is for, points.
    size: (f32, f32),
    tree: Tree<View>,
}

impl Layout {
    /// What to write.
    pub(in crate::app) fn to_saved(&self) -> SavedLayout {
        // As a person left it, not as a small window shows it.
        let (mut tree, mut intended) = (self.tree.clone(), self.intended.clone());
        intended.take(&tree.tiles, self.size);
        intended.give(&mut tree.tiles);
        SavedLayout {
            version: VERSION,
            size: (intended.size().x, intended.size().y),
            tree,
        }
    }

    /// The layout that was written; `None` if it is of another version or does not hold together. Views that it doesn't know
    /// stand beside the weights.
    pub(in crate::app) fn from_saved(saved: SavedLayout) -> Option<Self> {
        let SavedLayout {
            version,
            size,
            mut tree,
        } = saved;
        let sound = |length: f32| length.is_finite() && length > 0.0;
        if version != VERSION || !sound(size.0) || !sound(size.1) {
            return None;
        }
        let mut found = Found::default();
        if !found.walk(&tree.tiles, tree.root?) || found.tiles.len() != tree.tiles.len() {
            return None;
        }
        let missing: Vec<View> = View::ALL
            .into_iter()
            .filter(|view| !found.views.contains(view))
            .collect();
        if missing.len() + found.views.len() != View::ALL.len() {
            return None;
        }
        let home = tree.tiles.find_pane(&View::Weights)?;
        let home = tree.tiles.parent_of(home)?;
        for view in &missing {
            let pane = tree.tiles.insert_pane(*view);
            tree.move_tile_to_container(pane, home, usize::MAX, false);
        }
        let mut layout = Self::of(tree, vec2(size.0, size.1));
        for view in missing.into_iter().filter(|view| !view.opens_by_itself()) {
            layout.close(view);
        }
        Some(layout)
    }
}

/// What a walk through a tree has met.
#[derive(Default)]
struct Found {
    tiles: HashSet<TileId>,
    views: Vec<View>,
}

impl Found {
    /// Whether the tree from `id` on is one: nothing is missing, nothing comes twice, every share is a number.
    fn walk(&mut self, tiles: &Tiles<View>, id: TileId) -> bool {
        if !self.tiles.insert(id) {
            return false;
        }
        match tiles.get(id) {
            None => false,
            Some(Tile::Pane(view)) => {
                let fresh = !self.views.contains(view);
                self.views.push(*view);
                fresh
            }
            Some(Tile::Container(container)) => {
                let shares = match container {
                    Container::Linear(linear) => linear
                        .shares
                        .iter()
                        .all(|(_, share)| share.is_finite() && *share >= 0.0),
                    Container::Grid(grid) => {
                        let mut shares = grid.col_shares.iter().chain(&grid.row_shares);
                        shares.all(|share| share.is_finite() && *share >= 0.0)
                    }
                    Container::Tabs(_) => true,
                };
                shares && container.children().all(|child| self.walk(tiles, *child))
            }
        }
    }
}
