//! The flags that say how data are read.

use super::values::{at_least_one, finite, named_file, positive_f32};
use crate::inference::DataOptions;
use crate::network::{Interpolation, Network};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Order of an image's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImageLayout {
    /// Channels before rows and columns.
    Nchw,
    /// Channels last.
    Nhwc,
}

/// Order of an image's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// A way to resize pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Resizing {
    /// The nearest pixel.
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions.
    Bicubic,
    /// A windowed sinc.
    Lanczos,
}

impl From<Resizing> for Interpolation {
    fn from(resizing: Resizing) -> Self {
        match resizing {
            Resizing::Nearest => Self::Nearest,
            Resizing::Bilinear => Self::Bilinear,
            Resizing::Bicubic => Self::Bicubic,
            Resizing::Lanczos => Self::Lanczos,
        }
    }
}

/// What the data files do not say of themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(in crate::cli) struct DataArguments {
    /// Preprocessing by name: imagenet, imagenet-bicubic, inception, minus-one-to-one, unit (0 to 1), raw (0 to 255), cifar,
    /// fashion, or network for what the network's config.json says
    #[arg(long, value_name = "NAME")]
    preprocess: Option<String>,
    /// Resize so that the shorter side has this many pixels
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    size: Option<usize>,
    /// Cut this many pixels square out of the centre
    #[arg(long, value_name = "PIXELS", value_parser = at_least_one)]
    crop: Option<usize>,
    /// How pictures are resized
    #[arg(long, value_enum)]
    interpolation: Option<Resizing>,
    /// Mean to subtract from each channel, red first, on a scale of 0 to 1
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = finite, allow_hyphen_values = true)]
    mean: Option<Vec<f32>>,
    /// Standard deviation to divide each channel by, red first, on a scale of 0 to 1
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', value_parser = positive_f32)]
    std: Option<Vec<f32>>,
    /// Order of an image's axes
    #[arg(long, value_enum)]
    layout: Option<ImageLayout>,
    /// Order of an image's channels
    #[arg(long, value_enum)]
    channel_order: Option<ChannelOrder>,
    /// Names of the classes: imagenet, cifar10, cifar100, fashion, or a file of names (text or JSON)
    #[arg(long, value_name = "LIST|FILE")]
    classes: Option<String>,
    /// Labels, in a file beside the data
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// An input of the network by name, samples along its first axis; may be given again
    #[arg(long = "input", id = "inputs", value_name = "NAME=FILE.npy", value_parser = named_file)]
    pub(in crate::cli) inputs: Vec<(String, PathBuf)>,
    /// How a text becomes tokens: a tokenizer.json, a GGUF file, or characters or words and their ids (JSON); MODEL.vocab.json
    /// and tokenizer.json beside the model are found by themselves
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,
    /// Tokens of a text that a language model reads at a time, each window alone; without it transformers read 256, recurrent
    /// networks long streams
    #[arg(long, value_name = "TOKENS", value_parser = at_least_one)]
    window: Option<usize>,
}

impl DataArguments {
    /// The options for opening a data set that is meant for `network`.
    pub(in crate::cli) fn options(&self, network: &Network) -> DataOptions {
        let options = DataOptions {
            preprocess: self.preprocess.clone(),
            size: self.size,
            crop: self.crop,
            interpolation: self.interpolation.map(Interpolation::from),
            mean: self.mean.clone(),
            std: self.std.clone(),
            channels_last: self.layout.map(|layout| layout == ImageLayout::Nhwc),
            blue_first: self.channel_order == Some(ChannelOrder::Bgr),
            classes: self.classes.clone(),
            hint: None,
            labels: self.labels.clone(),
            vocabulary: self.vocab.clone(),
            window: self.window,
            chosen_for_text: self.vocab.is_some() || self.window.is_some(),
            answer_width: None,
            inputs: self.inputs.clone(),
            output: None,
            limit: None,
        };
        options.for_network(network)
    }
}

/// Which output of the network counts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(in crate::cli) struct AnswerArguments {
    /// The output of the network that is compared and judged; without it the first that holds floats
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) output: Option<String>,
}

/// The same for a subcommand that writes a file by `--output`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(in crate::cli) struct NetworkOutputArguments {
    /// The output of the network that is compared and judged; without it the first that holds floats
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) network_output: Option<String>,
}
