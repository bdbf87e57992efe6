//! What the parts of a vision transformer are called: timm's, torchvision's and transformers' names.

use crate::format::architecture::image::Usual;
use crate::network::Interpolation;

/// Epsilon of the layer norms in timm and torchvision; of networks trained as CLIP's image tower; and where transformers'
/// configuration does not tell.
const EPSILON: f32 = 1e-6;
pub(super) const CLIP_EPSILON: f32 = 1e-5;
const TRANSFORMERS_EPSILON: f32 = 1e-12;

/// timm's pictures for weights that were trained with augmentation (Steiner et al. 2022).
const TIMM: Usual = Usual {
    size: 224,
    normalization: Some([[0.5; 3], [0.5; 3]]),
    crop: Some(0.9),
    interpolation: Some(Interpolation::Bicubic),
};
const TRANSFORMERS: Usual = Usual {
    crop: None,
    interpolation: Some(Interpolation::Bilinear),
    ..TIMM
};
/// Pictures of DINOv2 (Oquab et al. 2023).
const DINO: Usual = Usual {
    size: 518,
    crop: Some(1.0),
    interpolation: Some(Interpolation::Bicubic),
    ..Usual::IMAGENET
};

/// What the parts are called.
pub(super) struct Names {
    /// What stands before all names but those of the heads: the first that the file has.
    pub(super) roots: &'static [&'static str],
    pub(super) class_token: &'static str,
    /// The second token of distilled networks (DeiT).
    pub(super) distillation_token: &'static str,
    pub(super) positions: &'static str,
    pub(super) patches: &'static str,
    /// Stands before the number of a block.
    pub(super) block: &'static str,
    pub(super) norms: [&'static str; 2],
    pub(super) attention: Attention,
    pub(super) projection: &'static str,
    /// The two matrices of a block; older files have other names.
    pub(super) mlp: [[&'static str; 2]; 2],
    /// Factors of what a block adds to its input, if the file has them.
    pub(super) scales: [&'static str; 2],
    pub(super) norm: &'static str,
    /// The heads on the class token and on the distillation token.
    pub(super) heads: [&'static str; 2],
    /// Whether the head reads the class token and the mean of the patches, side by side.
    pub(super) both: bool,
    pub(super) usual: Usual,
    pub(super) epsilon: f32,
}

/// Weight and bias of query, key and value: one matrix of all three, or three of their own.
pub(super) enum Attention {
    Joined([&'static str; 2]),
    Apart([&'static str; 3]),
}

impl Attention {
    /// What comes first in a file.
    pub(super) fn first(&self) -> &'static str {
        match self {
            Self::Joined([first, _]) | Self::Apart([first, ..]) => first,
        }
    }
}

const TIMM_NAMES: Names = Names {
    roots: &[""],
    class_token: "cls_token",
    distillation_token: "dist_token",
    positions: "pos_embed",
    patches: "patch_embed.proj",
    block: "blocks.",
    norms: ["norm1", "norm2"],
    attention: Attention::Joined(["attn.qkv.weight", "attn.qkv.bias"]),
    projection: "attn.proj",
    mlp: [["mlp.fc1", "mlp.fc2"]; 2],
    scales: ["ls1.gamma", "ls2.gamma"],
    norm: "norm",
    heads: ["head", "head_dist"],
    both: false,
    usual: TIMM,
    epsilon: EPSILON,
};

const TORCHVISION_NAMES: Names = Names {
    roots: &[""],
    class_token: "class_token",
    positions: "encoder.pos_embedding",
    patches: "conv_proj",
    block: "encoder.layers.encoder_layer_",
    norms: ["ln_1", "ln_2"],
    attention: Attention::Joined(["self_attention.in_proj_weight", "self_attention.in_proj_bias"]),
    projection: "self_attention.out_proj",
    mlp: [["mlp.0", "mlp.3"], ["mlp.linear_1", "mlp.linear_2"]],
    norm: "encoder.ln",
    heads: ["heads.head", "heads.distilled"],
    usual: Usual::IMAGENET,
    ..TIMM_NAMES
};

const TRANSFORMERS_NAMES: Names = Names {
    roots: &["vit.", "deit.", ""],
    class_token: "embeddings.cls_token",
    distillation_token: "embeddings.distillation_token",
    positions: "embeddings.position_embeddings",
    patches: "embeddings.patch_embeddings.projection",
    block: "encoder.layer.",
    norms: ["layernorm_before", "layernorm_after"],
    attention: Attention::Apart([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    projection: "attention.output.dense",
    mlp: [["intermediate.dense", "output.dense"]; 2],
    scales: ["layer_scale1.lambda1", "layer_scale2.lambda1"],
    norm: "layernorm",
    heads: ["classifier", "distillation_classifier"],
    both: false,
    usual: TRANSFORMERS,
    epsilon: TRANSFORMERS_EPSILON,
};

const DINO_NAMES: Names = Names {
    roots: &["dinov2.", ""],
    norms: ["norm1", "norm2"],
    mlp: [["mlp.fc1", "mlp.fc2"]; 2],
    both: true,
    usual: DINO,
    epsilon: EPSILON,
    ..TRANSFORMERS_NAMES
};

/// The distilled networks of transformers call the head on the class token so.
const DISTILLED_NAMES: Names = Names {
    heads: ["cls_classifier", "distillation_classifier"],
    ..TRANSFORMERS_NAMES
};

/// Query, key, value and what mixes them in a module of transformers 5, which keeps the names above in the files of its hub alone.
const ATTENTION_5: Attention = Attention::Apart(["attention.q_proj", "attention.k_proj", "attention.v_proj"]);
const PROJECTION_5: &str = "attention.o_proj";

const TRANSFORMERS_5_NAMES: Names = Names {
    block: "layers.",
    attention: ATTENTION_5,
    projection: PROJECTION_5,
    mlp: [["mlp.fc1", "mlp.fc2"]; 2],
    ..TRANSFORMERS_NAMES
};

const DINO_5_NAMES: Names = Names {
    attention: ATTENTION_5,
    projection: PROJECTION_5,
    ..DINO_NAMES
};

const DISTILLED_5_NAMES: Names = Names {
    heads: DISTILLED_NAMES.heads,
    ..TRANSFORMERS_5_NAMES
};

/// Every way in which the parts are called.
pub(super) const NAMES: [Names; 8] = [
    TIMM_NAMES,
    TORCHVISION_NAMES,
    TRANSFORMERS_NAMES,
    DINO_NAMES,
    DISTILLED_NAMES,
    TRANSFORMERS_5_NAMES,
    DINO_5_NAMES,
    DISTILLED_5_NAMES,
];
