//! A small sweep on the Fashion demo.

use super::*;
use crate::format::demo::Demo;
use crate::inference::{Metrics, Rten, calibrate, run_outputs};
use crate::onnx;
use crate::quantization::{self, plan, rewrite};

const SAMPLES: usize = 60;

/// A row that nothing was run for.
pub(super) fn row(bits: u8, expand_ratio: f64, clip: &str, top1: f64) -> SweepRow {
    SweepRow {
        recipe: Recipe {
            weight_bits: Bits::Grid(bits),
            expand_ratio,
            clip: clip.parse().unwrap(),
            ..Recipe::default()
        },
        samples: 100,
        metrics: Metrics {
            top1: Some(top1),
            top1_interval: Some(crate::inference::evaluate::wilson_interval(top1, 100)),
            ..Metrics::default()
        },
        agreement: Some(0.9),
        sqnr_db: Some(12.5),
        sqnr_db_interval: Some([11.5, 13.5]),
        overhead: SweepOverhead {
            weights: 1.0 + expand_ratio,
            activations: None,
            macs: Some(1.0),
            size: f64::from(bits) / 32.0,
            file_bytes: Some(1000 * u64::from(bits)),
        },
        latency: None,
        not_timed: None,
    }
}

struct Subject {
    network: Network,
    activations: Activations,
    data: Dataset,
    float: Outputs,
}

impl Subject {
    fn new() -> Self {
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let data = Dataset::demo(Demo::Fashion);
        let calibration = Dataset::demo_calibration(Demo::Fashion);
        let progress = Progress::default();
        let learnt = calibrate(&network, &engine, &calibration, 25, &progress).unwrap();
        Self {
            float: run_outputs(&engine, &data, SAMPLES, &progress).unwrap(),
            activations: learnt.activations,
            network,
            data,
        }
    }

    fn shared(&self) -> SweepSubject<'_> {
        SweepSubject {
            network: &self.network,
            activations: Some(&self.activations),
            shapes: None,
            data: &self.data,
            float: &self.float,
        }
    }
}

fn grid() -> SweepGrid {
    SweepGrid {
        weight_bits: vec![Bits::Grid(4), Bits::Grid(3)],
        expand_ratios: vec![0.0, 0.05],
        clips: vec![Clip::None, Clip::Mse],
        activation_bits: Vec::new(),
        ..SweepGrid::default()
    }
}

#[test]
fn float_weights_have_one_row_whatever_else_is_tried() {
    let grid = SweepGrid {
        weight_bits: vec![Bits::Float, Bits::Grid(4)],
        clips: vec![Clip::Mse, Clip::Kl],
        scales: vec![Granularity::Tensor, Granularity::Channel],
        roundings: vec![Rounding::Nearest, Rounding::Squant],
        ..SweepGrid::default()
    };
    let recipes = grid.recipes(&Recipe::default());
    let float: Vec<&Recipe> = recipes
        .iter()
        .filter(|recipe| recipe.weight_bits == Bits::Float)
        .collect();
    assert_eq!((float.len(), recipes.len()), (1, 9));
    assert_eq!((float[0].clip, float[0].rounding), (Clip::None, Rounding::Nearest));
}

#[test]
fn the_grid_tries_each_combination_once_and_keeps_the_rest_of_the_recipe() {
    let base = Recipe {
        scales: Granularity::Channel,
        clip: Clip::Kl,
        ..Recipe::default()
    };
    assert_eq!(SweepGrid::default().recipes(&base), std::slice::from_ref(&base));
    let twice = SweepGrid {
        weight_bits: vec![Bits::Grid(4), Bits::Grid(3), Bits::Grid(4)],
        expand_ratios: vec![0.0, 0.0],
        activation_bits: vec![Bits::Float, Bits::Grid(8)],
        ..SweepGrid::default()
    };
    let recipes = twice.recipes(&base);
    let bits: Vec<_> = recipes.iter().map(|r| (r.activation_bits, r.weight_bits)).collect();
    let (four, three, eight) = (Bits::Grid(4), Bits::Grid(3), Bits::Grid(8));
    assert_eq!(
        bits,
        [(Bits::Float, four), (eight, four), (Bits::Float, three), (eight, three)],
        "rows that share their weights stand together"
    );
    assert!(
        recipes
            .iter()
            .all(|recipe| recipe.scales == Granularity::Channel && recipe.clip == Clip::Kl)
    );
    assert_eq!(grid().recipes(&base).len(), 8);
}

#[test]
fn rows_are_those_of_single_evaluations() {
    let subject = Subject::new();
    let mut recipes = grid().recipes(&Recipe::default());
    recipes.push(Recipe {
        activation_bits: Bits::Grid(4),
        ..recipes[7].clone()
    });
    let (mut seen, progress) = (Vec::new(), Progress::default());
    let rows = sweep(&subject.shared(), &recipes, &[], &progress, &mut |row| {
        seen.push(row.clone());
        Ok(())
    });
    let rows = rows.unwrap();
    assert_eq!((rows.len(), progress.steps()), (9, (9, 9)));
    assert_eq!(rows, seen);
    for (row, recipe) in rows.iter().zip(&recipes) {
        let planned = plan(
            &subject.network,
            recipe,
            Some(&subject.activations),
            &Progress::default(),
        )
        .unwrap();
        let model = rewrite(&subject.network, &planned).unwrap();
        let engine = Rten::load(onnx::encode(&model).unwrap()).unwrap();
        let outputs = run_outputs(&engine, &subject.data, SAMPLES, &Progress::default()).unwrap();
        let single = evaluate(&subject.float, &outputs, &subject.data);
        assert_eq!((&row.recipe, &row.metrics), (recipe, &single.quantized));
        assert_eq!(
            (row.samples, row.agreement, row.sqnr_db),
            (SAMPLES, single.agreement, single.sqnr_db)
        );
        let cost = quantization::overhead(&subject.network, &planned, None);
        assert_eq!(row.overhead.weights, cost.weights);
        // The size is that of the file which an export writes.
        let file = tempfile::NamedTempFile::new().unwrap();
        onnx::write_file(&model, file.path()).unwrap();
        assert_eq!(row.overhead.file_bytes, Some(file.path().metadata().unwrap().len()));
        assert_eq!(
            (row.sqnr_db_interval, row.latency.is_none()),
            (single.sqnr_db_interval, true)
        );
    }
    // Activations on a grid of 4 bits must show, and fewer bits must take less room.
    assert_ne!(rows[8].sqnr_db, rows[7].sqnr_db);
    assert!(rows[4].overhead.size < rows[0].overhead.size && rows[0].overhead.size < 0.25);
    assert!(rows[0].overhead.size > 4.0 / 32.0);
    assert!(rows[2].overhead.weights > 1.04 && rows[0].overhead.weights == 1.0);
}

#[test]
fn finished_rows_are_not_run_again_unless_they_are_of_other_samples() {
    let subject = Subject::new();
    let recipes = SweepGrid {
        weight_bits: vec![Bits::Grid(4), Bits::Grid(3)],
        ..SweepGrid::default()
    };
    let recipes = recipes.recipes(&Recipe::default());
    let known = SweepRow {
        recipe: recipes[1].clone(),
        samples: SAMPLES,
        agreement: Some(0.123),
        ..row(8, 0.0, "none", 0.5)
    };
    let other_samples = SweepRow {
        recipe: recipes[0].clone(),
        ..known.clone()
    };
    let other_samples = SweepRow {
        samples: SAMPLES + 1,
        ..other_samples
    };
    let mut computed = Vec::new();
    let finished = [other_samples, known.clone()];
    let rows = sweep(
        &subject.shared(),
        &recipes,
        &finished,
        &Progress::default(),
        &mut |row| {
            computed.push(row.recipe.clone());
            Ok(())
        },
    );
    let rows = rows.unwrap();
    assert_eq!(computed, recipes[..1]);
    assert_eq!(rows[1], known);
    assert_ne!(rows[0].agreement, Some(0.123));
}

#[test]
fn a_cancelled_sweep_leaves_whole_lines_from_which_it_goes_on() {
    let subject = Subject::new();
    let recipes = grid().recipes(&Recipe::default())[..4].to_vec();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.csv");
    let setting = SweepSetting {
        model: "demo:fashion".to_owned(),
        data: "demo".to_owned(),
        calibration: "none".to_owned(),
        samples: SAMPLES,
    };
    let mut csv = SweepCsv::create(&path, setting.clone()).unwrap();
    let progress = Progress::default();
    let mut written = 0;
    let stopped = sweep(&subject.shared(), &recipes, &[], &progress, &mut |row| {
        csv.append(row)?;
        written += 1;
        if written == 2 {
            progress.cancel();
        }
        Ok(())
    });
    assert!(matches!(stopped, Err(InferenceError::Cancelled(_))));
    drop(csv);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() == 3, "{text}");
    let (mut csv, finished) = SweepCsv::resume(&path, setting.clone()).unwrap();
    let mut more = 0;
    let rows = sweep(
        &subject.shared(),
        &recipes,
        &finished,
        &Progress::default(),
        &mut |row| {
            more += 1;
            csv.append(row)
        },
    );
    assert_eq!((rows.as_ref().unwrap().len(), more), (4, 2));
    drop(csv);
    assert_eq!(SweepCsv::resume(&path, setting).unwrap().1, rows.unwrap());
}

#[test]
fn an_error_of_the_watcher_stops_the_sweep() {
    let subject = Subject::new();
    let recipes = grid().recipes(&Recipe::default());
    let mut seen = 0;
    let stopped = sweep(&subject.shared(), &recipes, &[], &Progress::default(), &mut |_| {
        seen += 1;
        Err(InferenceError::Data("disk full".to_owned()))
    });
    assert_eq!(stopped.unwrap_err().to_string(), "disk full");
    assert_eq!(seen, 1);
}

#[test]
fn scales_and_roundings_are_axes_and_finished_rows_without_a_time_are_timed() {
    let subject = Subject::new();
    let grid = SweepGrid {
        weight_bits: vec![Bits::Grid(3)],
        scales: vec![Granularity::Tensor, Granularity::Channel],
        roundings: vec![Rounding::Nearest, Rounding::Squant],
        ..SweepGrid::default()
    };
    let recipes = grid.recipes(&Recipe::default());
    let axes: Vec<_> = recipes.iter().map(|recipe| (recipe.scales, recipe.rounding)).collect();
    assert_eq!(
        axes,
        [
            (Granularity::Tensor, Rounding::Nearest),
            (Granularity::Tensor, Rounding::Squant),
            (Granularity::Channel, Rounding::Nearest),
            (Granularity::Channel, Rounding::Squant),
        ]
    );
    let progress = Progress::default();
    let untimed = sweep(&subject.shared(), &recipes, &[], &progress, &mut |_| Ok(())).unwrap();
    // On this network finer scales, and rounding that keeps sums, bring the outputs nearer to float.
    let db = |place: usize| untimed[place].sqnr_db.unwrap();
    assert!(db(3) > db(0) + 1.0 && db(1) > db(0) && db(2) > db(0), "{untimed:?}");
    // A scale a channel makes the file larger.
    assert!(untimed[2].overhead.file_bytes > untimed[0].overhead.file_bytes);
    let mut seen = Vec::new();
    let rten = EngineChoice::Rten;
    let timed = timed_sweep(
        &subject.shared(),
        &recipes[..1],
        (&untimed, Some(&rten)),
        &progress,
        &mut |row| {
            seen.push(row.clone());
            Ok(())
        },
    );
    let timed = timed.unwrap();
    let latency = timed[0].latency.as_ref().unwrap();
    assert!(latency.engine.starts_with("rten") && latency.time.median_ms > 0.0 && latency.time.batch == 1);
    assert_eq!((seen.len(), timed[0].sqnr_db), (1, untimed[0].sqnr_db));
    let absent: EngineChoice = "onnxruntime:there is no such library".parse().unwrap();
    let rows = timed_sweep(
        &subject.shared(),
        &recipes[..1],
        (&[], Some(&absent)),
        &progress,
        &mut |_| Ok(()),
    );
    let row = &rows.unwrap()[0];
    assert_eq!((row.sqnr_db, row.latency.is_none()), (untimed[0].sqnr_db, true));
    assert!(row.not_timed.as_ref().is_some_and(|why| !why.is_empty()), "{row:?}");
}
