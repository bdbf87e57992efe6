//! From a picture to the steps of a vision transformer: patches, tokens before them, positions. The tokens are put there
//! without a look at the size of the batch: the patches get rows of zeros in front, to which the tokens are added together
//! with the positions.

use super::Part;
use crate::format::architecture::image::Map;
use crate::format::architecture::misfit::Fault;
use crate::format::architecture::net::{Net, as_i64};
use crate::format::architecture::transformer::Sequence;
use crate::onnx::build::{i64_tensor, ints_attribute};

/// Tokens of registers (Darcet et al. 2024), as timm calls them.
const REGISTERS: &str = "reg_token";

/// A token, and how many steps it takes.
struct Token {
    tensor: String,
    steps: usize,
}

/// What flows into the first block.
pub(super) struct Embedded {
    pub(super) x: Sequence,
    /// Side of a patch, pixels.
    pub(super) patch: usize,
    /// Steps before those of the patches.
    pub(super) tokens: usize,
}

/// The patches with their positions, and the tokens before them.
pub(super) fn embed(net: &mut Net<'_>, part: &Part) -> Embedded {
    let names = part.names;
    let (module, positions) = (part.name(names.patches), part.name(names.positions));
    let weight = format!("{module}.weight");
    let patch = net.dict.size(&weight, 2).unwrap_or(16).max(1);
    let width = net.dict.size(&weight, 0).unwrap_or(1);
    let rows = net.dict.size(&positions, 1).unwrap_or(1);
    let tokens = tokens(net, part);
    let ahead: usize = tokens.iter().map(|token| token.steps).sum();
    let (size, embedded) = picture_size(net, part, rows, ahead, patch);
    let channels = net.dict.size(&weight, 1).unwrap_or(3);
    let picture = net.pictures_of(channels, size, names.usual);
    let map = patches(net, &picture, &module, [width, patch]);
    let flat = net.reshape(&map.value, "patches.flat", &[0, as_i64(width), -1]);
    let mut patches = net.transpose(&flat, "patches", &[0, 2, 1]);
    let sizes = [Some(1), Some(rows), Some(width)];
    let mut added = net.parameter(&positions, &sizes).value;
    if ahead > 0 {
        patches = pad(net, &patches, "patches.after_tokens", [ahead, 0]);
        let mut all = rows;
        if !embedded {
            added = pad(net, &added, "positions.after_tokens", [ahead, 0]);
            all += ahead;
        }
        let mut place = 0;
        for Token { tensor, steps } in tokens {
            let value = net.parameter(&tensor, &[Some(1), Some(steps), Some(width)]).value;
            let around = [place, all.saturating_sub(place + steps)];
            let placed = pad(net, &value, &format!("{tensor}.placed"), around);
            added = net.sum(&added, &placed, &format!("{tensor}.at_its_position"));
            place += steps;
        }
    }
    let value = net.sum(&patches, &added, "embedded");
    let mut x = Sequence { value, width };
    if net.dict.has("norm_pre") {
        x = net.layer_norm(&x, "norm_pre", part.epsilon);
    }
    Embedded {
        x,
        patch,
        tokens: ahead,
    }
}

/// The tokens that the file has, in the order of their steps.
fn tokens(net: &Net<'_>, part: &Part) -> Vec<Token> {
    let named = [part.names.class_token, part.names.distillation_token].map(|name| part.name(name));
    let found = named.into_iter().chain([REGISTERS.to_owned()]);
    found
        .filter_map(|tensor| {
            let steps = net.dict.shape(&tensor)?.get(1).copied().unwrap_or(1);
            Some(Token { tensor, steps })
        })
        .collect()
}

/// One pixel for each patch.
fn patches(net: &mut Net<'_>, picture: &Map, module: &str, [width, patch]: [usize; 2]) -> Map {
    let shape = [Some(width), Some(picture.channels), Some(patch), Some(patch)];
    let mut inputs = vec![
        picture.value.clone(),
        net.parameter(&format!("{module}.weight"), &shape).value,
    ];
    let bias = format!("{module}.bias");
    if net.dict.has(&bias) {
        inputs.push(net.parameter(&bias, &[Some(width)]).value);
    }
    let side = ints_attribute("kernel_shape", [as_i64(patch); 2]);
    let strides = ints_attribute("strides", [as_i64(patch); 2]);
    Map {
        value: net.node("Conv", module, inputs, vec![side, strides]),
        channels: width,
        size: picture.size.map(|size| size / patch),
    }
}

/// Height and width, and whether the tokens have positions too: the configured size if it has as many patches as there are
/// positions, else a square.
fn picture_size(net: &mut Net<'_>, part: &Part, rows: usize, ahead: usize, patch: usize) -> ([usize; 2], bool) {
    let (behind, tensor) = (rows.saturating_sub(ahead), part.name(part.names.positions));
    if let Some(size) = net.configured_size() {
        let found = (size[0] / patch).saturating_mul(size[1] / patch);
        if found != behind && found != rows {
            let reason = format!(
                "has positions for {behind} patches, and config.json asks for {} x {} pixels, which are {found}",
                size[0], size[1]
            );
            net.fail(&tensor, Fault::Other(reason));
        }
        return (size, found == behind);
    }
    let square = |count: usize| count.isqrt() * count.isqrt() == count;
    let embedded = square(behind) || !square(rows);
    let count = if embedded { behind } else { rows };
    if !square(count) {
        let reason = format!("has positions for {count} patches, which make no square picture: give a config.json");
        net.fail(&tensor, Fault::Other(reason));
    }
    ([count.isqrt().saturating_mul(patch); 2], embedded)
}

/// `value` with rows of zeros before and behind its own.
fn pad(net: &mut Net<'_>, value: &str, name: &str, [before, behind]: [usize; 2]) -> String {
    let pads = [0, as_i64(before), 0, 0, as_i64(behind), 0];
    let pads = net.constant(i64_tensor(format!("{name}.rows"), &[pads.len()], &pads));
    net.node("Pad", name, [value.to_owned(), pads], vec![])
}
