//! What several views are built of: waiting, progress, failure, missing data, tables in an order, rows of controls.

mod controls;
mod missing;
mod progress;
mod table;

pub(super) use controls::{choice_row, label_row, slider_width};
pub(super) use missing::data_buttons_ui;
pub(super) use progress::{failure_ui, job_ui, progress_ui, start_ui, stopped_ui, waiting_ui};
pub(super) use table::{Heading, ROW_HEIGHT, Sorted, column, number_cell, text_cell};
