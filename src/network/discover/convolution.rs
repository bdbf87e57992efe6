//! Conv and ConvTranspose.

use super::site::{Reading, Role, Site};
use super::weight_source::Weight;
use crate::network::layer::{Layer, LayerKind, Layout, OutAxis, Support, Unsupported};

const CONV: Role = Role {
    kind: LayerKind::Conv,
    weight_input: 1,
    input: Some((0, 1)),
    suffix: "",
};

/// A Conv with a constant weight.
pub(super) fn conv(site: &Site<'_>) -> Option<Layer> {
    let groups = site.int("group", 1);
    Some(site.layer(&CONV, site.weight(1)?, |weight, sizes| read_conv(weight, sizes, groups)))
}

/// A ConvTranspose with a constant weight.
pub(super) fn conv_transpose(site: &Site<'_>) -> Option<Layer> {
    let role = Role {
        kind: LayerKind::ConvTranspose,
        ..CONV
    };
    let groups = site.int("group", 1);
    Some(site.layer(&role, site.weight(1)?, |weight, sizes| {
        read_conv_transpose(weight, sizes, groups)
    }))
}

/// `W[O, I/g, k…]`.
pub(super) fn read_conv(weight: &Weight<'_>, sizes: &[usize], groups: i64) -> Result<Reading, Unsupported> {
    let (outputs, channels, inner) = kernel(weight, sizes)?;
    let groups = divisor(groups, outputs, sizes)?;
    let layout = Layout {
        groups,
        outer: outputs / groups,
        channels,
        inner,
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    let support = if groups > 1 && channels == 1 {
        Support::Quantize(Unsupported::Depthwise)
    } else {
        Support::Split
    };
    Ok(Reading {
        layout,
        support,
        unpacked: None,
    })
}

/// `W[I, O/g, k…]`: the input channels come first, those of a group together.
fn read_conv_transpose(weight: &Weight<'_>, sizes: &[usize], groups: i64) -> Result<Reading, Unsupported> {
    let (inputs, outputs, kernel) = kernel(weight, sizes)?;
    let groups = divisor(groups, inputs, sizes)?;
    let layout = Layout {
        groups,
        outer: 1,
        channels: inputs / groups,
        inner: outputs * kernel,
        out_axis: OutAxis::Inner,
        out_run: kernel,
    };
    let support = if groups > 1 && layout.channels == 1 {
        Support::Quantize(Unsupported::Depthwise)
    } else {
        Support::Split
    };
    Ok(Reading {
        layout,
        support,
        unpacked: None,
    })
}

/// First size, second size, and the product of the kernel's.
fn kernel(weight: &Weight<'_>, sizes: &[usize]) -> Result<(usize, usize, usize), Unsupported> {
    if !weight.is_in_stored_order() {
        return Err(Unsupported::Turned("weight"));
    }
    match sizes {
        [first, second, kernel @ ..] if !kernel.is_empty() => Ok((*first, *second, kernel.iter().product())),
        _ => Err(Unsupported::Rank {
            rule: "a convolution's weight has 3 or more dimensions, this one has",
            shape: sizes.to_vec(),
        }),
    }
}

fn divisor(groups: i64, size: usize, sizes: &[usize]) -> Result<usize, Unsupported> {
    usize::try_from(groups)
        .ok()
        .filter(|&groups| groups > 0 && size.is_multiple_of(groups))
        .ok_or_else(|| {
            let shape = sizes.to_vec();
            Unsupported::Groups { shape, groups }
        })
}
