"""Times onnxruntime on the files that the preview is timed on.

A tool for developers; no build or test needs it. Needs onnx, onnxruntime, numpy.

    SPLITSCOPE_EXPORTS=FOLDER cargo bench --bench limits -- preview
    python3 benches/rival_onnxruntime.py FOLDER

The bench writes the networks that it runs into FOLDER, with the number of samples and the batch in their names. Each is run
here on as many samples in batches of that size, on two threads, and the best of several rounds is printed.
"""

import pathlib
import re
import sys
import time

import numpy as np
import onnxruntime

ROUNDS = 7
THREADS = 2


def main():
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
        samples, batch = map(int, re.search(r"-(\d+)in(\d+)\.onnx$", path.name).groups())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        port = session.get_inputs()[0]
        integer = "int" in port.type
        if integer:  # streams of tokens, as the preview runs them: [time, streams]
            shape = [samples // batch, batch]
            runs, count = 1, samples
        else:
            shape = [batch] + [size for size in port.shape[1:]]
            runs = samples // batch
            count = runs * batch
        values = np.random.default_rng(1)
        data = values.integers(0, 50, shape) if integer else values.standard_normal(shape).astype(np.float32)
        best = float("inf")
        for _ in range(ROUNDS):
            started = time.perf_counter()
            for _ in range(runs):
                session.run(None, {port.name: data})
            best = min(best, time.perf_counter() - started)
        print(f"{path.name:60} {count / best:10.1f}/s")


main()
