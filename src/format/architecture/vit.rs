//! Vision transformers (Dosovitskiy et al. 2021; DeiT, Touvron et al. 2021) in timm's, torchvision's and transformers' names.
//! The class token is put before the patches without a look at the size of the batch: the patches get a row of zeros in
//! front, to which the token is added together with the positions.

use super::Family;
use super::image::{Features, Map, Usual};
use super::misfit::Fault;
use super::net::{Net, Output};
use super::transformer::{Between, Sequence};
use crate::network::Interpolation;
use crate::onnx::build::{i64_tensor, int_attribute, ints_attribute};

pub(super) const FAMILY: Family = Family {
    name: "Vision transformer",
    build,
};

/// Epsilon of the layer norms in timm and torchvision; transformers' is another, and configured.
const EPSILON: f32 = 1e-6;
const TRANSFORMERS_EPSILON: f32 = 1e-12;

/// Widths of published models whose heads are not 64 wide, and their number of heads: ViT-H, -g and -G (Zhai et al. 2022).
const HEADS: [(usize, usize); 3] = [(1280, 16), (1408, 16), (1664, 16)];

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

/// What the parts are called.
struct Names {
    class_token: &'static str,
    positions: &'static str,
    patches: &'static str,
    /// Stands before the number of a block.
    block: &'static str,
    norms: [&'static str; 2],
    /// Weight and bias of query, key and value: one matrix of all three, or three of their own.
    attention: Attention,
    projection: &'static str,
    /// The two matrices of a block; older files have other names.
    mlp: [[&'static str; 2]; 2],
    norm: &'static str,
    head: &'static str,
    usual: Usual,
    epsilon: f32,
}

enum Attention {
    Joined([&'static str; 2]),
    Apart([&'static str; 3]),
}

const NAMES: [Names; 3] = [
    Names {
        class_token: "cls_token",
        positions: "pos_embed",
        patches: "patch_embed.proj",
        block: "blocks.",
        norms: ["norm1", "norm2"],
        attention: Attention::Joined(["attn.qkv.weight", "attn.qkv.bias"]),
        projection: "attn.proj",
        mlp: [["mlp.fc1", "mlp.fc2"]; 2],
        norm: "norm",
        head: "head",
        usual: TIMM,
        epsilon: EPSILON,
    },
    Names {
        class_token: "class_token",
        positions: "encoder.pos_embedding",
        patches: "conv_proj",
        block: "encoder.layers.encoder_layer_",
        norms: ["ln_1", "ln_2"],
        attention: Attention::Joined(["self_attention.in_proj_weight", "self_attention.in_proj_bias"]),
        projection: "self_attention.out_proj",
        mlp: [["mlp.0", "mlp.3"], ["mlp.linear_1", "mlp.linear_2"]],
        norm: "encoder.ln",
        head: "heads.head",
        usual: Usual::IMAGENET,
        epsilon: EPSILON,
    },
    Names {
        class_token: "vit.embeddings.cls_token",
        positions: "vit.embeddings.position_embeddings",
        patches: "vit.embeddings.patch_embeddings.projection",
        block: "vit.encoder.layer.",
        norms: ["layernorm_before", "layernorm_after"],
        attention: Attention::Apart([
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
        ]),
        projection: "attention.output.dense",
        mlp: [["intermediate.dense", "output.dense"]; 2],
        norm: "vit.layernorm",
        head: "classifier",
        usual: TRANSFORMERS,
        epsilon: TRANSFORMERS_EPSILON,
    },
];

fn build(net: &mut Net<'_>) -> Output {
    let names = NAMES
        .iter()
        .find(|names| net.dict.has(names.patches))
        .unwrap_or(&NAMES[0]);
    let (mut x, patch) = embed(net, names);
    let heads = heads(net, names, x.width);
    let between = between(net);
    let epsilon = net.config.number("layer_norm_eps").unwrap_or(names.epsilon);
    let blocks = (0..)
        .take_while(|n| net.dict.has(&format!("{}{n}", names.block)))
        .count();
    for number in 0..blocks.max(1) {
        x = block(
            net,
            &x,
            names,
            &format!("{}{number}", names.block),
            heads,
            epsilon,
            between,
        );
    }
    let size = match x.width {
        192 => "Ti",
        384 => "S",
        768 => "B",
        1024 => "L",
        1280 => "H",
        _ => "",
    };
    let title = match size {
        "" => format!("Vision transformer {blocks}x{}/{patch}", x.width),
        size => format!("ViT-{size}/{patch}"),
    };
    net.call(title);
    answer(net, &x, names, epsilon)
}

/// The patches with their positions, the tokens before them; and the side of a patch.
fn embed(net: &mut Net<'_>, names: &Names) -> (Sequence, usize) {
    let weight = format!("{}.weight", names.patches);
    let patch = net.dict.size(&weight, 2).unwrap_or(16).max(1);
    let width = net.dict.size(&weight, 0).unwrap_or(1);
    let rows = net.dict.size(names.positions, 1).unwrap_or(1);
    let distilled = net.dict.has("dist_token");
    let tokens: Vec<&str> = [names.class_token]
        .into_iter()
        .filter(|token| net.dict.has(token))
        .chain(distilled.then_some("dist_token"))
        .collect();
    let size = picture_size(net, names, rows.saturating_sub(tokens.len()), patch);
    let channels = net.dict.size(&weight, 1).unwrap_or(3);
    let picture = net.pictures_of(channels, size, names.usual);
    let map = patches(net, &picture, names.patches, [width, patch]);
    let flat = net.reshape(&map.value, "patches.flat", &[0, as_i64(width), -1]);
    let turned = net.transpose(&flat, "patches", &[0, 2, 1]);
    let mut positions = net
        .parameter(names.positions, &[Some(1), Some(rows), Some(width)])
        .value;
    let mut patches = turned;
    if !tokens.is_empty() {
        patches = pad(net, &patches, "patches.after_tokens", [tokens.len(), 0]);
        for (place, token) in tokens.iter().enumerate() {
            let value = net.parameter(token, &[Some(1), Some(1), Some(width)]).value;
            let placed = pad(
                net,
                &value,
                &format!("{token}.placed"),
                [place, rows.saturating_sub(place + 1)],
            );
            positions = net.sum(&positions, &placed, &format!("{token}.at_its_position"));
        }
    }
    let value = net.sum(&patches, &positions, "embedded");
    let x = Sequence { value, width };
    if net.dict.has("norm_pre") {
        return (net.layer_norm(&x, "norm_pre", EPSILON), patch);
    }
    (x, patch)
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

/// Height and width: the configured ones if they have as many patches as there are positions, else a square.
fn picture_size(net: &mut Net<'_>, names: &Names, positions: usize, patch: usize) -> [usize; 2] {
    if let Some(size) = net.configured_size() {
        let found = (size[0] / patch) * (size[1] / patch);
        if found != positions {
            let reason = format!(
                "has positions for {positions} patches, and config.json asks for {} x {} pixels, which are {found}",
                size[0], size[1]
            );
            net.fail(names.positions, Fault::Other(reason));
        }
        return size;
    }
    let side = positions.isqrt();
    if side * side != positions {
        let reason = format!("has positions for {positions} patches, which make no square picture: give a config.json");
        net.fail(names.positions, Fault::Other(reason));
    }
    [side.saturating_mul(patch); 2]
}

/// `value` with rows of zeros before and behind its own.
fn pad(net: &mut Net<'_>, value: &str, name: &str, [before, behind]: [usize; 2]) -> String {
    let pads = [0, as_i64(before), 0, 0, as_i64(behind), 0];
    let pads = net.constant(i64_tensor(format!("{name}.rows"), &[pads.len()], &pads));
    net.node("Pad", name, [value.to_owned(), pads], vec![])
}

fn heads(net: &mut Net<'_>, names: &Names, width: usize) -> usize {
    let known = HEADS.iter().find(|(known, _)| *known == width).map(|(_, heads)| *heads);
    net.heads(width, known, &format!("{}.weight", names.patches))
}

fn between(net: &mut Net<'_>) -> Between {
    match net.config.text("hidden_act").map(|name| (name, Between::named(name))) {
        None => Between::Gelu,
        Some((_, Some(between))) => between,
        Some((name, None)) => {
            let reason = format!("belongs to a network with the function '{name}', which is not known");
            net.fail("hidden_act", Fault::Other(reason));
            Between::Gelu
        }
    }
}

fn block(
    net: &mut Net<'_>,
    x: &Sequence,
    names: &Names,
    module: &str,
    heads: usize,
    epsilon: f32,
    between: Between,
) -> Sequence {
    let name = |part: &str| format!("{module}.{part}");
    let normed = net.layer_norm(x, &name(names.norms[0]), epsilon);
    let [query, key, value] = match &names.attention {
        Attention::Apart(parts) => parts.map(|part| net.project(&normed, &name(part))),
        Attention::Joined([weight, bias]) => joined(net, &normed, &name(weight), &name(bias)),
    };
    let attended = net.attend([&query, &key, &value], heads, None, &name("attention"));
    let projected = net.project(&attended, &name(names.projection));
    let x = residual(net, x, &projected, module, "ls1");
    let normed = net.layer_norm(&x, &name(names.norms[1]), epsilon);
    let [first, second] = names
        .mlp
        .into_iter()
        .find(|[first, _]| net.dict.has(&name(first)))
        .unwrap_or(names.mlp[0]);
    let inner = net.project(&normed, &name(first));
    let inner = net.between(&inner, &name("mlp.act"), between);
    let outer = net.project(&inner, &name(second));
    residual(net, &x, &outer, module, "ls2")
}

/// Query, key and value from one matrix.
fn joined(net: &mut Net<'_>, x: &Sequence, weight: &str, bias: &str) -> [Sequence; 3] {
    let module = weight
        .strip_suffix(".weight")
        .or_else(|| weight.strip_suffix("_weight"))
        .unwrap_or(weight);
    let bias = net.dict.has(bias).then_some(bias);
    let all = net.project_by(x, module, weight, bias);
    if all.width != 3 * x.width {
        let expected = vec![Some(3 * x.width), Some(x.width)];
        net.fail(weight, Fault::Shape(expected, vec![all.width, x.width]));
    }
    let width = x.width;
    net.split(&all.value, &format!("{module}.apart"), [width; 3])
        .map(|value| Sequence { value, width })
}

/// What a block adds to its input, scaled for each channel where the file says so (Touvron et al. 2021b).
fn residual(net: &mut Net<'_>, x: &Sequence, change: &Sequence, module: &str, scale: &str) -> Sequence {
    if change.width != x.width {
        let reason = format!("adds {} channels to {}", change.width, x.width);
        net.fail(&format!("{module}.weight"), Fault::Other(reason));
    }
    let gamma = format!("{module}.{scale}.gamma");
    let mut value = change.value.clone();
    if net.dict.has(&gamma) {
        let gamma = net.parameter(&gamma, &[Some(x.width)]).value;
        value = net.node("Mul", &format!("{module}.{scale}"), [value, gamma], vec![]);
    }
    let number = if scale == "ls1" { "attended" } else { "added" };
    Sequence {
        value: net.sum(&x.value, &value, &format!("{module}.{number}")),
        width: x.width,
    }
}

/// The head on the class token; on the mean of all patches where there is a norm behind the mean (`fc_norm`).
fn answer(net: &mut Net<'_>, x: &Sequence, names: &Names, epsilon: f32) -> Output {
    net.unused("vit.pooler");
    if net.dict.has("fc_norm") {
        let kept = usize::from(net.dict.has(names.class_token));
        let mean = mean_of_patches(net, x, kept);
        let normed = net.layer_norm(&mean, "fc_norm", epsilon);
        let features = Features {
            value: normed.value,
            width: normed.width,
        };
        return net.linear(&features, names.head).output();
    }
    let normed = net.layer_norm(x, names.norm, epsilon);
    let class = if net.dict.has(names.class_token) {
        net.step(&normed, "class_step", 0)
    } else {
        let mean = mean_of_patches(net, &normed, 0);
        Features {
            value: mean.value,
            width: mean.width,
        }
    };
    if !net.dict.has(names.head) {
        net.answer("features");
        return class.output();
    }
    let mut features = class;
    if net.dict.has("heads.pre_logits") {
        features = net.linear(&features, "heads.pre_logits");
        features.value = net.node("Tanh", "heads.act", [features.value], vec![]);
    }
    let logits = net.linear(&features, names.head);
    if !net.dict.has("head_dist") {
        return logits.output();
    }
    // A distilled network answers with the mean of both heads.
    let token = net.step(&normed, "distilled_step", 1);
    let other = net.linear(&token, "head_dist");
    let sum = net.sum(&logits.value, &other.value, "both_heads");
    Features {
        value: net.scale(&sum, "mean_of_heads", 0.5),
        width: logits.width,
    }
    .output()
}

/// The mean over the steps from `from` on: `[batch, width]`.
fn mean_of_patches(net: &mut Net<'_>, x: &Sequence, from: usize) -> Sequence {
    let mut value = x.value.clone();
    if from > 0 {
        let limits = [("starts", as_i64(from)), ("ends", i64::MAX), ("axes", 1)];
        let limits =
            limits.map(|(part, number)| net.constant(i64_tensor(format!("patches_only.{part}"), &[1], &[number])));
        let inputs = std::iter::once(value).chain(limits);
        value = net.node("Slice", "patches_only", inputs, vec![]);
    }
    let attributes = vec![ints_attribute("axes", [1]), int_attribute("keepdims", 0)];
    Sequence {
        value: net.node("ReduceMean", "mean_of_patches", [value], attributes),
        width: x.width,
    }
}

/// A parameter's size for an attribute.
fn as_i64(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
