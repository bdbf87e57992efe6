//! Recipes that a person saved by name: one TOML file each in the user's configuration folder.

use super::{Preset, Recipe};
use std::path::{Path, PathBuf};

/// Ending of the files.
const ENDING: &str = "toml";

impl Recipe {
    /// Names of the recipes that were saved, sorted. None if none was, or there is no place for them.
    ///
    /// # Errors
    /// The folder and the system's reason.
    pub fn user_presets() -> Result<Vec<String>, String> {
        folder().map_or_else(|_| Ok(Vec::new()), |folder| names_in(&folder))
    }

    /// Saves the recipe by name, in place of one of that name, and says where.
    ///
    /// # Errors
    /// What is wrong with the name, or the file and the system's reason.
    pub fn save_preset(&self, name: &str) -> Result<PathBuf, String> {
        self.save_in(&folder()?, name)
    }

    /// A recipe that was saved by name.
    ///
    /// # Errors
    /// What is wrong with the name or with the file, and which names there are.
    pub fn load_preset(name: &str) -> Result<Self, String> {
        Self::load_from(&folder()?, name)
    }

    fn save_in(&self, folder: &Path, name: &str) -> Result<PathBuf, String> {
        check_name(name)?;
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let path = file(folder, name);
        self.save(&path)?;
        Ok(path)
    }

    fn load_from(folder: &Path, name: &str) -> Result<Self, String> {
        check_name(name)?;
        let path = file(folder, name);
        if !path.is_file() {
            let mut names: Vec<String> = Preset::ALL.map(|preset| preset.name().to_owned()).to_vec();
            names.extend(names_in(folder)?);
            return Err(format!("there is no preset '{name}'; there are {}", names.join(", ")));
        }
        Self::load(&path)
    }
}

/// `$XDG_CONFIG_HOME/splitscope/recipes`, else `~/.config/splitscope/recipes` (XDG Base Directory Specification).
fn folder() -> Result<PathBuf, String> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("XDG_CONFIG_HOME")
        .or_else(|| Some(variable("HOME")?.join(".config")))
        .or_else(|| variable("APPDATA"))
        .map(|config| config.join("splitscope").join("recipes"))
        .ok_or_else(|| "presets have no place: set XDG_CONFIG_HOME or HOME to a folder".to_owned())
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.{ENDING}"))
}

/// A name is a plain file name on every system, and not one of the presets that are built in.
fn check_name(name: &str) -> Result<(), String> {
    if Preset::ALL.iter().any(|preset| preset.name() == name) {
        return Err(format!("the preset '{name}' is built in; choose another name"));
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let plain = !name.is_empty() && name.len() <= 100 && name.chars().all(fits);
    if plain && name.trim() == name && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!(
        "'{name}' cannot name a preset: use up to 100 letters, digits, '-', '_', '.' and inner spaces, and no '/' or '\\'"
    ))
}

fn names_in(folder: &Path) -> Result<Vec<String>, String> {
    let fault = |e: std::io::Error| format!("{}: {e}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fault)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(fault)?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|ending| ending == ENDING) && path.is_file() && check_name(name).is_ok() {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Bits;

    #[test]
    fn a_saved_recipe_comes_back_by_its_name() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("splitscope").join("recipes");
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.05,
            ..Recipe::default()
        };
        assert_eq!(names_in(&folder), Ok(Vec::new()));
        recipe.save_in(&folder, "four bits").unwrap();
        Recipe::default().save_in(&folder, "é-8").unwrap();
        Recipe::default().save_in(&folder, "v1.2").unwrap();
        assert_eq!(names_in(&folder).unwrap(), ["four bits", "v1.2", "é-8"]);
        assert_eq!(Recipe::load_from(&folder, "four bits"), Ok(recipe));
        let missing = Recipe::load_from(&folder, "five").unwrap_err();
        assert!(missing.contains("paper, deploy, four bits, v1.2, é-8"), "{missing}");
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder_or_stand_for_a_built_in_preset() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "",
            "../evil",
            "a/b",
            "a\\b",
            "/etc",
            "..",
            ".hidden",
            " a",
            "a\n",
            "a:b",
            &"x".repeat(101),
        ] {
            let refused = Recipe::default().save_in(folder.path(), name).unwrap_err();
            assert!(refused.contains("cannot name a preset"), "{name}: {refused}");
            assert!(Recipe::load_from(folder.path(), name).is_err(), "{name}");
        }
        for name in ["paper", "deploy"] {
            let refused = Recipe::default().save_in(folder.path(), name).unwrap_err();
            assert!(refused.contains("built in"), "{refused}");
        }
        assert_eq!(names_in(folder.path()), Ok(Vec::new()));
    }
}
