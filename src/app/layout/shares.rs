//! The sizes of views as a person left them, kept while a small window shows them otherwise.

use crate::app::view::View;
use egui::Vec2;
use egui_tiles::{Container, Tile, TileId, Tiles};
use std::collections::HashMap;

/// Shares of the rows and columns of a tree, by container and child.
type Shares = HashMap<(TileId, TileId), f32>;

/// Shares as a person left them.
#[derive(Clone)]
pub(super) struct Intended {
    shares: Shares,
    size: Vec2,
    /// What was set last: other shares than these were dragged by a person.
    set: Shares,
}

impl Intended {
    /// Those of a tree that is for that size.
    pub(super) fn of(tiles: &Tiles<View>, size: Vec2) -> Self {
        let shares = shares(tiles);
        Self {
            set: shares.clone(),
            shares,
            size,
        }
    }

    /// The size that they are for, points.
    pub(super) fn size(&self) -> Vec2 {
        self.size
    }

    /// Takes the shares of the tree over, which was shown in `size`, if a person has changed them.
    pub(super) fn take(&mut self, tiles: &Tiles<View>, size: Vec2) {
        let now = shares(tiles);
        if now != self.set {
            (self.shares, self.size, self.set) = (now.clone(), size, now);
        }
    }

    /// Gives them to the tree.
    pub(super) fn give(&self, tiles: &mut Tiles<View>) {
        for ((container, child), share) in &self.shares {
            if let Some(Tile::Container(Container::Linear(linear))) = tiles.get_mut(*container) {
                linear.shares.set_share(*child, *share);
            }
        }
    }

    /// The tree has the shares that the program gave it.
    pub(super) fn was_set(&mut self, tiles: &Tiles<View>) {
        self.set = shares(tiles);
    }
}

fn shares(tiles: &Tiles<View>) -> Shares {
    let mut all = Shares::new();
    for (id, tile) in tiles.iter() {
        if let Tile::Container(Container::Linear(linear)) = tile {
            all.extend(
                linear
                    .children
                    .iter()
                    .map(|child| ((*id, *child), linear.shares[*child])),
            );
        }
    }
    all
}
