//! Explanations: a table of terms, short lessons on the open network's own weights, and a tour.

pub(super) mod glossary;
