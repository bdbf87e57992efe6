//! The blocks that a network repeats, as a map and as rows of the table that fold; what flows into the layers, as columns and
//! as a relief.

use crate::harness::{Window, click, open, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use splitscope::session::Action;

fn select(window: &mut Window, name: &str) {
    let layer = session(window)
        .open()
        .unwrap()
        .original
        .network
        .layer_index(name)
        .unwrap();
    window.state_mut().act(Action::SelectLayer(layer));
    settle(window);
}

fn selected(window: &Window) -> String {
    session(window).open().unwrap().selected_name().to_owned()
}

/// Layers that have a row, besides the selected one, whose name stands elsewhere too.
fn rows(window: &Window) -> usize {
    let network = &session(window).open().unwrap().original.network;
    let has_row = |name: &str| window.query_all_by_role_and_label(Role::Label, name).next().is_some();
    let others = network.layers.iter().filter(|layer| layer.name != selected(window));
    others.filter(|layer| has_row(&layer.name)).count()
}

#[test]
fn a_cell_of_the_map_holds_the_layers_own_number_and_selects_it() {
    let mut window = open("demo:fashion");
    click(&mut window, "Network");
    click(&mut window, "blocks");
    click(&mut window, "weight SQNR");
    settle(&mut window);
    let (name, db) = {
        let open = session(&window).open().unwrap();
        let (_, planned) = open.planned().unwrap();
        let index = open.original.network.layer_index("layer2.1.conv2").unwrap();
        (
            open.original.network.layers[index].name.clone(),
            planned.plan.layers[index].quantized().unwrap().sqnr_db,
        )
    };
    let label = format!("Cell of {name}, {db:.1} dB");
    click(&mut window, &label);
    assert_eq!(selected(&window), name);
    // Every layer in a block has a cell, and no other.
    let blocks = session(&window).open().unwrap().original.network.blocks().clone();
    let cells = window.query_all_by_role(Role::Button);
    let cells = cells.filter(|node| {
        node.accesskit_node()
            .label()
            .is_some_and(|label| label.starts_with("Cell of "))
    });
    assert_eq!(
        cells.count(),
        blocks.blocks.iter().map(|block| block.layers.len()).sum::<usize>()
    );
}

#[test]
fn blocks_fold_their_layers_away_and_open_again() {
    let mut window = open("demo:fashion");
    let all = session(&window).open().unwrap().original.network.layers.len();
    assert!(
        all < 40 && texts(&window, "Block layer1.0").is_empty(),
        "few layers are only listed"
    );
    select(&mut window, "layer1.0.conv1");
    window
        .get_by_role_and_label(Role::Label, "layer1.0.conv2")
        .click_secondary();
    window.run_steps(3);
    click(&mut window, "Fold all blocks");
    let outside = session(&window).open().unwrap().original.network.blocks().outside.len();
    assert_eq!(rows(&window), outside);
    assert_eq!(texts(&window, "Block layer1.0").len(), 1);
    click(&mut window, "Block layer1.0");
    assert_eq!(rows(&window), outside + 1, "the block has two layers");
    // Sorted by a number there are no blocks.
    click(&mut window, "Sort by SQNR");
    assert!(texts(&window, "Block layer1.0").is_empty());
}

#[test]
fn columns_of_inputs_are_what_the_view_of_activations_tells() {
    let mut window = open("demo:fashion");
    click(&mut window, "Layer inputs as columns");
    settle(&mut window);
    click(&mut window, "Activations");
    select(&mut window, "layer2.0.conv1");
    let (outliers, ratio) = {
        let found = session(&window).open().unwrap().input_channels().unwrap();
        (found.outlier_channels(), found.ratio_to_median().unwrap())
    };
    assert!(!texts(&window, &format!("{outliers} outlier channels")).is_empty());
    let shown = texts(&window, &format!("{} ×", three_digits(ratio)));
    assert!(!shown.is_empty(), "{ratio}");
    click(&mut window, "relief");
    assert_eq!(
        window
            .query_all_by_role_and_label(Role::GraphicsObject, "Relief of the input channels")
            .count(),
        1
    );
}

fn three_digits(x: f64) -> String {
    let digits = (2 - x.log10().floor() as i32).max(0) as usize;
    format!("{x:.digits$}")
}
