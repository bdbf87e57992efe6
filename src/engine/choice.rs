//! Which engine runs networks.

use super::onnxruntime::{Onnxruntime, OnnxruntimeOptions, onnxruntime_available};
use super::{Engine, EngineError, EngineFault, Rten};
use crate::onnx::{self, ModelProto};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

/// An engine, and how it is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum EngineChoice {
    /// The one that is built in.
    #[default]
    Rten,
    /// onnxruntime, if the person has it.
    Onnxruntime(OnnxruntimeOptions),
}

/// A text that names no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an engine is rten, onnxruntime or onnxruntime:LIBRARY")]
pub struct UnknownEngine;

impl FromStr for EngineChoice {
    type Err = UnknownEngine;

    /// `rten`, `onnxruntime` or `onnxruntime:LIBRARY`.
    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        match text
            .split_once(':')
            .map_or((text, None), |(name, library)| (name, Some(library)))
        {
            ("rten", None) => Ok(Self::Rten),
            ("onnxruntime", library) if library != Some("") => Ok(Self::Onnxruntime(OnnxruntimeOptions {
                library: library.map(Into::into),
                ..OnnxruntimeOptions::default()
            })),
            _ => Err(UnknownEngine),
        }
    }
}

impl EngineChoice {
    /// Loads the bytes of an ONNX file of which outputs will be asked for.
    ///
    /// # Errors
    /// [`EngineError::Load`] with the engine's reason.
    pub fn load(&self, model: Vec<u8>) -> Result<Arc<dyn Engine>, EngineError> {
        Ok(match self {
            Self::Rten => Arc::new(Rten::load_for_outputs(model)?),
            Self::Onnxruntime(options) => Arc::new(Onnxruntime::load(model, options)?),
        })
    }

    /// Loads a model whose values between nodes will be asked for too; what it shares with others takes no memory of its own.
    ///
    /// # Errors
    /// As [`EngineChoice::load`], and that it cannot be written as bytes.
    pub fn load_model(&self, model: ModelProto) -> Result<Arc<dyn Engine>, EngineError> {
        match self {
            Self::Rten => Ok(Arc::new(Rten::load_model(model)?)),
            Self::Onnxruntime(_) => {
                let bytes = onnx::encode(&model).map_err(|error| EngineError::Load(EngineFault::told(error)))?;
                self.load(bytes)
            }
        }
    }

    /// Loads a model whose graph is to be run as it is written: no value is rounded otherwise because a fusion computed it.
    ///
    /// # Errors
    /// As [`EngineChoice::load_model`].
    pub fn load_unoptimized(&self, model: ModelProto) -> Result<Arc<dyn Engine>, EngineError> {
        let bytes = onnx::encode(&model).map_err(|error| EngineError::Load(EngineFault::told(error)))?;
        drop(model);
        Ok(match self {
            Self::Rten => Arc::new(Rten::load_unoptimized(bytes)?),
            Self::Onnxruntime(options) => Arc::new(Onnxruntime::load_unoptimized(bytes, options)?),
        })
    }

    /// The engine to verify this one by: onnxruntime for the built-in one, the built-in one for onnxruntime.
    #[must_use]
    pub fn other(&self) -> Self {
        match self {
            Self::Rten => Self::Onnxruntime(OnnxruntimeOptions::default()),
            Self::Onnxruntime(_) => Self::Rten,
        }
    }

    /// What networks are timed in: onnxruntime, in which most are shipped, if the person has it; else this one.
    #[must_use]
    pub fn for_timing(&self) -> Self {
        match self {
            Self::Rten if self.other().available().is_ok() => self.other(),
            chosen => chosen.clone(),
        }
    }

    /// What the engine is called, if it can be used here.
    ///
    /// # Errors
    /// One line: why it cannot.
    pub fn available(&self) -> Result<String, EngineFault> {
        match self {
            Self::Rten => Ok(super::rten::NAME.to_owned()),
            Self::Onnxruntime(options) => onnxruntime_available(options),
        }
    }
}

/// The engine of this process.
static CHOSEN: RwLock<EngineChoice> = RwLock::new(EngineChoice::Rten);

/// Lets [`load`] use this engine from now on, and tells what it is called. One engine runs all that is compared: the float
/// network, the quantized one, calibration; and onnxruntime's library can be loaded into a process only once.
///
/// # Errors
/// One line: why it cannot be used; the engine before it goes on.
pub fn choose(choice: EngineChoice) -> Result<String, EngineFault> {
    let name = choice.available()?;
    *CHOSEN.write().unwrap_or_else(PoisonError::into_inner) = choice;
    Ok(name)
}

/// The engine that [`load`] uses.
pub fn chosen() -> EngineChoice {
    CHOSEN.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Loads a model into the engine that was chosen, for whoever asks for values between nodes too.
///
/// # Errors
/// As [`EngineChoice::load_model`].
pub fn load_model(model: ModelProto) -> Result<Arc<dyn Engine>, EngineError> {
    chosen().load_model(model)
}

/// Loads the bytes of an ONNX file, of which outputs will be asked for, into the engine that was chosen; into the built-in one if
/// none was.
///
/// # Errors
/// As [`EngineChoice::load`].
pub fn load(model: Vec<u8>) -> Result<Arc<dyn Engine>, EngineError> {
    chosen().load(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_chosen_by_name() {
        assert_eq!("rten".parse(), Ok(EngineChoice::Rten));
        let of = |library: Option<&str>| {
            Ok(EngineChoice::Onnxruntime(OnnxruntimeOptions {
                library: library.map(Into::into),
                ..OnnxruntimeOptions::default()
            }))
        };
        assert_eq!("onnxruntime".parse::<EngineChoice>(), of(None));
        assert_eq!(
            "onnxruntime:/opt/ort.so".parse::<EngineChoice>(),
            of(Some("/opt/ort.so"))
        );
        for wrong in ["tract", "rten:x", "onnxruntime:", ""] {
            assert!(wrong.parse::<EngineChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_engine_that_cannot_be_used_is_told_in_one_line_and_the_one_before_goes_on() {
        let before = chosen();
        let error = choose("onnxruntime:/nowhere/libonnxruntime.so".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nowhere/libonnxruntime.so") && !error.contains('\n'),
            "{error}"
        );
        assert_eq!(chosen(), before);
    }
}
