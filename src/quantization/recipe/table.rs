//! The fields of a recipe, in the order of files and tables.

use super::{Access, At, Field, LayerRecipe, Recipe};

/// A field that a layer can have its own of.
macro_rules! layered {
    ($name:ident) => {
        At {
            recipe: |recipe: &Recipe| &recipe.$name,
            recipe_mut: |recipe: &mut Recipe| &mut recipe.$name,
            layer: Some((
                |layer: &LayerRecipe| &layer.$name,
                |layer: &mut LayerRecipe| &mut layer.$name,
            )),
        }
    };
}

/// A field of the network as a whole.
macro_rules! whole {
    ($name:ident) => {
        At {
            recipe: |recipe: &Recipe| &recipe.$name,
            recipe_mut: |recipe: &mut Recipe| &mut recipe.$name,
            layer: None,
        }
    };
}

/// Every field but the exceptions of layers.
pub static FIELDS: &[Field] = &[
    Field {
        name: "weight_bits",
        label: "Weight bits",
        value_name: "K",
        flag_help: "Bits of each weight: 2 to 8, or float",
        help: "How many bits a weight has. k bits give 2^k − 1 values, the same distance apart, the largest weight at the end.",
        access: Access::Bits(layered!(weight_bits)),
    },
    Field {
        name: "expand_ratio",
        label: "Expand ratio",
        value_name: "R",
        flag_help: "Share of input channels to duplicate in each layer: 0.02 splits 2 %, rounded up",
        help: "How many input channels may be added, as a share of those there are. Each split halves the largest weight of the layer, so the grid gets finer for all others.",
        access: Access::Share(layered!(expand_ratio)),
    },
    Field {
        name: "split",
        label: "Split",
        value_name: "qa|naive",
        flag_help: "How a weight becomes two: qa keeps their rounded sum, naive halves",
        help: "How a weight becomes two. Quantization-aware halves are moved by a quarter step, so that together they round to what the weight rounded to; naive halves are equal.",
        access: Access::Split(layered!(split)),
    },
    Field {
        name: "clip",
        label: "Clip",
        value_name: "HOW",
        flag_help: "How the largest weight kept is chosen: none, mse, aciq, aciq-2019, kl, percentile[:P], octav or manual:T",
        help: "Where the grid ends. None: at the largest weight, so that nothing is cut; the others trade a few large weights that are cut for a finer grid under all the rest.",
        access: Access::Clip(layered!(clip)),
    },
    Field {
        name: "activation_bits",
        label: "Activation bits",
        value_name: "K",
        flag_help: "Bits of each layer's input: 2 to 8, or float",
        help: "Bits of the numbers that flow between layers. Their ranges are measured on data, or estimated from the network where there is none.",
        access: Access::Bits(layered!(activation_bits)),
    },
    Field {
        name: "activation_clip",
        label: "Activation clip",
        value_name: "HOW",
        flag_help: "How the largest activation kept is chosen, by the same names",
        help: "Where the grid of the layers' inputs ends. None: at the largest value that was seen; the others cut the largest values for a finer grid under the rest.",
        access: Access::Clip(layered!(activation_clip)),
    },
    Field {
        name: "activation_expand_ratio",
        label: "Activation ratio",
        value_name: "R",
        flag_help: "Share of channels of each layer's input to halve and send twice; needs --activation-bits",
        help: "How many of a layer's inputs may be sent twice at half the value, as a share of those there are: those whose numbers lie beyond the rest most often. Their grid gets finer; the layer has more inputs.",
        access: Access::Share(layered!(activation_expand_ratio)),
    },
    Field {
        name: "activation_split",
        label: "Activation split",
        value_name: "qa|naive",
        flag_help: "How an activation becomes two: qa keeps their rounded sum, naive halves",
        help: "How an input becomes two. Quantization-aware halves are moved by a quarter step, so that together they round to what the input rounded to; naive halves are equal.",
        access: Access::Split(layered!(activation_split)),
    },
    Field {
        name: "scales",
        label: "Scales",
        value_name: "tensor|channel|block:N",
        flag_help: "What has a scale of its own: the tensor, each output channel, or each block of N weights of one (16, 32, 64, 128)",
        help: "How many grids a layer's weights have. One for the tensor; one for each output channel, which most runtimes support; or one for each block of weights along the inputs of an output channel. More scales: a smaller error, more bytes, fewer chips that can run it.",
        access: Access::Scales(layered!(scales)),
    },
    Field {
        name: "weight_zero_points",
        label: "Weight zero points",
        value_name: "",
        flag_help: "Give each scale of the weights a zero point: the grid reaches from the least weight to the greatest (unsigned integers in the file)",
        help: "Asymmetric weights: each scale has a zero point, and its grid of 2^k values reaches from the least weight to the greatest instead of as far below 0 as above. It helps where weights lie on one side, most in blocks and at few bits. Codes are stored as UINT2, UINT4 or UINT8 with zero points beside the scales; integer kernels and chips often take symmetric weights only.",
        access: Access::Switch(layered!(weight_zero_points)),
    },
    Field {
        name: "rounding",
        label: "Rounding",
        value_name: "nearest|squant|gptq",
        flag_help: "Which integer each weight gets: the nearest, squant (data-free: errors of a channel add up to zero) or gptq (least error of the layer's outputs)",
        help: "Which of the two neighbouring grid points a weight takes. Nearest: the closer one. SQuant: some take the other one, so that the errors of each kernel and channel add up to zero; it needs no data. GPTQ: errors are pushed on weights not yet rounded, so that the layer's outputs change least; it needs inputs of the layer, measured or estimated.",
        access: Access::Rounding(layered!(rounding)),
    },
    Field {
        name: "unsigned_activations",
        label: "Unsigned activations",
        value_name: "",
        flag_help: "Put inputs on unsigned integers: those that are never negative on 0 to 2^k - 1, the others with a zero point",
        help: "Inputs that are never negative, as after ReLU, use the whole grid for the positive side: one bit more for them at no cost. The others get a zero point, so that their grid reaches from the least value to the greatest.",
        access: Access::Switch(whole!(unsigned_activations)),
    },
    Field {
        name: "fold_batch_norm",
        label: "Fold batch-norm",
        value_name: "",
        flag_help: "Fold each batch-norm into the layer before it, first of all",
        help: "Multiply each batch-norm into the layer before it, as inference engines do. The function is the same, the weights are not.",
        access: Access::Switch(whole!(fold_batch_norm)),
    },
    Field {
        name: "cross_layer_equalization",
        label: "Equalize layers",
        value_name: "",
        flag_help: "Scale the channels between layers so that the weights of both have the same range",
        help: "Scale the channels between two layers so that both have weights of the same range. The function is the same; it does most where some channels are far larger than others.",
        access: Access::Switch(whole!(cross_layer_equalization)),
    },
    Field {
        name: "rotate",
        label: "Rotate residual stream",
        value_name: "",
        flag_help: "Rotate the residual stream of a transformer, in the weights, so that outliers of single channels spread over all (QuaRot)",
        help: "Multiply what the blocks of a transformer add up by an orthogonal matrix, in the weights that write it and those that read it; gains of norms go into the weights first. The function is the same; an outlier of one channel becomes small numbers in all of them. It needs no data. A head that shares the table of the embedding gets weights of its own. Only for transformers with their norms before their layers (Llama, GPT-2 and the like).",
        access: Access::Switch(whole!(rotate)),
    },
    Field {
        name: "smooth",
        label: "Smooth inputs",
        value_name: "A",
        flag_help: "Move outliers of inputs into the weights (SmoothQuant), as much as this strength says: 0 not, 0.5 as in the paper, 1 all",
        help: "Divide the channels of what layers read by a scale each, in the norm or the layer before, and multiply the weights by it. The function is the same; outliers of the inputs become smaller and weights take them on. 0: not; 0.5 is usual; 1: all goes into the weights. It needs inputs of the layers, measured or estimated.",
        access: Access::Share(whole!(smooth)),
    },
    Field {
        name: "awq",
        label: "Scale by activations",
        value_name: "",
        flag_help: "Scale columns of weights up that meet large inputs before rounding, as is best for the outputs (AWQ)",
        help: "Multiply the columns of weights that meet large inputs before they are rounded, and divide the inputs, in the norm or the layer before. The function is the same; the weights that matter most are rounded more finely (AWQ). How much is chosen for each group of layers by the error of its outputs. It needs inputs of the layers, measured or estimated.",
        access: Access::Switch(whole!(awq)),
    },
    Field {
        name: "bias_correction",
        label: "Correct biases",
        value_name: "",
        flag_help: "Take back in each bias how far rounding moves a layer's mean outputs",
        help: "Rounding the weights moves the mean of a layer's outputs; the bias takes that back. It needs the means of the layer's inputs, which are measured or estimated from batch-norm.",
        access: Access::Switch(whole!(bias_correction)),
    },
    Field {
        name: "sequential",
        label: "Layer by layer",
        value_name: "",
        flag_help: "Round by GPTQ and correct biases layer by layer, on the inputs behind the quantized layers before; needs calibration data",
        help: "Quantize one layer after the other. GPTQ and bias correction then see the inputs that a layer has behind the quantized layers before it, and aim at the outputs of the float network, so that later layers make good some of the error of earlier ones. It matters most at 2 and 3 bits and takes two more runs over the calibration data, which it needs.",
        access: Access::Switch(whole!(sequential)),
    },
    Field {
        name: "quantize_outputs",
        label: "Quantize outputs",
        value_name: "",
        flag_help: "Put the outputs of layers, sums and pools on 8-bit grids too, so that runtimes compute in integers from layer to layer",
        help: "Put the outputs of layers, sums and pools on 8-bit grids too, not only the inputs of layers. Runtimes then compute in integers from layer to layer, which is several times as fast; each grid costs some accuracy. Needs quantized activations.",
        access: Access::Switch(whole!(quantize_outputs)),
    },
    Field {
        name: "quantize_embeddings",
        label: "Quantize embeddings",
        value_name: "",
        flag_help: "Put tables of embeddings on a grid too, a scale for each row at most",
        help: "Tables from which rows are looked up, such as the words of a language model, are on a grid too. They are often most of a small model's bytes; their rows are never split.",
        access: Access::Switch(whole!(quantize_embeddings)),
    },
    Field {
        name: "split_export",
        label: "Copies",
        value_name: "gather|widen|merge|auto",
        flag_help: "How the copies of split channels are made: gather repeats channels of a layer's input at run time, widen has the layer before compute them where it can, merge adds the rounded copies up to one channel of wider codes where 8 bits hold them, auto takes the cheapest",
        help: "Who makes the copies of split channels in the exported network. Gather: a step before each split layer copies channels each time the network runs; no more multiplications, but time and memory for the copies. Widen: the layer before computes the copies itself, where that is possible; nothing is copied, but that layer has more weights and more multiply-accumulates (MACs). Merge: the rounded copies are added up to one channel; nothing is copied and no weight is added, but weights are one bit wider. Auto: the cheapest of these for each layer.",
        access: Access::Copies(whole!(split_export)),
    },
    Field {
        name: "storage",
        label: "Storage",
        value_name: "auto|int8|uint8|float",
        flag_help: "How the exported file stores quantized weights: auto takes INT2, INT4 or INT8, whichever is the smallest that holds them; int8 is for older runtimes; uint8 is exact in onnxruntime on x86 processors without VNNI too; float writes the values on the grid as floats",
        help: "How the exported file stores quantized weights. Auto: INT2 for 2 bits (operator set 25), INT4 for 3 and 4 bits (operator set 21) and for 2 bits where inputs are on a grid too, since onnxruntime does not load INT2 there, INT8 for the others; the smallest file. INT8: for runtimes that don't know the smaller types. UINT8: the same codes plus 128, with zero point 128; onnxruntime sums products with them exactly on every processor, where those of INT8 weights of 8 bits saturate on x86 without VNNI, and takes longer. Float: the values on the grid as 32-bit floats; as large and as fast as the float network, where a runtime would otherwise dequantize integer weights in every run.",
        access: Access::Storage(whole!(storage)),
    },
    Field {
        name: "products",
        label: "Matrix products",
        value_name: "exact|fast",
        flag_help: "How matrix products with float inputs are exported: exact keeps onnxruntime from fusing them, fast lets it fuse them into MatMulNBits, which rounds the inputs to 8 bits unless session.qdq_matmulnbits_accuracy_level is 1",
        help: "How matrix products with float inputs are exported. Exact: every runtime computes what is shown here. Fast: onnxruntime fuses weights and product into one operator (MatMulNBits), 2 to 6 times as fast, which rounds the inputs to 8 bits unless the session option session.qdq_matmulnbits_accuracy_level is 1.",
        access: Access::Products(whole!(products)),
    },
    Field {
        name: "float_first_layer",
        label: "Keep first layer float",
        value_name: "",
        flag_help: "Leave the first layer as it is",
        help: "Leave the first layer as it is. It has few weights, and every error of it goes through the whole network.",
        access: Access::Switch(whole!(float_first_layer)),
    },
    Field {
        name: "float_last_layer",
        label: "Keep last layer float",
        value_name: "",
        flag_help: "Leave the last layer, the classifier, as it is",
        help: "Leave the last layer, the classifier, as it is. The paper does so.",
        access: Access::Switch(whole!(float_last_layer)),
    },
];
