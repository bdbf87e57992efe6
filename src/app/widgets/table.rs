//! Tables whose rows stand in an order: titles that tell what a column shows and may sort by it, cells of numbers.

use crate::app::text::note;
use egui::{Align, Button, Label, Layout, RichText, Role, Ui, WidgetInfo};
use egui_extras::Column;

/// Height of a row, points.
pub(in crate::app) const ROW_HEIGHT: f32 = 20.0;

/// The title of a column.
pub(in crate::app) struct Heading<'a> {
    pub(in crate::app) title: &'a str,
    /// What the column shows, in a sentence.
    pub(in crate::app) help: &'a str,
    /// Text stands left, numbers right.
    pub(in crate::app) is_text: bool,
}

/// Which way the rows stand by a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Sorted {
    /// By another column.
    No,
    Ascending,
    Descending,
}

impl Heading<'_> {
    /// The title of a column that the rows are never sorted by.
    pub(in crate::app) fn ui(&self, ui: &mut Ui) {
        let title = Label::new(self.text("")).selectable(false).extend();
        ui.with_layout(self.layout(), |ui| ui.add(title).on_hover_text(self.help));
    }

    /// The title as a button; tells a click, which sorts by the column.
    pub(in crate::app) fn sort_ui(&self, ui: &mut Ui, sorted: Sorted) -> bool {
        let arrow = match sorted {
            Sorted::No => "",
            Sorted::Descending => " ▼",
            Sorted::Ascending => " ▲",
        };
        let button = Button::new(self.text(arrow)).frame(false);
        let response = ui
            .with_layout(self.layout(), |ui| ui.add(button).on_hover_text(self.help))
            .inner;
        let label = format!("Sort by {}", self.title);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
        response.clicked()
    }

    fn text(&self, arrow: &str) -> RichText {
        RichText::new(format!("{}{arrow}", self.title)).small().strong()
    }

    fn layout(&self) -> Layout {
        if self.is_text {
            Layout::left_to_right(Align::Center)
        } else {
            Layout::right_to_left(Align::Center)
        }
    }
}

/// A column of `width` points; without one it takes what is left, and at least `least`.
pub(in crate::app) fn column(width: Option<f32>, least: f32) -> Column {
    match width {
        Some(width) => Column::exact(width).clip(true),
        None => Column::remainder().at_least(least).clip(true),
    }
}

/// A short text, cut where it does not fit and whole in its tooltip.
pub(in crate::app) fn text_cell(ui: &mut Ui, text: &str) {
    let response = ui.add(Label::new(note(text)).selectable(false).truncate());
    response.on_hover_text(text);
}

/// A number, at the right end of its cell.
pub(in crate::app) fn number_cell(ui: &mut Ui, text: &str) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        ui.add(Label::new(RichText::new(text).small()).selectable(false).extend());
    });
}
