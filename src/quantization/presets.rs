//! Recipes that a person saved by name: one TOML file each in the user's configuration folder.

use super::{Preset, Recipe, RecipeError};
use std::io;
use std::path::{Path, PathBuf};

/// Ending of the files.
const ENDING: &str = "toml";

/// Why a recipe cannot be saved, read or removed by its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresetError {
    /// Nothing tells where the configuration of the person is.
    #[error("presets have no place: set XDG_CONFIG_HOME or HOME to a folder")]
    NoPlace,
    /// A name that would be no plain name of a file.
    #[error(
        "'{0}' cannot name a preset: use up to 100 letters, digits, '-', '_', '.' and inner spaces, and no '/' or '\\'"
    )]
    Name(String),
    /// The name of a preset that comes with the program.
    #[error("the preset '{0}' is built in; choose another name")]
    BuiltIn(String),
    /// Nothing was saved by that name.
    #[error("there is no preset '{name}'; there are {}", .names.join(", "))]
    Missing {
        /// The name.
        name: String,
        /// Those that there are.
        names: Vec<String>,
    },
    /// The file or the folder.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// What the file holds.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
}

/// The folder of the recipes that were saved by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresets {
    folder: PathBuf,
}

impl UserPresets {
    /// Those of the person who runs the program.
    ///
    /// # Errors
    /// [`PresetError::NoPlace`].
    pub fn of_user() -> Result<Self, PresetError> {
        Ok(Self { folder: folder()? })
    }

    /// Those in a folder, which need not be there yet.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Their names, sorted; none if nothing was saved.
    ///
    /// # Errors
    /// [`PresetError::File`] of the folder.
    pub fn names(&self) -> Result<Vec<String>, PresetError> {
        names_in(&self.folder)
    }

    /// Saves a recipe by name, in place of one of that name, and says where.
    ///
    /// # Errors
    /// [`PresetError`] of the name or the file.
    pub fn save(&self, name: &str, recipe: &Recipe) -> Result<PathBuf, PresetError> {
        check_name(name)?;
        std::fs::create_dir_all(&self.folder).map_err(of(&self.folder))?;
        let path = file(&self.folder, name);
        recipe.save(&path)?;
        Ok(path)
    }

    /// A recipe that was saved by name.
    ///
    /// # Errors
    /// [`PresetError`] of the name or the file; [`PresetError::Missing`] tells which names there are.
    pub fn load(&self, name: &str) -> Result<Recipe, PresetError> {
        let path = self.existing(name)?;
        Ok(Recipe::load(&path)?)
    }

    /// Removes a recipe that was saved by name.
    ///
    /// # Errors
    /// As [`UserPresets::load`].
    pub fn delete(&self, name: &str) -> Result<(), PresetError> {
        let path = self.existing(name)?;
        std::fs::remove_file(&path).map_err(of(&path))
    }

    fn existing(&self, name: &str) -> Result<PathBuf, PresetError> {
        check_name(name)?;
        let path = file(&self.folder, name);
        if !path.is_file() {
            let mut names: Vec<String> = Preset::ALL.map(|preset| preset.name().to_owned()).to_vec();
            names.extend(self.names()?);
            return Err(PresetError::Missing {
                name: name.to_owned(),
                names,
            });
        }
        Ok(path)
    }
}

/// `$XDG_CONFIG_HOME/splitscope/recipes`, else `~/.config/splitscope/recipes` (XDG Base Directory Specification).
fn folder() -> Result<PathBuf, PresetError> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("XDG_CONFIG_HOME")
        .or_else(|| Some(variable("HOME")?.join(".config")))
        .or_else(|| variable("APPDATA"))
        .map(|config| config.join("splitscope").join("recipes"))
        .ok_or(PresetError::NoPlace)
}

/// The system's reason with the file that it is about.
fn of(path: &Path) -> impl Fn(io::Error) -> PresetError {
    |reason| PresetError::File {
        path: path.to_owned(),
        reason,
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.{ENDING}"))
}

/// A name is a plain file name on every system, and not one of the presets that are built in.
fn check_name(name: &str) -> Result<(), PresetError> {
    if Preset::ALL.iter().any(|preset| preset.name() == name) {
        return Err(PresetError::BuiltIn(name.to_owned()));
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let plain = !name.is_empty() && name.len() <= 100 && name.chars().all(fits);
    if plain && name.trim() == name && !name.starts_with('.') {
        return Ok(());
    }
    Err(PresetError::Name(name.to_owned()))
}

fn names_in(folder: &Path) -> Result<Vec<String>, PresetError> {
    let fault = of(folder);
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(&fault)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(&fault)?.path();
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
        assert_eq!(presets.names().unwrap(), [""; 0]);
        presets.save("four bits", &recipe).unwrap();
        presets.save("é-8", &Recipe::default()).unwrap();
        presets.save("v1.2", &Recipe::default()).unwrap();
        assert_eq!(presets.names().unwrap(), ["four bits", "v1.2", "é-8"]);
        assert_eq!(presets.load("four bits").unwrap(), recipe);
        let missing = presets.load("five").unwrap_err().to_string();
        assert!(
            missing.contains("paper, deploy, int8, int4, four bits, v1.2, é-8"),
            "{missing}"
        );
        presets.delete("four bits").unwrap();
        assert_eq!(presets.names().unwrap(), ["v1.2", "é-8"]);
        assert!(matches!(presets.delete("four bits"), Err(PresetError::Missing { .. })));
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
            let refused = presets.save(name, &Recipe::default()).unwrap_err().to_string();
            assert!(refused.contains("cannot name a preset"), "{name}: {refused}");
            assert!(presets.load(name).is_err() && presets.delete(name).is_err(), "{name}");
        }
        for name in ["paper", "deploy", "int8", "int4"] {
            let refused = presets.save(name, &Recipe::default()).unwrap_err().to_string();
            assert!(refused.contains("built in"), "{refused}");
        }
        assert_eq!(presets.names().unwrap(), [""; 0]);
    }
}
