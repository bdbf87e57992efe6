//! app

/// What the window opens with.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// A file or a demo's name.
    pub model: Option<String>,
    /// A recipe file.
    pub recipe: Option<std::path::PathBuf>,
    /// Data for the preview.
    pub data: Option<String>,
}

/// Opens the window.
///
/// # Errors
/// None yet.
pub fn run(_options: StartOptions) -> anyhow::Result<()> {
    anyhow::bail!("the window is not built yet; use a subcommand (--help)")
}
