//! The block that MobileNet-V2 (Sandler et al. 2018) brought and the EfficientNets (Tan and Le 2019) share: widen, filter each
//! channel, gate, narrow; added to its input where the shapes agree.

use super::image::{Activation, Conv, Gate, Map};
use super::net::Net;

/// Strides of the stages, the same in all these networks.
pub(super) const STRIDES: [usize; 7] = [1, 2, 2, 2, 1, 2, 1];

/// Epsilon of weights that come from TensorFlow, of MobileNet-V3 and of the larger EfficientNets in torchvision.
pub(super) const WIDE_EPSILON: f32 = 1e-3;

/// Whether timm took the weights over from TensorFlow: its name of the architecture tells. Without one they did not, and a
/// note says so.
pub(super) fn from_tensorflow(net: &mut Net<'_>) -> bool {
    let Some(name) = net.config.architecture() else {
        net.note(
            "no config.json tells whether these are weights from TensorFlow (timm's tf_…), whose convolutions pad otherwise: \
             torch's padding is taken",
        );
        return false;
    };
    // Those pruned by Aflalo et al. 2020 pad so too.
    name.starts_with("tf_") || name.ends_with("_pruned")
}

/// How all the blocks of a network compute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) activation: Activation,
    pub(super) epsilon: f32,
    /// Whether convolutions pad as TensorFlow does.
    pub(super) tensorflow: bool,
}

impl Style {
    /// A convolution, its batch-norm, and the activation, if the latter is wanted.
    pub(super) fn layer(
        self,
        net: &mut Net<'_>,
        x: &Map,
        [conv, norm]: &[String; 2],
        how: Conv,
        activate: bool,
    ) -> Map {
        let y = net.conv(x, conv, how.tensorflow(self.tensorflow));
        let y = net.batch_norm(&y, norm, self.epsilon);
        if activate {
            net.activate(&y, &format!("{norm}.act"), self.activation)
        } else {
            y
        }
    }
}

/// Names of a block's modules: convolution and batch-norm of each layer.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) module: String,
    pub(super) expand: Option<[String; 2]>,
    pub(super) depthwise: [String; 2],
    pub(super) gate: Option<Gate>,
    pub(super) project: [String; 2],
    /// Whether the input is added to what comes out, where the shapes agree.
    pub(super) residual: bool,
}

/// timm's names of the block `module`: one that does not widen calls its last convolution `conv_pw`. `gate`: what stands
/// between the two convolutions of its gate, and whether the gate is a hard one; `None` if it has none.
pub(super) fn timm_names(net: &Net<'_>, module: String, gate: Option<(Activation, bool)>) -> Names {
    let pair = |conv: &str, norm: &str| [format!("{module}.{conv}"), format!("{module}.{norm}")];
    let expands = net.dict.has(&format!("{module}.conv_pwl"));
    Names {
        expand: expands.then(|| pair("conv_pw", "bn1")),
        depthwise: pair("conv_dw", if expands { "bn2" } else { "bn1" }),
        gate: gate.map(|(inner, hard)| Gate {
            module: format!("{module}.se"),
            parts: ["conv_reduce", "conv_expand"],
            inner,
            hard,
        }),
        project: if expands {
            pair("conv_pwl", "bn3")
        } else {
            pair("conv_pw", "bn2")
        },
        residual: true,
        module,
    }
}

/// One block. A depthwise kernel of another size than `kernel` does not fit; `None` takes any.
pub(super) fn block(
    net: &mut Net<'_>,
    x: &Map,
    names: &Names,
    stride: usize,
    kernel: Option<usize>,
    style: Style,
) -> Map {
    let mut y = x.clone();
    if let Some(expand) = &names.expand {
        y = style.layer(net, &y, expand, Conv::square(1), true);
    }
    let filter = kernel.map_or(Conv::any(), Conv::square);
    y = style.layer(net, &y, &names.depthwise, filter.depthwise().stride(stride), true);
    if let Some(gate) = &names.gate {
        y = net.squeeze_excite(&y, gate);
    }
    y = style.layer(net, &y, &names.project, Conv::square(1), false);
    if names.residual && stride == 1 && y.channels == x.channels {
        let tensor = format!("{}.weight", names.project[0]);
        y = net.add(&y, x, &format!("{}.add", names.module), &tensor);
    }
    y
}
