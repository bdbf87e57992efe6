//! What was open when the program ended, and opening it again.

use super::{Action, DataOptions, Saved, Session, start_recipe};
use crate::format::demo::Demo;
use crate::quantization::Recipe;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What was open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The model: a file, or the name of a demo.
    pub model: PathBuf,
    /// Where the data were.
    pub data: Option<String>,
    /// The recipe, as TOML: a later version of the program says itself whether it understands it.
    pub recipe: String,
    /// Name of the selected layer.
    pub layer: String,
}

impl Session {
    /// What to write at the end: settings, and what is open. A demo that opened by itself and was left as it was does not
    /// push out what was open before it.
    pub fn to_saved(&self) -> Saved {
        let mut saved = self.saved.clone();
        let Some(open) = self.open() else { return saved };
        let untouched = open.demo == Some(Demo::Fashion) && *open.recipe() == start_recipe(open.demo);
        let demo = open.demo.map(|demo| PathBuf::from(demo.name()));
        if let (false, Some(model), Ok(recipe)) = (
            untouched,
            demo.or(open.original.network.path.clone()),
            open.recipe().to_toml(),
        ) {
            saved.last = Some(Last {
                model,
                data: open.data_opened().map(|(path, _)| path.to_owned()),
                recipe,
                layer: open.selected_name().to_owned(),
            });
        }
        saved
    }

    /// Opens what was open the last time.
    pub(super) fn resume(&mut self, last: Last) {
        match Recipe::from_toml(&last.recipe) {
            Ok(recipe) => self.pending_recipe = Some(("of the last time".to_owned(), recipe)),
            Err(reason) => self.act(Action::Report(format!(
                "The recipe of the last time cannot be read: {reason}"
            ))),
        }
        self.pending_data = last.data.map(|path| (path, DataOptions::default()));
        self.pending_layer = Some(last.layer);
        self.act(Action::Open(last.model));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Waker;
    use crate::quantization::Bits;
    use std::time::Duration;

    fn open(saved: Saved, action: Action) -> Session {
        let mut session = Session::new(Waker::new(|| ()), saved);
        session.act(Action::SetSampleLimit(20));
        session.act(action);
        assert!(session.wait_until_idle(Duration::from_secs(120)));
        session
    }

    #[test]
    fn what_was_open_opens_again_with_recipe_and_layer() {
        let demo = || Action::Open(PathBuf::from("demo:fashion"));
        let mut session = open(Saved::default(), demo());
        assert_eq!(session.to_saved().last, None, "nothing was done yet");
        let mut recipe = session.open().unwrap().recipe().clone();
        recipe.weight_bits = Bits::Grid(5);
        session.act(Action::EditRecipe {
            recipe: Box::new(recipe.clone()),
            gesture: false,
        });
        session.act(Action::SelectLayer(7));
        assert!(session.wait_until_idle(Duration::from_secs(120)));
        let saved = session.to_saved();
        let last = saved.last.clone().unwrap();
        assert_eq!(last.model, PathBuf::from("demo:fashion"));

        let untouched = open(saved.clone(), demo());
        assert_eq!(
            untouched.to_saved().last,
            saved.last,
            "a demo that was only looked at pushes nothing out"
        );
        let again = open(saved, Action::Resume(Box::new(last)));
        assert_eq!(*again.open().unwrap().recipe(), recipe);
        assert_eq!(again.open().unwrap().selected(), 7);
    }
}
