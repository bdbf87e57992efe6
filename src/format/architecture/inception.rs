//! Inception-V3 (Szegedy et al. 2016): torchvision and timm share their names. The auxiliary head is for training and is left
//! out.
//!
//! The published weights want pixels as `(x - 0.5) / 0.5`; torchvision's module computes that itself from pictures made ready
//! for its other networks (`transform_input`), this graph leaves it to the preprocessing.

use super::Family;
use super::image::{Conv, Map, Usual, Window};
use super::net::{Net, Output};
use crate::network::Interpolation;

pub(super) const FAMILY: Family = Family {
    name: "Inception-V3",
    build,
};

const EPSILON: f32 = 1e-3;

const USUAL: Usual = Usual {
    size: 299,
    normalization: Some([[0.5; 3]; 2]),
    crop: Some(0.875),
    interpolation: Some(Interpolation::Bilinear),
};

/// A module of a branch: what its name ends with, and its convolution.
type Step = (&'static str, Conv);

/// A branch: its steps one after the other, then those of its ends, which all read the last of them.
struct Branch {
    pool: Option<Pool>,
    steps: &'static [Step],
    ends: &'static [Step],
}

/// A pool at the beginning of a branch.
#[derive(Clone, Copy)]
enum Pool {
    /// The mean of 3 x 3 pixels, of the same size.
    Mean,
    /// The largest of 3 x 3 pixels, of half the size.
    Largest,
}

const fn steps(steps: &'static [Step]) -> Branch {
    Branch {
        pool: None,
        steps,
        ends: &[],
    }
}

const fn pooled(pool: Pool, steps: &'static [Step]) -> Branch {
    Branch {
        pool: Some(pool),
        steps,
        ends: &[],
    }
}

const ONE: Conv = Conv::square(1);
const THREE: Conv = Conv::square(3);
const HALVE: Conv = Conv::square(3).stride(2).padding(0);
const WIDE: Conv = Conv::kernel(1, 7);
const TALL: Conv = Conv::kernel(7, 1);
const FLAT_ENDS: [Conv; 2] = [Conv::kernel(1, 3), Conv::kernel(3, 1)];

/// The stem: each module with its convolution, and whether a pool follows.
const STEM: [(&str, Conv, bool); 5] = [
    ("Conv2d_1a_3x3", HALVE, false),
    ("Conv2d_2a_3x3", THREE.padding(0), false),
    ("Conv2d_2b_3x3", THREE, true),
    ("Conv2d_3b_1x1", ONE, false),
    ("Conv2d_4a_3x3", THREE.padding(0), true),
];

const A: &[Branch] = &[
    steps(&[("branch1x1", ONE)]),
    steps(&[("branch5x5_1", ONE), ("branch5x5_2", Conv::square(5))]),
    steps(&[
        ("branch3x3dbl_1", ONE),
        ("branch3x3dbl_2", THREE),
        ("branch3x3dbl_3", THREE),
    ]),
    pooled(Pool::Mean, &[("branch_pool", ONE)]),
];

const B: &[Branch] = &[
    steps(&[("branch3x3", HALVE)]),
    steps(&[
        ("branch3x3dbl_1", ONE),
        ("branch3x3dbl_2", THREE),
        ("branch3x3dbl_3", HALVE),
    ]),
    pooled(Pool::Largest, &[]),
];

const C: &[Branch] = &[
    steps(&[("branch1x1", ONE)]),
    steps(&[("branch7x7_1", ONE), ("branch7x7_2", WIDE), ("branch7x7_3", TALL)]),
    steps(&[
        ("branch7x7dbl_1", ONE),
        ("branch7x7dbl_2", TALL),
        ("branch7x7dbl_3", WIDE),
        ("branch7x7dbl_4", TALL),
        ("branch7x7dbl_5", WIDE),
    ]),
    pooled(Pool::Mean, &[("branch_pool", ONE)]),
];

const D: &[Branch] = &[
    steps(&[("branch3x3_1", ONE), ("branch3x3_2", HALVE)]),
    steps(&[
        ("branch7x7x3_1", ONE),
        ("branch7x7x3_2", WIDE),
        ("branch7x7x3_3", TALL),
        ("branch7x7x3_4", HALVE),
    ]),
    pooled(Pool::Largest, &[]),
];

const E: &[Branch] = &[
    steps(&[("branch1x1", ONE)]),
    Branch {
        pool: None,
        steps: &[("branch3x3_1", ONE)],
        ends: &[("branch3x3_2a", FLAT_ENDS[0]), ("branch3x3_2b", FLAT_ENDS[1])],
    },
    Branch {
        pool: None,
        steps: &[("branch3x3dbl_1", ONE), ("branch3x3dbl_2", THREE)],
        ends: &[("branch3x3dbl_3a", FLAT_ENDS[0]), ("branch3x3dbl_3b", FLAT_ENDS[1])],
    },
    pooled(Pool::Mean, &[("branch_pool", ONE)]),
];

const BLOCKS: [(&str, &[Branch]); 11] = [
    ("Mixed_5b", A),
    ("Mixed_5c", A),
    ("Mixed_5d", A),
    ("Mixed_6a", B),
    ("Mixed_6b", C),
    ("Mixed_6c", C),
    ("Mixed_6d", C),
    ("Mixed_6e", C),
    ("Mixed_7a", D),
    ("Mixed_7b", E),
    ("Mixed_7c", E),
];

fn build(net: &mut Net<'_>) -> Output {
    net.unused("AuxLogits");
    let mut x = net.pictures("Conv2d_1a_3x3.conv", USUAL);
    for (module, conv, pool) in STEM {
        x = step(net, &x, module, conv);
        if pool {
            x = net.max_pool(&x, &format!("{module}.pool"), Window::new(3, 2, 0));
        }
    }
    for (module, branches) in BLOCKS {
        let mut maps = Vec::new();
        for (number, branch) in branches.iter().enumerate() {
            maps.extend(carry_out(net, &x, module, branch, number));
        }
        x = net.concat(&maps, &format!("{module}.concat"));
    }
    let pooled = net.global_pool(&x, "avgpool");
    net.linear(&pooled, "fc").output()
}

fn carry_out(net: &mut Net<'_>, x: &Map, module: &str, branch: &Branch, number: usize) -> Vec<Map> {
    let name = format!("{module}.pool{number}");
    let mut y = match branch.pool {
        None => x.clone(),
        Some(Pool::Mean) => net.average_pool(x, &name, Window::new(3, 1, 1), true),
        Some(Pool::Largest) => net.max_pool(x, &name, Window::new(3, 2, 0)),
    };
    for (part, conv) in branch.steps {
        y = step(net, &y, &format!("{module}.{part}"), *conv);
    }
    if branch.ends.is_empty() {
        return vec![y];
    }
    let ends = branch.ends.iter();
    ends.map(|(part, conv)| step(net, &y, &format!("{module}.{part}"), *conv))
        .collect()
}

/// Convolution, batch-norm, ReLU.
fn step(net: &mut Net<'_>, x: &Map, module: &str, conv: Conv) -> Map {
    let y = net.conv(x, &format!("{module}.conv"), conv);
    let y = net.batch_norm(&y, &format!("{module}.bn"), EPSILON);
    net.relu(&y, &format!("{module}.relu"))
}
