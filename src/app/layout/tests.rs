use super::*;

#[test]
fn a_closed_view_comes_back_where_it_was() {
    let mut layout = Layout::default();
    let before = layout.tree.clone();
    assert!(layout.is_open(View::Channels));
    layout.close(View::Channels);
    assert!(!layout.is_open(View::Channels) && layout.is_open(View::Weights));
    layout.show(View::Channels);
    assert!(layout.is_open(View::Channels));
    let in_front = layout.tree.active_tiles();
    let tile = layout.tree.tiles.find_pane(&View::Channels).unwrap();
    assert!(in_front.contains(&tile), "and in front");
    layout.show(View::Weights);
    assert!(layout.tree == before);
}

/// Through the same text that the window's storage holds.
fn written(layout: &Layout) -> String {
    let mut storage = Memory::default();
    eframe::set_value(&mut storage, "layout", &layout.to_saved());
    storage.0
}

fn read(text: &str) -> Option<Layout> {
    let storage = Memory(text.to_owned());
    eframe::get_value::<SavedLayout>(&storage, "layout").and_then(Layout::from_saved)
}

#[derive(Default)]
struct Memory(String);

impl eframe::Storage for Memory {
    fn get_string(&self, _: &str) -> Option<String> {
        Some(self.0.clone())
    }
    fn set_string(&mut self, _: &str, value: String) {
        self.0 = value;
    }
    fn remove_string(&mut self, _: &str) {
        self.0.clear();
    }
    fn flush(&mut self) {}
}

#[test]
fn a_layout_is_written_and_read_again() {
    let mut layout = Layout::of(Layout::default().tree, vec2(1920.0, 1000.0));
    layout.close(View::Activations);
    layout.show(View::Channels);
    let again = read(&written(&layout)).unwrap();
    assert!(again.tree == layout.tree);
    assert_eq!(again.size, layout.size);
}

#[test]
fn a_view_that_the_layout_does_not_know_stands_beside_the_weights() {
    let mut layout = Layout::default();
    let tile = layout.tree.tiles.find_pane(&View::Channels).unwrap();
    layout.tree.remove_recursively(tile);
    let again = read(&written(&layout)).unwrap();
    let parent = |view: View| {
        let tiles = &again.tree.tiles;
        tiles.parent_of(tiles.find_pane(&view).unwrap()).unwrap()
    };
    assert_eq!(parent(View::Channels), parent(View::Weights));
}

#[test]
fn an_unreadable_or_foreign_layout_is_refused() {
    let good = written(&Layout::default());
    assert!(read(&good).is_some());
    for bad in [
        "".to_owned(),
        good[..good.len() / 2].to_owned(),
        good.replace("version:1", "version:2"),
        good.replace("Channels", "Weights"),
        good.replace("Channels", "Hologram"),
        good.replace("(1280.0,740.0)", "(-1.0,740.0)"),
    ] {
        assert!(bad != good, "the case says something");
        assert!(read(&bad).is_none(), "{bad}");
    }
    let mut circle = Layout::default();
    let root = circle.tree.root.unwrap();
    let home = circle
        .tree
        .tiles
        .parent_of(circle.tree.tiles.find_pane(&View::Weights).unwrap())
        .unwrap();
    if let Some(Tile::Container(container)) = circle.tree.tiles.get_mut(home) {
        container.add_child(root);
    }
    assert!(read(&written(&circle)).is_none(), "a tree that holds itself");
}

/// Widths of layers and recipe, as the tree has them.
fn widths(layout: &Layout) -> Vec<f32> {
    let of = |view| {
        let pane = layout.tree.tiles.find_pane(&view).unwrap();
        let tabs = layout.tree.tiles.parent_of(pane).unwrap();
        let row = layout.tree.tiles.parent_of(tabs).unwrap();
        match layout.tree.tiles.get_container(row).unwrap() {
            Container::Linear(linear) => linear.shares[tabs],
            _ => unreachable!(),
        }
    };
    [View::Layers, View::Recipe, View::Preview].map(of).to_vec()
}

#[test]
fn a_window_that_was_small_for_a_while_is_as_before_when_it_is_large_again() {
    let mut layout = Layout::default();
    layout.fit(vec2(1280.0, 740.0));
    let before = widths(&layout);
    for small in [vec2(853.0, 480.0), vec2(800.0, 440.0), vec2(900.0, 500.0)] {
        layout.fit(small);
        assert!(widths(&layout)[0] < before[0]);
    }
    let written = read(&written(&layout)).unwrap();
    layout.fit(vec2(1280.0, 740.0));
    assert_eq!(widths(&layout), before);
    let mut again = written;
    again.fit(vec2(1280.0, 740.0));
    assert_eq!(widths(&again), before, "over a restart, too");
}

#[test]
fn what_was_dragged_in_a_small_window_counts_from_then_on() {
    let mut layout = Layout::default();
    layout.fit(vec2(1280.0, 740.0));
    layout.fit(vec2(1000.0, 700.0));
    let pane = layout.tree.tiles.find_pane(&View::Layers).unwrap();
    let tabs = layout.tree.tiles.parent_of(pane).unwrap();
    let row = layout.tree.tiles.parent_of(tabs).unwrap();
    if let Some(Tile::Container(Container::Linear(linear))) = layout.tree.tiles.get_mut(row) {
        linear.shares.set_share(tabs, 250.0);
    }
    layout.fit(vec2(1000.0, 700.0));
    let dragged = widths(&layout)[0];
    layout.fit(vec2(1280.0, 740.0));
    assert_eq!(widths(&layout)[0], dragged);
}

#[test]
fn a_wide_window_gives_the_table_of_layers_room_for_more_columns() {
    let mut layout = Layout::default();
    layout.fit(vec2(1280.0, 740.0));
    let usual = widths(&layout)[0];
    layout.fit(vec2(1920.0, 1020.0));
    assert!((widths(&layout)[0] - usual - 128.0).abs() < 0.5);
    layout.fit(vec2(1280.0, 740.0));
    assert_eq!(widths(&layout)[0], usual);
}
