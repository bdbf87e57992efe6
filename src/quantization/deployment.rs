//! What an exported file needs of the runtime and the hardware that run it, in sentences for a person: the command line, the report
//! and the window say the same.

use super::overhead::{CopyCosts, Overhead};
use super::rewrite::needed_opset;
use super::storage::saturates;
use super::{LayerPlan, Plan, Products, Storage};
use crate::network::{Layer, LayerKind, Network};

impl Overhead {
    /// All that is to be known before the file is shipped: what it needs, and what a runtime does with it.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().chain(&self.runtime_note).map(String::as_str)
    }
}

/// What runs the exported file of `plan`, whose copies are merged in `merged` where they are; nothing for a file without a graph, and
/// for one whose weights are all as they were.
pub(super) fn needs(network: &Network, plan: &Plan, merged: &Plan, copies: &CopyCosts) -> Vec<String> {
    if network.why_not_runnable.is_some() || plan.layers.iter().all(|layer| layer.inputs().is_none()) {
        return Vec::new();
    }
    let mut needs = vec![format!(
        "The runtime must have operator set {}.",
        needed_opset(network, plan)
    )];
    let layers = |count: u64| match count {
        1 => "1 layer reads its".to_owned(),
        count => format!("{count} layers read their"),
    };
    let number =
        |number: Option<u64>| number.map_or_else(|| "an unknown number of".to_owned(), |number| number.to_string());
    if copies.gathers > 0 {
        needs.push(format!(
            "{} split channels from a Gather node, which every runtime has: it writes {} elements a sample, and the hardware needs \
             the memory traffic for them.",
            layers(copies.gathers),
            number(copies.gathered_elements)
        ));
    }
    if copies.widened > 0 {
        needs.push(format!(
            "{} split channels from a wider layer before, which needs nothing of the runtime: the hardware computes {} \
             multiply-accumulates a sample more.",
            layers(copies.widened),
            number(copies.widened_macs)
        ));
    }
    if copies.filled > 0 {
        needs.push(format!(
            "{} beside the copies: integer kernels take channels by fours, depthwise and float convolutions by sixteens, and a width \
             between takes them longer.",
            match copies.filled {
                1 => "1 channel without weights stands".to_owned(),
                count => format!("{count} channels without weights stand"),
            }
        ));
    }
    if copies.merged > 0 {
        let bits = match plan.recipe.weight_bits.grid() {
            Some(bits) if bits != copies.merged_bits => format!(", where the recipe says {bits}"),
            _ => String::new(),
        };
        needs.push(format!(
            "{} split channels as one merged channel, which needs nothing of the runtime: the hardware must multiply by weights of \
             {} bits{bits}.",
            layers(copies.merged),
            copies.merged_bits
        ));
    }
    let wide = (network.layers.iter().zip(&merged.layers))
        .filter_map(|(layer, planned)| Some((layer, planned.quantized()?)))
        .filter(|(layer, quantized)| saturates(plan.recipe.storage, layer, quantized))
        .count();
    if wide > 0 {
        needs.push(format!(
            "{}: where onnxruntime computes {} in integers, an x86 processor must have VNNI; without it sums of two products saturate \
             at 16 bits, and the answers are not those of the preview. storage = \"uint8\" is exact on every processor, but slow \
             where there is VNNI; weights stored in up to 7 bits are exact everywhere.",
            match wide {
                1 => "1 layer multiplies INT8 weights of 8 bits by bytes".to_owned(),
                count => format!("{count} layers multiply INT8 weights of 8 bits by bytes"),
            },
            if wide == 1 { "it" } else { "them" }
        ));
    }
    needs
}

/// Whether a runtime would dequantize weights each time it runs or round them once more, and what else there is.
pub(super) fn runtime_note(network: &Network, plan: &Plan) -> Option<&'static str> {
    let recipe = &plan.recipe;
    let is_product = |layer: &Layer| matches!(layer.kind, LayerKind::Gemm | LayerKind::MatMul);
    let is_dequantized = |(layer, planned): (&Layer, &LayerPlan)| {
        let is_float = planned
            .quantized()
            .is_some_and(|quantized| quantized.activation.is_none());
        let is_fused = recipe.products == Products::Fast && is_product(layer);
        is_float && layer.kind != LayerKind::Embedding && !is_fused
    };
    // What onnxruntime 1.32 calls WeightBiasQuantization; also where it optimizes as little as it can.
    let is_rounded_again = |(layer, planned): (&Layer, &LayerPlan)| {
        let is_taken = matches!(layer.kind, LayerKind::Conv | LayerKind::ConvTranspose | LayerKind::Gemm);
        let on_grid = planned.inputs().is_some_and(|inputs| inputs.activation.is_some());
        is_taken && on_grid && (recipe.storage == Storage::Float || planned.quantized().is_none())
    };
    let mut layers = network.layers.iter().zip(&plan.layers);
    if layers.clone().any(is_rounded_again) {
        return Some(
            "onnxruntime rounds weights that stand as floats between an input and an output on grids to 8 bits again, one scale for \
             a whole weight, unless its optimizations are off: its answers are then not those of the preview; weights on a grid that \
             storage = \"auto\" or \"int8\" stores as codes are used as they are",
        );
    }
    let dequantizes = recipe.storage != Storage::Float && layers.any(is_dequantized);
    dequantizes.then_some(
        "the inputs of layers are float, so onnxruntime dequantizes their weights in every run, which takes longer than the float \
         network; storage = \"float\" writes the same numbers as floats, as large and as fast as the float network",
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Bits, Recipe, SplitExport, Storage, batch_norm_activations, overhead, plan};
    use crate::format::demo::Demo;
    use crate::progress::Progress;

    fn notes(recipe: &Recipe) -> Vec<String> {
        let network = Demo::Fashion.network().unwrap();
        let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
        overhead(&network, &plan, None).notes().map(str::to_owned).collect()
    }

    fn split(split_export: SplitExport) -> Recipe {
        Recipe {
            weight_bits: Bits::Grid(4),
            activation_bits: Bits::Float,
            expand_ratio: 0.05,
            split_export,
            ..Recipe::default()
        }
    }

    #[test]
    fn each_form_of_splits_says_what_it_needs() {
        let gather = notes(&split(SplitExport::Gather));
        assert_eq!(gather[0], "The runtime must have operator set 21.", "INT4 weights");
        assert!(gather[1].contains("from a Gather node"), "{gather:?}");
        assert!(
            gather
                .last()
                .unwrap()
                .contains("dequantizes their weights in every run")
        );
        let widen = notes(&split(SplitExport::Widen));
        assert!(
            widen.iter().any(|note| note.contains("from a wider layer before")),
            "{widen:?}"
        );
        let merge = notes(&split(SplitExport::Merge));
        assert!(
            merge
                .iter()
                .any(|note| note.contains("weights of 5 bits, where the recipe says 4")),
            "{merge:?}"
        );
    }

    #[test]
    fn bytes_that_saturate_without_vnni_are_told() {
        let network = Demo::Fashion.network().unwrap();
        let told = |weight_bits: u8, expand_ratio: f64, storage: Storage| {
            let recipe = Recipe {
                weight_bits: Bits::Grid(weight_bits),
                activation_bits: Bits::Grid(8),
                expand_ratio,
                split_export: SplitExport::Merge,
                storage,
                ..Recipe::default()
            };
            let ranges = batch_norm_activations(&network, &[]);
            let plan = plan(&network, &recipe, Some(&ranges), &Progress::default()).unwrap();
            let needs = overhead(&network, &plan, None).needs;
            needs.into_iter().find(|need| need.contains("VNNI"))
        };
        let all = told(8, 0.0, Storage::Auto).unwrap();
        assert!(all.contains("layers multiply INT8 weights of 8 bits by bytes"), "{all}");
        assert_eq!(told(7, 0.0, Storage::Auto), None);
        assert!(told(7, 0.05, Storage::Auto).is_some(), "a merged code has a bit more");
        assert_eq!(told(8, 0.0, Storage::Uint8), None);
        assert_eq!(told(8, 0.0, Storage::Float), None);
    }

    #[test]
    fn floats_between_grids_are_rounded_again_and_codes_are_not() {
        let network = Demo::Fashion.network().unwrap();
        let note = |weight_bits: Bits, activation_bits: Bits, storage: Storage| {
            let recipe = Recipe {
                weight_bits,
                activation_bits,
                storage,
                ..Recipe::default()
            };
            let ranges = batch_norm_activations(&network, &[]);
            let plan = plan(&network, &recipe, Some(&ranges), &Progress::default()).unwrap();
            overhead(&network, &plan, None).runtime_note.unwrap_or_default()
        };
        let again = "to 8 bits again";
        assert!(note(Bits::Grid(4), Bits::Grid(8), Storage::Float).contains(again));
        assert!(note(Bits::Float, Bits::Grid(8), Storage::Auto).contains(again));
        assert!(!note(Bits::Grid(4), Bits::Grid(8), Storage::Auto).contains(again));
        assert!(!note(Bits::Grid(4), Bits::Float, Storage::Float).contains(again));
    }

    #[test]
    fn a_network_that_stays_as_it_is_needs_nothing() {
        let recipe = Recipe {
            weight_bits: Bits::Float,
            activation_bits: Bits::Float,
            ..Recipe::default()
        };
        assert_eq!(notes(&recipe), Vec::<String>::new());
    }
}
