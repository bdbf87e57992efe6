//! The flags that say what runs networks.

use super::values::at_least_one;
use crate::engine::{self, EngineChoice, EngineFault};
use clap::Args;

/// Which engine, and how it is set up.
#[derive(Debug, Args)]
#[command(next_help_heading = "Engine")]
pub(in crate::cli) struct EngineArguments {
    /// What runs networks: rten (built in), or onnxruntime[:LIBRARY]; its library is looked for in ORT_DYLIB_PATH and Python's
    /// packages [default: rten]
    #[arg(long, global = true, value_name = "ENGINE")]
    engine: Option<EngineChoice>,
    /// Execution provider of onnxruntime: cpu, cuda, tensorrt, openvino, coreml or directml [default: cpu]
    #[arg(long, global = true, value_name = "NAME")]
    engine_provider: Option<String>,
    /// Threads of onnxruntime [default: as --threads]
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    engine_threads: Option<usize>,
    /// How exactly onnxruntime sums 4-bit matrix products: its qdq_matmulnbits_accuracy_level, 0 to 4
    #[arg(long, global = true, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=4))]
    matmulnbits_accuracy: Option<u8>,
}

/// Why the built-in engine runs networks, and not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum EngineRefused {
    #[error("--engine-provider, --engine-threads and --matmulnbits-accuracy are for --engine onnxruntime")]
    Options,
    #[error("onnxruntime cannot be used: {0}; the built-in engine goes on")]
    Unusable(#[from] EngineFault),
}

impl EngineArguments {
    /// Lets the engine that was asked for run everything. Where it cannot be used the built-in one goes on.
    ///
    /// # Errors
    /// One line for the person: why not.
    pub(in crate::cli) fn choose(&self) -> Result<(), EngineRefused> {
        match self.choice()? {
            EngineChoice::Rten => Ok(()),
            choice @ EngineChoice::Onnxruntime(_) => engine::choose(choice).map(drop).map_err(EngineRefused::from),
        }
    }

    /// What was asked for.
    fn choice(&self) -> Result<EngineChoice, EngineRefused> {
        match self.engine.clone().unwrap_or_default() {
            EngineChoice::Onnxruntime(mut options) => {
                options.provider.clone_from(&self.engine_provider);
                options.threads = self.engine_threads;
                options.matmulnbits_accuracy_level = self.matmulnbits_accuracy;
                Ok(EngineChoice::Onnxruntime(options))
            }
            EngineChoice::Rten if self.has_options() => Err(EngineRefused::Options),
            EngineChoice::Rten => Ok(EngineChoice::Rten),
        }
    }

    fn has_options(&self) -> bool {
        self.engine_provider.is_some() || self.engine_threads.is_some() || self.matmulnbits_accuracy.is_some()
    }
}
