//! The view of errors: its curves are there when it is opened, a click takes a setting, and layers are measured one by one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

#[path = "common/window.rs"]
mod window;

use egui::accesskit::Role;
use egui::{Event, PointerButton, Pos2, pos2};
use egui_kittest::kittest::Queryable;
use splitscope::quantization::Bits;
use splitscope::session::Action;
use window::{Window, click, open, session, settle, texts};

fn click_at(window: &mut Window, place: Pos2) {
    window.hover_at(place);
    window.run_steps(2);
    for pressed in [true, false] {
        window.event(Event::PointerButton {
            pos: place,
            button: PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::default(),
        });
        window.step();
    }
    settle(window);
}

#[test]
fn a_click_on_a_curve_takes_its_setting_for_the_layer() {
    let mut window = open("demo:fashion");
    assert!(
        session(&window).open().unwrap().error_curves().is_none(),
        "nobody looks"
    );
    window.get_by_role_and_label(Role::Button, "Errors").click();
    settle(&mut window);
    let before = session(&window).open().unwrap().recipe().clone();
    let (_, curves) = session(&window).open().unwrap().error_curves().unwrap();
    let at = |bits: u8| {
        curves
            .by_bits
            .iter()
            .map(move |(clip, points)| (*clip, points[usize::from(bits) - 2]))
    };
    let best = at(4).map(|(_, point)| point.sqnr_db).fold(0.0, f64::max);
    let sqnr_of: Vec<_> = at(4).map(|(clip, point)| (clip, point.sqnr_db)).collect();

    // The axis goes from 1.6 to 8.4 bits; nearest to the upper edge is the best curve.
    let plot = window.get_by_label("Plot of the error against bits").rect();
    let x = plot.left() + plot.width() * ((4.0 - 1.6) / 6.8);
    click_at(&mut window, pos2(x, plot.top() + 3.0));
    let open = session(&window).open().unwrap();
    let settings = open.settings(open.selected());
    assert_eq!(settings.weight_bits, Bits::Grid(4));
    let taken = sqnr_of.iter().find(|(clip, _)| *clip == settings.clip).unwrap();
    assert!(taken.1 == best, "{taken:?} is not the best, {best}");
    assert_eq!(open.recipe().layers.len(), 1, "an exception of this layer alone");

    window.state_mut().act(Action::Undo);
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().recipe(), &before, "one step of undo");

    let plot = window.get_by_label("Plot of the error against splits").rect();
    click_at(&mut window, pos2(plot.right() - 3.0, plot.top() + 3.0));
    let open = session(&window).open().unwrap();
    let ratio = open.settings(open.selected()).expand_ratio;
    assert!((0.2..0.3).contains(&ratio), "{ratio}");
}

#[test]
fn layers_are_measured_one_at_a_time_and_a_click_on_a_bar_selects() {
    let mut window = open("demo:fashion");
    window.get_by_role_and_label(Role::Button, "Errors").click();
    settle(&mut window);
    click(&mut window, "Measure one layer at a time");
    let rows = session(&window).open().unwrap().sensitivity().rows().to_vec();
    let worst = rows
        .iter()
        .filter(|row| row.sqnr_db.is_some())
        .min_by(|a, b| a.sqnr_db.unwrap().total_cmp(&b.sqnr_db.unwrap()))
        .unwrap();
    assert_eq!(texts(&window, "Sensitivity of ").len(), rows.len());
    let top = |label: &str| window.get_by_label_contains(label).rect().top();
    let first = top(&format!("Sensitivity of {},", worst.name));
    assert!(
        rows.iter()
            .all(|row| top(&format!("Sensitivity of {},", row.name)) >= first),
        "the worst is at the top"
    );
    window
        .get_by_label_contains(&format!("Sensitivity of {},", worst.name))
        .click();
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().selected_name(), worst.name);
}
