//! `Concat` of bytes: the engine (rten 0.27) has none.

use super::super::build::int_attribute;
use super::super::schema::data_type;
use super::site::{Outcome, Ruled, Site};

/// The bytes are put together as INT32, which holds them all.
pub(super) fn concat(site: &mut Site<'_>) -> Ruled {
    let bytes = (0..site.node().input.len()).filter_map(|slot| site.element_type(slot));
    let bytes = bytes
        .into_iter()
        .find(|known| [data_type::INT8, data_type::UINT8].contains(known));
    let Some(bytes) = bytes else { return Ok(Outcome::Kept) };
    let to = |element_type: i32| vec![int_attribute("to", i64::from(element_type))];
    let mut wide = Vec::new();
    for slot in 0..site.node().input.len() {
        let part = site.needed(slot)?;
        wide.push(site.op_with("Cast", &[part], to(data_type::INT32)));
    }
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    let whole = site.op_with("Concat", &wide, site.node().attribute.clone());
    site.end_with("Cast", &[&whole], to(bytes))
}
