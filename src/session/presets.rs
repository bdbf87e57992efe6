//! Recipes that a person saves by name. Their folder may be slow, so each look at it is a job.

use super::Session;
use super::work::{self, Kind, Output};
use crate::quantization::UserPresets;

impl Session {
    /// Names of the presets that were there when they were last looked up.
    pub fn preset_names(&self) -> &[String] {
        &self.preset_names
    }

    /// The same with the presets of another folder than the person's own.
    #[must_use]
    pub fn with_presets(mut self, presets: UserPresets) -> Self {
        self.presets = Ok(presets);
        self
    }

    /// The folder; says so if there is none.
    fn preset_folder(&mut self) -> Option<UserPresets> {
        let reason = match &self.presets {
            Ok(presets) => return Some(presets.clone()),
            Err(error) => error.to_string(),
        };
        self.messages.refuse(reason);
        None
    }

    pub(super) fn list_presets(&mut self) {
        // Without a folder there is nothing to list, and nobody asked to save yet.
        let Ok(presets) = &self.presets else { return };
        let presets = presets.clone();
        self.jobs.start(Kind::ListPresets, "Looking up presets", move |_| {
            Ok(Output::Presets(presets.names().map_err(work::failed)?, None))
        });
    }

    pub(super) fn save_preset(&mut self, name: String) {
        let Some(recipe) = self.open.as_ref().map(|open| open.recipe().clone()) else {
            return;
        };
        let Some(presets) = self.preset_folder() else { return };
        self.jobs.start(Kind::ChangePresets, "Saving a preset", move |_| {
            presets.save(&name, &recipe).map_err(work::failed)?;
            let names = presets.names().map_err(work::failed)?;
            Ok(Output::Presets(names, Some(format!("Preset {name} saved"))))
        });
    }

    pub(super) fn apply_user_preset(&mut self, name: String) {
        let Some(presets) = self.preset_folder() else { return };
        self.jobs.start(Kind::LoadRecipe, "Reading a preset", move |_| {
            let recipe = presets.load(&name).map_err(work::failed)?;
            Ok(Output::Recipe(name, Box::new(recipe)))
        });
    }

    pub(super) fn delete_preset(&mut self, name: String) {
        let Some(presets) = self.preset_folder() else { return };
        self.jobs.start(Kind::ChangePresets, "Deleting a preset", move |_| {
            presets.delete(&name).map_err(work::failed)?;
            let names = presets.names().map_err(work::failed)?;
            Ok(Output::Presets(names, Some(format!("Preset {name} deleted"))))
        });
    }
}
