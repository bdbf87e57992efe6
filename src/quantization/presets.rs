//! Recipes that a person saved by name: one TOML file each in the user's configuration folder.

use super::{Preset, Recipe};
use std::path::{Path, PathBuf};

/// Ending of the files.
const ENDING: &str = "toml";

/// The folder of the recipes that were saved by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresets {
    folder: PathBuf,
}

impl UserPresets {
    /// Those of the person who runs the program.
    ///
    /// # Errors
    /// That there is no place for them, and what to do.
    pub fn of_user() -> Result<Self, String> {
        Ok(Self { folder: folder()? })
    }

    /// Those in a folder, which need not be there yet.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Their names, sorted; none if nothing was saved.
    ///
    /// # Errors
    /// The folder and the system's reason.
    pub fn names(&self) -> Result<Vec<String>, String> {
        names_in(&self.folder)
    }

    /// Saves a recipe by name, in place of one of that name, and says where.
    ///
    /// # Errors
    /// What is wrong with the name, or the file and the system's reason.
    pub fn save(&self, name: &str, recipe: &Recipe) -> Result<PathBuf, String> {
        check_name(name)?;
        std::fs::create_dir_all(&self.folder).map_err(|e| format!("{}: {e}", self.folder.display()))?;
        let path = file(&self.folder, name);
        recipe.save(&path).map_err(|e| e.to_string())?;
        Ok(path)
    }

    /// A recipe that was saved by name.
    ///
    /// # Errors
    /// What is wrong with the name or with the file, and which names there are.
    pub fn load(&self, name: &str) -> Result<Recipe, String> {
        let path = self.existing(name)?;
        Recipe::load(&path).map_err(|e| e.to_string())
    }

    /// Removes a recipe that was saved by name.
    ///
    /// # Errors
    /// What is wrong with the name, which names there are, or the file and the system's reason.
    pub fn delete(&self, name: &str) -> Result<(), String> {
        let path = self.existing(name)?;
        std::fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn existing(&self, name: &str) -> Result<PathBuf, String> {
        check_name(name)?;
        let path = file(&self.folder, name);
        if !path.is_file() {
            let mut names: Vec<String> = Preset::ALL.map(|preset| preset.name().to_owned()).to_vec();
            names.extend(self.names()?);
            return Err(format!("there is no preset '{name}'; there are {}", names.join(", ")));
        }
        Ok(path)
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
    fn a_saved_recipe_comes_back_by_its_name_until_it_is_deleted() {
        let parent = tempfile::tempdir().unwrap();
        let presets = UserPresets::at(parent.path().join("splitscope").join("recipes"));
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.05,
            ..Recipe::default()
        };
        assert_eq!(presets.names(), Ok(Vec::new()));
        presets.save("four bits", &recipe).unwrap();
        presets.save("é-8", &Recipe::default()).unwrap();
        presets.save("v1.2", &Recipe::default()).unwrap();
        assert_eq!(presets.names().unwrap(), ["four bits", "v1.2", "é-8"]);
        assert_eq!(presets.load("four bits"), Ok(recipe));
        let missing = presets.load("five").unwrap_err();
        assert!(
            missing.contains("paper, deploy, int8, int4, four bits, v1.2, é-8"),
            "{missing}"
        );
        presets.delete("four bits").unwrap();
        assert_eq!(presets.names().unwrap(), ["v1.2", "é-8"]);
        assert!(presets.delete("four bits").unwrap_err().contains("there is no preset"));
    }

    #[test]
    fn a_name_cannot_lead_out_of_the_folder_or_stand_for_a_built_in_preset() {
        let folder = tempfile::tempdir().unwrap();
        let presets = UserPresets::at(folder.path().to_owned());
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
            let refused = presets.save(name, &Recipe::default()).unwrap_err();
            assert!(refused.contains("cannot name a preset"), "{name}: {refused}");
            assert!(presets.load(name).is_err() && presets.delete(name).is_err(), "{name}");
        }
        for name in ["paper", "deploy", "int8", "int4"] {
            let refused = presets.save(name, &Recipe::default()).unwrap_err();
            assert!(refused.contains("built in"), "{refused}");
        }
        assert_eq!(presets.names(), Ok(Vec::new()));
    }
}
