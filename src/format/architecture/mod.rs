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
mod bert;
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
mod transformer;
mod vgg;
mod vit;
mod window;

pub use config::Config;
pub use misfit::{Fault, Misfit};

use crate::network::PreprocessHint;
use crate::onnx::ModelProto;
use net::{Net, Output};
use state_dict::StateDict;

/// An architecture whose state dicts are recognised.
pub(crate) struct Family {
    /// What it is called.
    name: &'static str,
    /// Builds the graph from whatever the state dict holds.
    build: fn(&mut Net<'_>) -> Output,
}

/// In the order in which they are tried: the first that fits is taken.
const FAMILIES: [Family; 20] = [
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

/// The graph of a model that has initializers only.
///
/// # Errors
/// The nearest family and the first tensor that did not fit it; the model comes back as it was.
pub fn recognise(model: ModelProto, config: &Config) -> Result<Recognised, (Box<ModelProto>, Misfit)> {
    let (result, left_aside) = {
        let dict = StateDict::new(&model);
        (nearest(&dict, config), dict.notes)
    };
    match result {
        Ok(finished) => {
            let mut recognised = finished.around(model);
            recognised.notes.splice(0..0, left_aside);
            Ok(recognised)
        }
        Err(misfit) => Err((Box::new(model), misfit)),
    }
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
    Err(nearest.unwrap_or_default())
}

/// Names of all families, for a person.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name)
}
