//! What the makers of a network say of the pictures that it wants, and of how its decoder begins.

/// How [`PreprocessHint::source`] begins where no file but the architecture tells.
pub const USUAL_FOR: &str = "usual for ";

/// How data were made ready in the network's training, as far as its files or its architecture tell. Every field may
/// be missing; what a person chooses goes before all of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PreprocessHint {
    /// Where this is from, for a person: `config.json`, or `usual for Inception-V3`.
    pub source: String,
    /// Mean of each channel, of pixels scaled to 0..1.
    pub mean: Option<Vec<f32>>,
    /// Standard deviation of each channel, likewise.
    pub std: Option<Vec<f32>>,
    /// Height and width of the network's input, pixels.
    pub size: Option<[usize; 2]>,
    /// Share of the resized picture's shorter side that the centre crop keeps: 224 of 256 is 0.875.
    pub crop: Option<f32>,
    /// How pictures are resized.
    pub interpolation: Option<Interpolation>,
    /// The token that a decoder beside an encoder reads before the first of its own.
    pub decoder_start: Option<i32>,
    /// Names of the classes in the order of the outputs; empty where nothing tells.
    pub classes: Vec<String>,
}

/// A way to resize a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions.
    Bicubic,
    /// A windowed sinc.
    Lanczos,
}
