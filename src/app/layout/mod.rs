//! Where the views are: a tree of tabs, rows and columns that a person rearranges, saved from one start to the next.
//!
//! Every view is in the tree exactly once; one that is closed is hidden there, so that it comes back where it was.

mod compact;
mod fit;
mod saved;
mod shares;
mod tab;

pub(super) use saved::SavedLayout;

use super::command::Command;
use super::view::View;
use super::views::Views;
use super::{Outbox, theme};
use crate::session::{OpenNetwork, Session};
use egui::{Color32, Id, Margin, Response, Ui, Vec2, Visuals, WidgetText, vec2};
use egui_tiles::{
    Behavior, Container, Linear, LinearDir, SimplificationOptions, TabState, Tabs, Tile, TileId, Tiles, Tree,
    UiResponse,
};
use shares::Intended;

/// Height of a row of tabs, points.
const TAB_HEIGHT: f32 = 24.0;
/// Points between views.
const GAP: f32 = 2.0;
/// The size that the default layout is described for, points.
const DESCRIBED: Vec2 = vec2(1280.0, 740.0);
/// In it: widths of the layers and the recipe, height of the preview.
const LAYERS_WIDTH: f32 = 340.0;
const RECIPE_WIDTH: f32 = 284.0;
const PREVIEW_HEIGHT: f32 = 152.0;

/// The tree of views.
pub(super) struct Layout {
    tree: Tree<View>,
    /// The size that the tree was last shown in.
    size: Vec2,
    /// The shares as a person left them, and the size that they are for: a window that was small for a while, or whose scale was
    /// large, is as before when it is so again.
    intended: Intended,
    /// What stands in for the tree where the window is too small for it.
    compact: compact::Compact,
}

impl Default for Layout {
    /// Layers left, recipe right, preview below, the rest as tabs in the middle.
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let mut tabs = |views: &[View]| {
            let panes = views.iter().map(|view| tiles.insert_pane(*view)).collect();
            tiles.insert_tab_tile(panes)
        };
        let sides = [View::Layers, View::Recipe, View::Preview];
        let middle: Vec<View> = View::ALL.into_iter().filter(|view| !sides.contains(view)).collect();
        let (layers, middle, recipe, preview) = (
            tabs(&[View::Layers]),
            tabs(&middle),
            tabs(&[View::Recipe]),
            tabs(&[View::Preview]),
        );
        let mut row = Linear::new(LinearDir::Horizontal, vec![layers, middle, recipe]);
        row.shares.set_share(layers, LAYERS_WIDTH);
        row.shares
            .set_share(middle, DESCRIBED.x - LAYERS_WIDTH - RECIPE_WIDTH - 2.0 * GAP);
        row.shares.set_share(recipe, RECIPE_WIDTH);
        let row = tiles.insert_container(Container::Linear(row));
        let mut column = Linear::new(LinearDir::Vertical, vec![row, preview]);
        column.shares.set_share(row, DESCRIBED.y - PREVIEW_HEIGHT - GAP);
        column.shares.set_share(preview, PREVIEW_HEIGHT);
        let root = tiles.insert_container(Container::Linear(column));
        let mut layout = Self::of(Tree::new(Id::unique("views"), root, tiles), DESCRIBED);
        for view in View::ALL.into_iter().filter(|view| !view.opens_by_itself()) {
            layout.close(view);
        }
        layout
    }
}

impl Layout {
    fn of(tree: Tree<View>, size: Vec2) -> Self {
        Self {
            intended: Intended::of(&tree.tiles, size),
            tree,
            size,
            compact: compact::Compact::default(),
        }
    }

    /// Whether a view is open, in front or behind another tab.
    pub(super) fn is_open(&self, view: View) -> bool {
        let tile = self.tree.tiles.find_pane(&view);
        tile.is_some_and(|tile| self.tree.tiles.is_visible(tile))
    }

    /// Opens a view and brings it to the front.
    pub(super) fn show(&mut self, view: View) {
        if let Some(tile) = self.tree.tiles.find_pane(&view) {
            self.tree.set_visible(tile, true);
            self.tree.make_active(|id, _| id == tile);
            self.compact.show(view);
        }
    }

    /// Hides a view.
    pub(super) fn close(&mut self, view: View) {
        if let Some(tile) = self.tree.tiles.find_pane(&view) {
            self.tree.set_visible(tile, false);
        }
    }

    /// Draws all open views into all that is left of `ui`.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        views: &mut Views,
        session: &Session,
        open: &OpenNetwork,
        out: &mut Outbox,
    ) {
        if View::ALL.iter().all(|view| !self.is_open(*view)) {
            closed_ui(ui, out);
            return;
        }
        let size = ui.available_size();
        let mut behavior = Drawing {
            views,
            session,
            open,
            out,
            way: None,
        };
        if compact::is_too_small(size) {
            let open: Vec<View> = View::ALL.into_iter().filter(|view| self.is_open(*view)).collect();
            self.compact.ui(ui, &open, &mut behavior);
            return;
        }
        self.fit(size);
        self.tree.ui(&mut behavior, ui);
    }
}

impl Layout {
    /// Sets the shares of the tree for that size.
    fn fit(&mut self, size: Vec2) {
        let Some(root) = self.tree.root else { return };
        let tiles = &mut self.tree.tiles;
        self.intended.take(tiles, self.size);
        self.intended.give(tiles);
        fit::fit(tiles, root, self.intended.size(), size);
        self.intended.was_set(tiles);
        self.size = size;
    }
}

/// What to do when every view was closed.
fn closed_ui(ui: &mut Ui, out: &mut Outbox) {
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.4);
        ui.label("All views are closed. The menu View opens them again.");
        let command = Command::ResetLayout;
        if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
            out.commands.push(command);
        }
    });
}

/// What drawing the tree needs.
struct Drawing<'a> {
    views: &'a mut Views,
    session: &'a Session,
    open: &'a OpenNetwork,
    out: &'a mut Outbox,
    /// How the tabs of the row that is being drawn look.
    way: Option<tab::Way>,
}

/// The open views among `children`.
fn views_of(tiles: &Tiles<View>, children: &[TileId]) -> impl Iterator<Item = View> {
    children.iter().filter_map(|&child| match tiles.get(child) {
        Some(Tile::Pane(view)) if tiles.is_visible(child) => Some(*view),
        _ => None,
    })
}

impl Behavior<View> for Drawing<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _: TileId, view: &mut View) -> UiResponse {
        ui.painter().rect_filled(ui.max_rect(), 0.0, ui.visuals().panel_fill);
        let frame = egui::Frame::new().inner_margin(Margin::symmetric(8, 6));
        frame.show(ui, |ui| {
            self.views.ui(ui, *view, self.session, self.open, self.out);
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, view: &View) -> WidgetText {
        view.title().into()
    }

    fn tab_ui(&mut self, tiles: &mut Tiles<View>, ui: &mut Ui, id: Id, tile_id: TileId, state: &TabState) -> Response {
        let view = match tiles.get(tile_id) {
            Some(Tile::Pane(view)) => Some(*view),
            _ => None,
        };
        let title = self.tab_title_for_tile(tiles, tile_id);
        let way = self
            .way
            .get_or_insert_with(|| tab::Way::that_fits(ui, &[], f32::INFINITY));
        let tab = tab::tab_ui(ui, id, title, state, way, view.is_some());
        match view {
            Some(_) if tab.closed => tiles.set_visible(tile_id, false),
            _ => {}
        }
        match view {
            Some(view) => {
                let command = Command::ShowView(view);
                tab.response.on_hover_text(command.tooltip_with_keys(ui.ctx()))
            }
            None => tab.response,
        }
    }

    /// Begins a row of tabs. Where not all of them will be in sight, a menu of all.
    fn top_bar_right_ui(&mut self, tiles: &Tiles<View>, ui: &mut Ui, _: TileId, tabs: &Tabs, _: &mut f32) {
        let titles: Vec<&str> = views_of(tiles, &tabs.children).map(View::title).collect();
        let way = tab::Way::that_fits(ui, &titles, ui.available_width());
        let fits = way.fits;
        self.way = Some(way);
        if fits {
            return;
        }
        let button = ui.menu_button("All ▾", |ui| {
            for view in views_of(tiles, &tabs.children) {
                let command = Command::ShowView(view);
                if ui.button(view.title()).on_hover_text(command.tooltip()).clicked() {
                    self.out.commands.push(command);
                    ui.close();
                }
            }
        });
        button.response.on_hover_text("All views that are open here.");
    }

    fn tab_bar_height(&self, _: &egui::Style) -> f32 {
        TAB_HEIGHT
    }

    fn gap_width(&self, _: &egui::Style) -> f32 {
        GAP
    }

    fn min_size(&self) -> f32 {
        80.0
    }

    fn tab_bar_color(&self, visuals: &Visuals) -> Color32 {
        theme::behind_tabs(visuals)
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions {
            all_panes_must_have_tabs: true,
            ..SimplificationOptions::default()
        }
    }
}

#[cfg(test)]
mod tests;
