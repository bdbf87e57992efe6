//! What the last export wrote: how large the file is, and whether it predicts what the preview shows.

use super::derived::{Derived, Wanted, Work};
use super::keys::EvaluationKey;
use super::open::OpenNetwork;
use super::running::QuantizedRun;
use super::work::{self, Kind};
use super::{ExportKind, PlanSummary};
use crate::engine;
use crate::format;
use crate::inference::{EngineDifference, Outputs, engine_difference, run_samples};
use crate::jobs::JobError;
use crate::quantization::Recipe;
use std::path::PathBuf;
use std::sync::Arc;

/// A file that was written.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Counts the exports.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
    /// What was written.
    pub kind: ExportKind,
    /// Its size; `None` where the system does not tell.
    pub bytes: Option<u64>,
    /// Bytes of the file that was opened; `None` for a demo.
    pub original_bytes: Option<u64>,
    /// The recipe.
    pub recipe: Recipe,
    /// What became of the layers.
    pub summary: Option<Arc<PlanSummary>>,
    /// What the file needs of the runtime and the hardware, in sentences; the command line and the report say the same.
    pub needs: Vec<String>,
    /// The evaluation that the preview showed.
    preview: Option<EvaluationKey>,
}

impl OpenNetwork {
    /// What the last export wrote; `None` once that was put away.
    pub fn exported(&self) -> Option<&Exported> {
        self.exported.as_ref()
    }

    /// The written graph beside the preview: equal if they differ nowhere. `None` while that is not known.
    pub fn export_check(&self) -> Option<&EngineDifference> {
        let exported = self.exported.as_ref()?;
        self.slots.of::<Checked>().for_key(&exported.number)
    }

    /// Why the written graph could not be compared with the preview.
    pub fn export_check_failure(&self) -> Option<&JobError> {
        let exported = self.exported.as_ref()?;
        self.slots.of::<Checked>().failure(&exported.number)
    }

    /// An export begins.
    pub(super) fn exports(&mut self, kind: ExportKind, path: PathBuf, limit: usize) {
        let number = self.exporting.as_ref().map_or(0, |exporting| exporting.number) + 1;
        let preview = self.evaluation_key(limit);
        self.exporting = Some(Exported {
            number,
            path,
            kind,
            bytes: None,
            original_bytes: None,
            recipe: self.recipe().clone(),
            summary: self.planned().map(|(_, planned)| Arc::clone(&planned.summary)),
            needs: match self.planned().filter(|_| kind.is_graph()) {
                Some((_, planned)) => planned.overhead.notes().map(str::to_owned).collect(),
                None => Vec::new(),
            },
            preview: preview.filter(|_| kind.is_graph()),
        });
    }

    /// It has ended.
    pub(super) fn was_exported(&mut self, path: &std::path::Path) {
        let Some(exporting) = self.exporting.as_ref().filter(|exporting| exporting.path == path) else {
            return;
        };
        let bytes = |path: &std::path::Path| std::fs::metadata(path).ok().map(|metadata| metadata.len());
        self.exported = Some(Exported {
            bytes: bytes(path),
            original_bytes: self.original.network.path.as_deref().and_then(bytes),
            ..exporting.clone()
        });
    }
}

/// The written graph beside the preview.
pub(super) struct Checked;

impl Derived for Checked {
    /// The number of the export.
    type Key = u64;
    type Value = EngineDifference;
    const KIND: Kind = Kind::CheckExport;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<u64> {
        let exported = open.exported.as_ref()?;
        exported.preview.as_ref().map(|_| exported.number)
    }

    fn compute(open: &mut OpenNetwork, _: &u64, _: &Wanted) -> Option<Work<EngineDifference>> {
        let exported = open.exported.as_ref()?;
        let preview: Arc<Outputs> = Arc::clone(
            &open
                .slots
                .of::<QuantizedRun>()
                .for_key(exported.preview.as_ref()?)?
                .preview
                .quantized,
        );
        let (path, data) = (exported.path.clone(), Arc::clone(open.data()?));
        let has_past = exported.kind == ExportKind::OnnxWithPast;
        Some(Work::new("Checking the written file", move |progress| {
            progress.start(0, "reading the file");
            let written = format::open(&path).map_err(work::failed)?;
            let engine = engine::load_model(written.runnable_model())?;
            let behind_nothing = has_past.then(|| data.for_ports(engine.inputs())).flatten();
            let data = behind_nothing.as_ref().unwrap_or(&data);
            let outputs = run_samples(&engine, data, preview.range(), progress)?;
            Ok(engine_difference([engine.name(), engine.name()], &preview, &outputs))
        }))
    }
}
