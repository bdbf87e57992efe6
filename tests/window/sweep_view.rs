//! The view of sweeps, driven through its labels: rows come, a click takes a row's recipe, undo brings the old one back.

use crate::harness::{Window, builder, by_palette, click, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use splitscope::inference::sweep::SweepGrid;
use splitscope::quantization::{Bits, Clip};
use splitscope::session::Action;

fn toggle(window: &mut Window, label: &str) {
    window.get_by_role_and_label(Role::CheckBox, label).click();
    settle(window);
}

/// The view in front, with 3 bits, ratios 0 and 0.05, clips none and MSE chosen.
fn four_settings() -> Window {
    let mut window = open_with(builder(), "demo:fashion", 50);
    click(&mut window, "Sweep");
    for off in ["Weight bits 5", "Weight bits 4", "Expand ratio 0.02"] {
        toggle(&mut window, off);
    }
    window
}

#[test]
fn a_click_on_a_row_takes_its_recipe_and_undo_brings_the_old_one_back() {
    let mut window = four_settings();
    assert!(
        texts(&window, "4 settings").len() == 1,
        "the number is told before the start"
    );
    click(&mut window, "Start sweep");
    let before = session(&window).open().unwrap().recipe().clone();
    let rows = session(&window).open().unwrap().sweep().rows().to_vec();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.samples == 50 && row.metrics.top1.is_some()));
    assert_eq!(texts(&window, "Row: ").len(), 4);

    click(
        &mut window,
        "Row: 3 bits weights, ratio 0.05, clip MSE, float activations",
    );
    let taken = session(&window).open().unwrap().recipe().clone();
    assert_eq!(taken.weight_bits, Bits::Grid(3));
    assert_eq!((taken.expand_ratio, taken.clip), (0.05, Clip::Mse));
    assert_eq!(taken, rows[3].recipe);
    // The preview of that recipe on the same samples is the row's.
    let evaluated = session(&window).open().unwrap().evaluated().unwrap();
    assert_eq!(evaluated.1.evaluation.quantized.top1, rows[3].metrics.top1);

    click(&mut window, "Undo");
    assert_eq!(*session(&window).open().unwrap().recipe(), before);
    assert_eq!(
        session(&window).open().unwrap().sweep().rows(),
        rows,
        "the rows do not depend on the present recipe"
    );
}

#[test]
fn zero_points_are_an_axis_and_a_row_with_them_is_taken() {
    let mut window = four_settings();
    for switch in [
        "Expand ratio 0.05",
        "Clip MSE",
        "Scales channel",
        "Zero points off",
        "Zero points on",
    ] {
        toggle(&mut window, switch);
    }
    assert_eq!(texts(&window, "2 settings").len(), 1, "two values of zero points");
    click(&mut window, "Start sweep");
    let rows = session(&window).open().unwrap().sweep().rows().to_vec();
    let tried: Vec<bool> = rows.iter().map(|row| row.recipe.weight_zero_points).collect();
    assert_eq!(tried, [false, true]);
    let [without, with] = [&rows[0], &rows[1]].map(|row| row.sqnr_db.unwrap());
    assert!(
        with > without,
        "a grid that covers the weights alone is nearer: {with} dB, {without} dB"
    );

    click(
        &mut window,
        "Row: 3 bits weights, ratio 0, clip none, float activations, per channel, zero points",
    );
    assert_eq!(*session(&window).open().unwrap().recipe(), rows[1].recipe);
}

#[test]
fn in_a_small_window_no_column_is_cut() {
    let mut window = open_with(builder().with_size([960.0, 600.0]), "demo:fashion", 50);
    window.state_mut().act(Action::StartSweep(SweepGrid {
        weight_bits: vec![Bits::Grid(3)],
        expand_ratios: vec![0.0],
        clips: vec![Clip::Mse],
        activation_bits: vec![Bits::Float],
        ..SweepGrid::default()
    }));
    by_palette(&mut window, "show view Sweep");
    settle(&mut window);
    let right = window.get_by_label("Whole network").rect().left();
    // A word may stand above the list too, and in the panel beside the view.
    let ends = |window: &Window, text: &str| {
        let rects = window.get_all_by_label(text).map(|node| node.rect());
        let in_view = rects.filter(|rect| rect.left() < right);
        in_view.map(|rect| rect.right()).fold(0.0, f32::max)
    };
    for title in ["Bits", "Ratio", "Clip", "Top-1"] {
        assert!(
            ends(&window, title) < right,
            "{title} ends at {}, the view at {right}",
            ends(&window, title)
        );
    }
    let row = session(&window).open().unwrap().sweep().rows()[0].clone();
    for (title, value) in [
        ("Added", format!("+{:.1} %", (row.overhead.weights - 1.0) * 100.0)),
        ("Size", format!("{:.1} %", row.overhead.size * 100.0)),
    ] {
        if window.query_all_by_label(title).next().is_some() {
            assert!(ends(&window, title) < right, "{title} ends at {}", ends(&window, title));
        }
        // What has no column stands in the row's tooltip.
        window
            .get_by_label("Row: 3 bits weights, ratio 0, clip MSE, float activations")
            .hover();
        window.run_steps(60);
        let told = texts(&window, &format!("{title}: {value}"));
        assert!(!told.is_empty(), "{title}: {value} is told nowhere");
    }
}

#[test]
fn the_rows_stand_as_in_the_paper_and_a_cell_takes_its_recipe() {
    let mut window = four_settings();
    click(&mut window, "Start sweep");
    click(&mut window, "as in the paper");
    assert!(texts(&window, "Row: ").is_empty());
    for column in ["clip none", "clip mse", "OCS 0.05", "OCS+clip 0.05"] {
        window.get_by_label(column);
    }
    let cells = texts(&window, "Cell: ");
    assert_eq!(cells.len(), 4);
    // The best of the line is that of the library.
    let rows = session(&window).open().unwrap().sweep().rows().to_vec();
    let best = rows.iter().filter_map(|row| row.metrics.top1).fold(0.0, f64::max);
    let marked: Vec<&String> = cells
        .iter()
        .filter(|cell| cell.ends_with("the best of its line"))
        .collect();
    assert!(
        !marked.is_empty()
            && marked
                .iter()
                .all(|cell| cell.contains(&format!("{:.1} %", best * 100.0)))
    );

    let cell = cells.iter().find(|cell| cell.contains("ratio 0.05, clip MSE")).unwrap();
    click(&mut window, cell);
    let taken = session(&window).open().unwrap().recipe().clone();
    assert_eq!((taken.expand_ratio, taken.clip), (0.05, Clip::Mse));
}

#[test]
fn the_rows_are_written_as_csv_through_the_dialog() {
    let mut window = four_settings();
    click(&mut window, "Start sweep");
    click(&mut window, "Save CSV…");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    // In place of the name that is suggested.
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window
        .get_by_role_and_label(Role::TextInput, "Path")
        .type_text(path.to_str().unwrap());
    settle(&mut window);
    click(&mut window, "Write");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 5, "a title and four rows");
    assert!(text.starts_with("model,data,"));
}

#[test]
fn a_cancelled_sweep_goes_on_with_the_rows_it_has() {
    let mut window = four_settings();
    window.get_by_label("Start sweep").click();
    while session(&window).open().unwrap().sweep().rows().is_empty() {
        window.step();
    }
    let job = session(&window).job(splitscope::session::Kind::Sweep);
    let Some(job) = job else { return };
    window.state_mut().act(Action::Cancel(job.id));
    settle(&mut window);
    let first = session(&window).open().unwrap().sweep().rows().to_vec();
    if first.len() == 4 {
        return;
    }
    assert!(!texts(&window, "cancelled").is_empty());
    click(&mut window, "Go on sweep");
    let rows = session(&window).open().unwrap().sweep().rows().to_vec();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[..first.len()], first);
}
