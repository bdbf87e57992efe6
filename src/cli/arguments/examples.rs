//! What stands at the end of each subcommand's help: commands to try.

pub(super) const INSPECT: &str = "Examples:
  splitscope inspect demo:fashion
  splitscope inspect model.safetensors --json
  splitscope inspect demo:fashion --curves layer3.2.conv1 --weight-bits 3";

pub(super) const QUANTIZE: &str = "Examples:
  splitscope quantize demo:fashion -o out.onnx --weight-bits 4 --expand-ratio 0.02 --clip mse
  splitscope quantize model.onnx -o out.onnx --preset deploy --calibration images --report out.json
  splitscope quantize model.safetensors -o out.safetensors --recipe recipe.toml";

pub(super) const EVALUATE: &str = "Examples:
  splitscope evaluate demo:fashion --data demo:fashion --weight-bits 3 --expand-ratio 0.05
  splitscope evaluate model.onnx --data images --preprocess imagenet --preset deploy --json
  splitscope evaluate model.onnx --input x=samples.npy --weight-bits 4";

pub(super) const CONTINUE: &str = "Examples:
  splitscope continue demo:shakespeare --prompt ROMEO: --tokens 80 --weight-bits 3
  splitscope continue model.gguf --prompt Once --temperature 0.8 --seed 1 --preset int4 --json";

pub(super) const CHECK: &str = "Examples:
  splitscope check demo:fashion --data demo:fashion --weight-bits 4 --clip mse --max-drop 1% --max-bytes 600kB
  splitscope check model.onnx --recipe recipe.toml --data images --max-drop 0.5% --json";

pub(super) const SENSITIVITY: &str = "Examples:
  splitscope sensitivity demo:fashion --data demo:fashion --limit 200 --weight-bits 3
  splitscope sensitivity model.onnx --weight-bits 4 --json";

pub(super) const CURE: &str = "Each fix is run: the network with only that layer quantized, before and after.

Examples:
  splitscope cure demo:fashion --data demo:fashion --weight-bits 3
  splitscope cure demo:fashion --data demo:fashion --weight-bits 3 --layer conv1 --json
  splitscope cure model.onnx --data images --weight-bits 4 --within 2% -o mended.toml";

pub(super) const MASSIVE: &str = "An activation is massive if it is at least 100 and 1000 times the median of its value (Sun et al. 2024); a super weight makes half \
     or more of a massive output by itself (Yu et al. 2024). Beside it the largest other weight of its layer is taken away alone.

Examples:
  splitscope massive model.gguf --data text.txt --window 256 --limit 512
  splitscope massive model.onnx --data text.txt --magnitude 50 --ratio 100 --top 3 --json";

pub(super) const TRACE: &str = "Each value is shown with the SQNR that it has as both networks run (cumulative), with the SQNR of what its own nodes do to the \
     float network's values (own), and with that of its own grid.

Examples:
  splitscope trace demo:fashion --data demo:fashion --weight-bits 3
  splitscope trace model.onnx quantized.onnx --data samples.npy --json";

pub(super) const SWEEP: &str = "Examples:
  splitscope sweep demo:fashion --data demo:fashion --weight-bits 4,3 --expand-ratio 0,0.05 --clip none,mse
  splitscope sweep model.onnx --data images --weight-bits 4 --expand-ratio 0,0.05 --csv rows.csv --resume
  splitscope sweep model.onnx --data images --weight-bits 4,3 --clip none,mse --csv part2.csv --shard 2/3";

pub(super) const FRONT: &str = "Examples:
  splitscope front demo:fashion --data demo:fashion --weight-bits 4,3
  splitscope front model.onnx --data images --calibration others --weight-bits 4 --activation-bits 5,4 --json
  splitscope front model.gguf --data test.txt --calibration train.txt --window 256 --moves rotate,smooth,awq";

pub(super) const AUTO: &str = "Bits, ratio, clip, scales and rounding of the weights are chosen layer by layer; of the recipe flags, --weight-bits and --scales say what \
     plain network a budget in % refers to; --expand-ratio, --clip and --rounding are chosen anew, and bias correction is tried.
It is chosen on --calibration (a demo brings its own), else on the first half of --data, and judged on the rest of --data; \
     without data, on noise of two seeds.

Examples:
  splitscope auto demo:fashion --data demo:fashion --weight-bits 4
  splitscope auto model.onnx --data images --target-accuracy 0.9 --json
  splitscope auto model.onnx --data images --weight-bits 4 --csv part2.csv --shard 2/3";

pub(super) const DIFF: &str = "Examples:
  splitscope diff model.onnx exported.onnx
  splitscope diff model.onnx exported.onnx --data images --json
  splitscope diff model.safetensors model.onnx";

pub(super) const REPORT: &str = "Examples:
  splitscope report demo:fashion -o fashion.html --data demo:fashion --weight-bits 3 --expand-ratio 0.05
  splitscope report model.onnx -o report.html --recipe recipe.toml --sweep rows.csv
  splitscope report model.onnx --model-explorer nodes.json --weight-bits 4 --clip mse";

pub(super) const GENERATE: &str = "Examples:
  splitscope generate bash > ~/.local/share/bash-completion/completions/splitscope
  splitscope generate man | man -l -";
