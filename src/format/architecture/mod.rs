//! State dicts to graphs: when the names and shapes of a weights-only file fit a known architecture, its graph is made
//! around the tensors as they lie in the file.
//!
//! A `Family` is one small file: the table of an architecture, written as calls on a `Net`. Each call asks the `StateDict`
//! for tensors by name and says which shape it expects; depths and widths are read from names and shapes. Calls never fail:
//! the net notes the first tensor that does not fit and goes on, so that the share of the names that were found tells which
//! family is the nearest when none fits. A family fits when every tensor that it asked for was there and no tensor of the
//! file was left over.

mod activation;
mod alexnet;
mod attention;
mod bert;
mod causal;
mod config;
mod convolution;
mod decoder;
mod densenet;
mod derived;
mod efficientnet;
mod finished;
mod image;
mod inception;
mod inverted_residual;
mod misfit;
mod mobilenet_v2;
mod mobilenet_v3;
mod net;
mod picture;
mod pool;
mod recurrent;
mod resnet;
mod small;
mod squeezenet;
mod state_dict;
mod t5;
mod transformer;
mod vgg;
mod vit;
mod window;

pub use config::Config;
pub use misfit::{Fault, Misfit};

use crate::network::{PreprocessHint, on_grids};
use crate::onnx::{ModelProto, upgrade};
use net::{Net, Output};
use state_dict::{Grids, StateDict};

/// An architecture whose state dicts are recognised.
pub(crate) struct Family {
    /// What it is called.
    name: &'static str,
    /// Builds the graph from whatever the state dict holds.
    build: fn(&mut Net<'_>) -> Output,
}

/// In the order in which they are tried: the first that fits is taken.
const FAMILIES: [Family; 21] = [
    resnet::FAMILY,
    vgg::FAMILY,
    densenet::FAMILY,
    inception::FAMILY,
    mobilenet_v2::FAMILY,
    efficientnet::TORCHVISION,
    efficientnet::TIMM,
    mobilenet_v3::TORCHVISION,
    mobilenet_v3::TIMM,
    squeezenet::FAMILY,
    alexnet::FAMILY,
    vit::FAMILY,
    bert::FAMILY,
    t5::FAMILY,
    decoder::FAMILY,
    decoder::gpt2::FAMILY,
    decoder::gpt_neox::FAMILY,
    decoder::opt::FAMILY,
    decoder::bloom::FAMILY,
    recurrent::FAMILY,
    small::FAMILY,
];

/// A state dict as a graph.
#[derive(Debug)]
pub struct Recognised {
    /// The graph, its initializers being the file's tensors in their order.
    pub model: ModelProto,
    /// The architecture, such as `ResNet-50`.
    pub name: String,
    /// How its pictures are made ready: from the configuration, else the family's usual way.
    pub preprocess: PreprocessHint,
    /// What names and shapes leave open, and what was taken for it: sentences for a person.
    pub notes: Vec<String>,
}

/// The graph of a model that has initializers only. Packed weights of quantized checkpoints pass a `DequantizeLinear`.
///
/// # Errors
/// The nearest family and the first tensor that did not fit it; the model comes back as it was.
pub fn recognise(model: ModelProto, config: &Config) -> Result<Recognised, (Box<ModelProto>, Misfit)> {
    let Some(spread) = on_grids(&model) else {
        return around(model, None, config);
    };
    if let Some(tensor) = spread.too_large {
        let reason = "is packed in the order of activations: networks of so many weights are not run from such files";
        let misfit = Misfit {
            family: config.text("model_type").unwrap_or("a quantized one").to_owned(),
            share: 1.0,
            tensor,
            fault: Fault::Other(reason.to_owned()),
        };
        return Err((Box::new(model), misfit));
    }
    around(spread.model, Some(&spread.grids), config).map_err(|(_, misfit)| (Box::new(model), misfit))
}

fn around(model: ModelProto, grids: Option<&Grids>, config: &Config) -> Result<Recognised, (Box<ModelProto>, Misfit)> {
    let (result, left_aside) = {
        let dict = StateDict::new(&model, grids);
        (nearest(&dict, config), dict.notes)
    };
    let finished = match result {
        Ok(finished) => finished,
        Err(misfit) => return Err((Box::new(model), misfit)),
    };
    let mut recognised = finished.around(model);
    recognised.notes.splice(0..0, left_aside);
    if let Some(grids) = grids
        && let Some(grid) = grids.values().max_by_key(|grid| (grid.operator_set, &grid.scheme))
    {
        let (count, scheme) = (grids.len(), &grid.scheme);
        let note =
            format!("{count} weights are packed ({scheme}): the network runs on the numbers that they stand for.");
        recognised.notes.insert(0, note);
        let upgraded = upgrade(&mut recognised.model, grid.operator_set.max(finished::OPSET));
        if let Err(error) = upgraded {
            let misfit = Misfit {
                fault: Fault::Other(error.to_string()),
                ..Misfit::default()
            };
            return Err((Box::new(recognised.model), misfit));
        }
    }
    Ok(recognised)
}

fn nearest(dict: &StateDict<'_>, config: &Config) -> Result<finished::Finished, Misfit> {
    let mut nearest: Option<Misfit> = None;
    for family in &FAMILIES {
        let mut net = Net::new(dict, config, family.name);
        let output = (family.build)(&mut net);
        match net.finish(&output) {
            Ok(finished) => return Ok(finished),
            Err(misfit) if nearest.as_ref().is_none_or(|best| misfit.share > best.share) => nearest = Some(misfit),
            Err(_) => {}
        }
    }
    let nearest = nearest.unwrap_or_default();
    Err(in_other_names(dict).map_or(nearest.clone(), |misfit| Misfit {
        share: nearest.share,
        ..misfit
    }))
}

/// An architecture that is known in other names: family, names that no other has, the package that writes them, who writes
/// those that are read.
const OTHER_NAMES: [(&str, &[&str], &str, &str); 1] = [(
    "EfficientNet",
    &["_conv_stem.weight", "_blocks.0._depthwise_conv.weight"],
    "the package efficientnet_pytorch",
    "timm and torchvision",
)];

fn in_other_names(dict: &StateDict<'_>) -> Option<Misfit> {
    let known = OTHER_NAMES.iter();
    let mut known = known.filter(|(_, marks, _, _)| marks.iter().all(|name| dict.get(name).is_some()));
    known.next().map(|(family, marks, package, read)| Misfit {
        family: (*family).to_owned(),
        tensor: marks.first().copied().unwrap_or_default().to_owned(),
        fault: Fault::OtherNames(package, read),
        ..Misfit::default()
    })
}

/// Names of all families, for a person.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::GraphProto;
    use crate::onnx::build::float_tensor;

    #[test]
    fn efficientnet_in_the_names_of_another_package_is_told_as_such() {
        let names = [
            ("_conv_stem.weight", vec![32, 3, 3, 3]),
            ("_bn0.weight", vec![32]),
            ("_blocks.0._depthwise_conv.weight", vec![32, 1, 3, 3]),
            ("_blocks.0._se_reduce.weight", vec![8, 32, 1, 1]),
            ("_blocks.0._project_conv.weight", vec![16, 32, 1, 1]),
            ("_fc.weight", vec![10, 1280]),
        ];
        let tensor =
            |(name, shape): &(&str, Vec<usize>)| float_tensor(*name, shape, &vec![0.0; shape.iter().product()]);
        let said = |prefix: &str| {
            let tensors = names.iter().map(tensor).map(|mut tensor| {
                tensor.name = Some(format!("{prefix}{}", tensor.name()));
                tensor
            });
            let model = ModelProto {
                graph: Some(GraphProto {
                    initializer: tensors.collect(),
                    ..GraphProto::default()
                }),
                ..ModelProto::default()
            };
            recognise(model, &Config::default()).unwrap_err().1.to_string()
        };
        for prefix in ["", "module."] {
            let said = said(prefix);
            assert!(
                said.starts_with(
                    "the nearest architecture is EfficientNet, in the names of the package efficientnet_pytorch"
                ),
                "{said}"
            );
            assert!(said.contains("'_conv_stem.weight'") && said.contains("timm"), "{said}");
        }
    }
}
