//! Vision transformers (Dosovitskiy et al. 2021; DeiT, Touvron et al. 2021; DINOv2, Oquab et al. 2023) in timm's, torchvision's
//! and transformers' names.

mod embedding;
mod names;

use super::Family;
use super::image::Features;
use super::misfit::Fault;
use super::net::{Net, Output, as_i64};
use super::transformer::{Between, Sequence};
use crate::onnx::build::{i64_tensor, int_attribute, ints_attribute};
use embedding::{Embedded, embed};
use names::{Attention, CLIP_EPSILON, NAMES, Names};

pub(super) const FAMILY: Family = Family {
    name: "Vision transformer",
    build,
};

/// Widths of published models whose heads are not 64 wide, and their number of heads: ViT-H, -g and -G (Zhai et al. 2022).
const HEADS: [(usize, usize); 3] = [(1280, 16), (1408, 16), (1664, 16)];

/// What is known of all blocks.
struct Part {
    names: &'static Names,
    /// What stands before all names but those of the heads.
    root: &'static str,
    heads: usize,
    epsilon: f32,
    between: Between,
}

impl Part {
    /// The full name of a part outside of the blocks.
    fn name(&self, part: &str) -> String {
        format!("{}{part}", self.root)
    }
}

fn build(net: &mut Net<'_>) -> Output {
    let (names, root) = called(net);
    let patches = format!("{root}{}.weight", names.patches);
    let width = net.dict.size(&patches, 0).unwrap_or(1);
    let known = HEADS.iter().find(|(known, _)| *known == width).map(|(_, heads)| *heads);
    let part = Part {
        names,
        root,
        heads: net.heads(width, known, &patches),
        epsilon: epsilon(net, names),
        between: between(net),
    };
    let Embedded { mut x, patch, tokens } = embed(net, &part);
    let prefix = part.name(names.block);
    let blocks = (0..).take_while(|n| net.dict.has(&format!("{prefix}{n}"))).count();
    for number in 0..blocks.max(1) {
        x = block(net, &x, &part, &format!("{prefix}{number}"));
    }
    let size = match x.width {
        192 => "Ti",
        384 => "S",
        768 => "B",
        1024 => "L",
        1280 => "H",
        _ => "",
    };
    net.call(match size {
        "" => format!("Vision transformer {blocks}x{}/{patch}", x.width),
        size => format!("ViT-{size}/{patch}"),
    });
    answer(net, &x, &part, tokens)
}

/// How the parts of this file are called, and what stands before: the names of which most are there.
fn called(net: &Net<'_>) -> (&'static Names, &'static str) {
    let ways = NAMES
        .iter()
        .flat_map(|names| names.roots.iter().map(move |root| (names, *root)));
    let share = |(names, root): &(&Names, &str)| {
        let module = |part: &str| net.dict.has(&format!("{root}{part}"));
        let first = |part: &str| module(&format!("{}0.{part}", names.block));
        let places = [
            module(names.patches),
            first(names.norms[0]),
            first(names.attention.first()),
            first(names.mlp[0][0]),
            first(names.mlp[1][0]),
        ];
        let head = net.dict.has(names.heads[0]);
        places.into_iter().filter(|there| *there).count() * 2 + usize::from(head)
    };
    // Of equally many the first.
    let best = ways.rev().max_by_key(share);
    best.unwrap_or((&NAMES[0], ""))
}

/// The configured epsilon, that of CLIP's networks if timm calls it one, or the usual one.
fn epsilon(net: &Net<'_>, names: &Names) -> f32 {
    let clip = net.config.architecture().is_some_and(|name| name.contains("_clip_")) || net.dict.has("norm_pre");
    let usual = if clip { CLIP_EPSILON } else { names.epsilon };
    net.config.number("layer_norm_eps").unwrap_or(usual)
}

fn between(net: &mut Net<'_>) -> Between {
    if net.config.architecture().is_some_and(|name| name.contains("quickgelu")) {
        return Between::QuickGelu;
    }
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

fn block(net: &mut Net<'_>, x: &Sequence, part: &Part, module: &str) -> Sequence {
    let (names, epsilon) = (part.names, part.epsilon);
    let name = |part: &str| format!("{module}.{part}");
    let normed = net.layer_norm(x, &name(names.norms[0]), epsilon);
    let [query, key, value] = match &names.attention {
        Attention::Apart(parts) => parts.map(|part| net.project(&normed, &name(part))),
        Attention::Joined([weight, bias]) => joined(net, &normed, &name(weight), &name(bias)),
    };
    let attended = net.attend([&query, &key, &value], part.heads, None, &name("attention"));
    let projected = net.project(&attended, &name(names.projection));
    let x = residual(net, x, &projected, [&name(names.scales[0]), &name("attended")]);
    let normed = net.layer_norm(&x, &name(names.norms[1]), epsilon);
    let [first, second] = names
        .mlp
        .into_iter()
        .find(|[first, _]| net.dict.has(&name(first)))
        .unwrap_or(names.mlp[0]);
    let inner = net.project(&normed, &name(first));
    let inner = net.between(&inner, &name("mlp.act"), part.between);
    let outer = net.project(&inner, &name(second));
    residual(net, &x, &outer, [&name(names.scales[1]), &name("added")])
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

/// What a block adds to its input, times the tensor `scale` for each channel where the file has it (Touvron et al. 2021b).
/// The sum is called `name`.
fn residual(net: &mut Net<'_>, x: &Sequence, change: &Sequence, [scale, name]: [&str; 2]) -> Sequence {
    if change.width != x.width {
        let reason = format!("adds {} channels to {}", change.width, x.width);
        net.fail(name, Fault::Other(reason));
    }
    let mut value = change.value.clone();
    if net.dict.has(scale) {
        let factors = net.parameter(scale, &[Some(x.width)]).value;
        value = net.node("Mul", &format!("{scale}.times"), [value, factors], vec![]);
    }
    Sequence {
        value: net.sum(&x.value, &value, name),
        width: x.width,
    }
}

/// The head on the class token; on the mean of all patches where there is a norm behind the mean (`fc_norm`), on both where
/// DINOv2 has it so.
fn answer(net: &mut Net<'_>, x: &Sequence, part: &Part, tokens: usize) -> Output {
    for unused in ["pooler", "embeddings.mask_token"] {
        net.unused(&part.name(unused));
    }
    let names = part.names;
    let [head, second_head] = names.heads;
    if net.dict.has("fc_norm") {
        let mean = mean_of_patches(net, x, tokens);
        let normed = net.layer_norm(&mean, "fc_norm", part.epsilon);
        let features = as_features(normed);
        if !net.dict.has(head) {
            net.answer("features");
            return features.output();
        }
        return net.linear(&features, head).output();
    }
    let normed = net.layer_norm(x, &part.name(names.norm), part.epsilon);
    let mut features = if net.dict.has(&part.name(names.class_token)) {
        net.step(&normed, "class_step", 0)
    } else {
        as_features(mean_of_patches(net, &normed, 0))
    };
    if !net.dict.has(head) {
        net.answer("features");
        return features.output();
    }
    if names.both {
        let mean = mean_of_patches(net, &normed, tokens);
        let both = [features.value, mean.value];
        features = Features {
            value: net.node("Concat", "class_and_mean", both, vec![int_attribute("axis", 1)]),
            width: features.width + mean.width,
        };
    }
    if net.dict.has("heads.pre_logits") {
        features = net.linear(&features, "heads.pre_logits");
        features.value = net.node("Tanh", "heads.act", [features.value], vec![]);
    }
    let logits = net.linear(&features, head);
    if !net.dict.has(second_head) {
        return logits.output();
    }
    // A distilled network answers with the mean of both heads.
    let token = net.step(&normed, "distilled_step", 1);
    let other = net.linear(&token, second_head);
    let sum = net.sum(&logits.value, &other.value, "both_heads");
    Features {
        value: net.scale(&sum, "mean_of_heads", 0.5),
        width: logits.width,
    }
    .output()
}

fn as_features(x: Sequence) -> Features {
    Features {
        value: x.value,
        width: x.width,
    }
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
