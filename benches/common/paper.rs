//! The rival: the paper's algorithms written down as directly as its description puts them, in Rust. Maxima of all channels
//! are found anew and the tensor is copied for each split; thresholds are searched in the paper's own histograms. It is here
//! for its speed alone: the faults that its code has are kept where they do not change the amount of work.
//!
//! Zhao et al. 2019, sections 3.2 to 3.4; histogram searches as in the code that came with the paper.

use splitscope::network::Layout;

/// Splits `count` input channels of `[outer, channels, inner]`, each time the one with the largest |w|; `step` of the grid,
/// 0 for halves. Returns the expanded tensor, its copies behind the channels.
pub(crate) fn split(values: &[f32], layout: &Layout, count: usize, step: f32) -> (Vec<f32>, usize) {
    let (outer, inner) = (layout.outer, layout.inner);
    let (mut tensor, mut channels) = (values.to_vec(), layout.channels);
    for _ in 0..count {
        let mut maxima = vec![0.0_f32; channels];
        for row in 0..outer {
            for (channel, most) in maxima.iter_mut().enumerate() {
                for x in &tensor[(row * channels + channel) * inner..][..inner] {
                    *most = most.max(x.abs());
                }
            }
        }
        let mut chosen = 0;
        for channel in 1..channels {
            if maxima[channel] > maxima[chosen] {
                chosen = channel;
            }
        }
        let mut wider = Vec::with_capacity(outer * (channels + 1) * inner);
        for row in tensor.chunks(channels * inner) {
            let copied = &row[chosen * inner..][..inner];
            wider.extend_from_slice(&row[..chosen * inner]);
            wider.extend(copied.iter().map(|x| (x - 0.5 * step) / 2.0));
            wider.extend_from_slice(&row[(chosen + 1) * inner..]);
            wider.extend(copied.iter().map(|x| (x + 0.5 * step) / 2.0));
        }
        tensor = wider;
        channels += 1;
    }
    (tensor, channels)
}

/// Both passes: halves to learn the maximum, then quantization-aware halves on the grid of `bits`.
pub(crate) fn split_in_two_passes(values: &[f32], layout: &Layout, count: usize, bits: u8) -> Vec<f32> {
    let (halves, _) = split(values, layout, count, 0.0);
    let step = largest(&halves) / levels(bits);
    split(values, layout, count, step).0
}

fn levels(bits: u8) -> f32 {
    ((1_i32 << (bits - 1)) - 1) as f32
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most: f32, x| most.max(x.abs()))
}

fn histogram(values: &[f32], bins: usize, edge: f32) -> Vec<f64> {
    let mut counts = vec![0.0; bins];
    let width = 2.0 * f64::from(edge) / bins as f64;
    for x in values {
        let bin = ((f64::from(*x) + f64::from(edge)) / width) as usize;
        counts[bin.min(bins - 1)] += 1.0;
    }
    counts
}

fn centres(bins: usize, edge: f32) -> Vec<f64> {
    let width = 2.0 * f64::from(edge) / bins as f64;
    (0..bins)
        .map(|bin| (bin as f64 + 0.5) * width - f64::from(edge))
        .collect()
}

/// Least squared error over 201 bins, of the thresholds .01 to .99 of the largest |w|.
pub(crate) fn threshold_by_mse(values: &[f32], bits: u8) -> f32 {
    const BINS: usize = 201;
    let edge = largest(values);
    let (counts, centres) = (histogram(values, BINS, edge), centres(BINS, edge));
    let mut best = (f64::INFINITY, edge);
    for percent in 1..100 {
        let threshold = f64::from(edge) * f64::from(percent) / 100.0;
        let step = threshold / f64::from(levels(bits));
        let mut error = 0.0;
        for (x, count) in centres.iter().zip(&counts) {
            let rounded = (x.clamp(-threshold, threshold) / step + 0.5).floor() * step;
            error += count * (x - rounded).powi(2);
        }
        if error < best.0 {
            best = (error, threshold as f32);
        }
    }
    best.1
}

/// Fits a Gaussian (its deviation from the range) and a Laplacian, and takes the threshold of the one with less error.
pub(crate) fn threshold_by_aciq(values: &[f32], bits: u8) -> f32 {
    const GAUSS: [f64; 7] = [1.478, 1.805, 2.192, 2.577, 2.945, 3.291, 3.617];
    const LAPLACE: [f64; 7] = [2.332, 3.045, 4.004, 5.083, 6.232, 7.427, 8.653];
    let n = values.len() as f64;
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let b = values.iter().map(|x| (f64::from(*x) - mean).abs()).sum::<f64>() / n;
    let sigma = 0.5402 * f64::from(high - low) / (2.0 * n.ln()).sqrt();
    let at = usize::from(bits) - 2;
    let (gauss, laplace) = (GAUSS[at] * sigma, LAPLACE[at] * b);
    let rounding = |a: f64| a * a / (3.0 * f64::from(levels(bits)).powi(2) * 4.0);
    // Clipping error of each distribution beyond its threshold, Banner et al. 2018, equations 3 and 11.
    let z = gauss / sigma;
    let tail = (-z * z / 2.0).exp() / (z * (std::f64::consts::TAU).sqrt());
    let gauss_error = rounding(gauss) + 2.0 * sigma * sigma * tail;
    let laplace_error = rounding(laplace) + 2.0 * b * b * (-laplace / b).exp();
    if gauss_error < laplace_error {
        gauss as f32
    } else {
        laplace as f32
    }
}

/// Least Kullback-Leibler divergence over 1001 bins, every candidate merged, spread and smoothed anew.
pub(crate) fn threshold_by_kl(values: &[f32], bits: u8) -> f32 {
    const BINS: usize = 1001;
    const EPSILON: f64 = 1e-4;
    let edge = largest(values);
    let counts = histogram(values, BINS, edge);
    let merged = 2 * levels(bits) as usize + 1;
    let half = BINS / 2;
    let mut best = (f64::INFINITY, half);
    for reach in merged / 2..=half {
        let inner = &counts[half - reach..=half + reach];
        let mut p = inner.to_vec();
        let last = p.len() - 1;
        p[0] += counts[..half - reach].iter().sum::<f64>();
        p[last] += counts[half + reach + 1..].iter().sum::<f64>();
        let occupied: Vec<bool> = p.iter().map(|count| *count > 0.0).collect();
        let width = p.len() / merged;
        let mut q = vec![0.0; p.len()];
        for level in 0..merged {
            let (start, end) = (
                level * width,
                if level + 1 == merged {
                    p.len()
                } else {
                    (level + 1) * width
                },
            );
            let sum: f64 = inner[start..end].iter().sum();
            let places = occupied[start..end].iter().filter(|occupied| **occupied).count();
            for bin in start..end {
                if occupied[bin] && places > 0 {
                    q[bin] = sum / places as f64;
                }
            }
        }
        let (p_total, q_total): (f64, f64) = (p.iter().sum(), q.iter().sum());
        let divergence: f64 = (p.iter().zip(&q))
            .map(|(p, q)| (p / p_total + EPSILON, q / q_total.max(1.0) + EPSILON))
            .map(|(p, q)| p * (p / q).ln())
            .sum();
        if divergence < best.0 {
            best = (divergence, reach);
        }
    }
    edge * (2 * best.1 + 1) as f32 / BINS as f32
}
