//! Rotary embedding (Su et al. 2021): pairs of channels are turned by an angle that grows with the position. Which channels
//! are a pair is transformers' way: number i and number i + half.
//!
//! The angles of a position are its number times the frequencies, which config.json may scale for longer texts.

use crate::format::architecture::config::Config;
use crate::format::architecture::net::Net;
use crate::onnx::build::{float_tensor, i64_tensor, int_attribute};
use crate::onnx::schema::data_type;
use serde_json::Value;

/// Base of the frequencies where nothing tells it.
const USUAL_BASE: f64 = 10_000.0;

/// Why config.json does not tell the frequencies, in words that follow what it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScalingError {
    #[error("of config.json is '{0}', which is not known")]
    Unknown(String),
    #[error("of config.json lacks '{0}'")]
    Lacks(&'static str),
    #[error("of config.json lacks a 'short_factor' for each pair of channels")]
    ShortFactor,
}

/// Frequencies of the pairs, and the factor that both sine and cosine take.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frequencies {
    pub(super) values: Vec<f32>,
    pub(super) factor: f32,
}

impl Frequencies {
    /// Those of the paper, for a base.
    pub(super) fn plain(base: f64, channels: usize) -> Self {
        let pair = |pair: usize| {
            // As torch computes it: the exponent in f32.
            let exponent = (2 * pair) as f32 / channels as f32;
            1.0 / (base as f32).powf(exponent)
        };
        Self {
            values: (0..channels / 2).map(pair).collect(),
            factor: 1.0,
        }
    }

    /// As `rope_scaling` (or `rope_parameters`) of the configuration has them, for `channels` turned channels of a head.
    ///
    /// # Errors
    /// The kind of scaling that is not known, or what it lacks.
    pub(super) fn of(config: &Config, channels: usize, kind_of_layer: Option<&str>) -> Result<Self, ScalingError> {
        let nothing = Value::Null;
        let parameters = config
            .value("rope_parameters")
            .or_else(|| config.value("rope_scaling"))
            .unwrap_or(&nothing);
        // Networks with two kinds of attention keep the parameters of each by its name.
        let parameters = kind_of_layer
            .and_then(|kind| parameters.get(kind))
            .unwrap_or(parameters);
        let number = |key: &str| parameters.get(key).and_then(Value::as_f64);
        let base = number("rope_theta")
            .or_else(|| config.number("rope_theta").map(f64::from))
            .unwrap_or(USUAL_BASE);
        let kind = ["rope_type", "type"]
            .iter()
            .find_map(|key| parameters.get(key)?.as_str());
        let scaling = Scaling {
            base,
            channels,
            parameters,
            config,
        };
        match kind.unwrap_or("default") {
            "default" | "mrope" => Ok(scaling.plain()),
            "linear" => scaling.linear(),
            "llama3" => scaling.llama3(),
            "yarn" => scaling.yarn(),
            "longrope" | "su" => scaling.longrope(),
            // For texts within the trained length it is the plain one.
            "dynamic" => Ok(scaling.plain()),
            other => Err(ScalingError::Unknown(other.to_owned())),
        }
    }
}

/// What the frequencies are made of.
struct Scaling<'a> {
    base: f64,
    channels: usize,
    parameters: &'a Value,
    config: &'a Config,
}

impl Scaling<'_> {
    fn need(&self, key: &'static str) -> Result<f64, ScalingError> {
        let found = self.parameters.get(key).and_then(Value::as_f64);
        found.filter(|number| *number > 0.0).ok_or(ScalingError::Lacks(key))
    }

    fn optional(&self, key: &str, usual: f64) -> f64 {
        self.parameters.get(key).and_then(Value::as_f64).unwrap_or(usual)
    }

    /// Length that the network was trained on before its frequencies were scaled.
    fn trained_length(&self) -> f64 {
        let told = self
            .parameters
            .get("original_max_position_embeddings")
            .and_then(Value::as_f64);
        let of_config = |key| self.config.count(key).map(|count| count as f64);
        told.or_else(|| of_config("original_max_position_embeddings"))
            .or_else(|| of_config("max_position_embeddings"))
            .unwrap_or(2048.0)
    }

    fn each(&self, scaled: impl Fn(usize, f64) -> f64) -> Vec<f32> {
        let plain = self.plain().values.into_iter().enumerate();
        plain
            .map(|(pair, frequency)| scaled(pair, f64::from(frequency)) as f32)
            .collect()
    }

    fn plain(&self) -> Frequencies {
        Frequencies::plain(self.base, self.channels)
    }

    /// Positions divided by a factor (Chen et al. 2023).
    fn linear(&self) -> Result<Frequencies, ScalingError> {
        let factor = self.need("factor")?;
        Ok(Frequencies {
            values: self.each(|_, frequency| frequency / factor),
            factor: 1.0,
        })
    }

    /// Llama 3.1's: long waves slowed down by a factor, short ones left, those between mixed.
    fn llama3(&self) -> Result<Frequencies, ScalingError> {
        let (factor, low, high) = (
            self.need("factor")?,
            self.need("low_freq_factor")?,
            self.need("high_freq_factor")?,
        );
        let length = self.trained_length();
        let scaled = |_, frequency: f64| {
            let wave = 2.0 * std::f64::consts::PI / frequency;
            if wave < length / high {
                frequency
            } else if wave > length / low {
                frequency / factor
            } else {
                let smooth = (length / wave - low) / (high - low);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        };
        Ok(Frequencies {
            values: self.each(scaled),
            factor: 1.0,
        })
    }

    /// YaRN (Peng et al. 2023): between two numbers of turns within the trained length the frequencies go over from those
    /// divided by the factor to those as they were.
    fn yarn(&self) -> Result<Frequencies, ScalingError> {
        let factor = self.need("factor")?;
        let (fast, slow) = (self.optional("beta_fast", 32.0), self.optional("beta_slow", 1.0));
        let (channels, length) = (self.channels as f64, self.trained_length());
        let place =
            |turns: f64| channels * (length / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * self.base.ln());
        let truncate = self.parameters.get("truncate").and_then(Value::as_bool).unwrap_or(true);
        let whole = |number: f64, round: fn(f64) -> f64| if truncate { round(number) } else { number };
        let first = whole(place(fast), f64::floor).max(0.0);
        let last = whole(place(slow), f64::ceil).min(channels - 1.0);
        let last = if first == last { last + 0.001 } else { last };
        let scaled = |pair: usize, frequency: f64| {
            let divided = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
            frequency / factor * divided + frequency * (1.0 - divided)
        };
        let strength = |scale: f64| {
            if factor <= 1.0 {
                1.0
            } else {
                0.1 * scale * factor.ln() + 1.0
            }
        };
        let own = self.parameters.get("attention_factor").and_then(Value::as_f64);
        let [mscale, of_all] = ["mscale", "mscale_all_dim"].map(|key| self.optional(key, 0.0));
        let of_scales = (mscale > 0.0 && of_all > 0.0).then(|| strength(mscale) / strength(of_all));
        Ok(Frequencies {
            values: self.each(scaled),
            factor: own.or(of_scales).unwrap_or_else(|| strength(1.0)) as f32,
        })
    }

    /// LongRoPE (Ding et al. 2024) for texts within the trained length: a divisor for each pair.
    fn longrope(&self) -> Result<Frequencies, ScalingError> {
        let divisors = self.parameters.get("short_factor").and_then(Value::as_array);
        let divisors: Option<Vec<f64>> = divisors.and_then(|list| list.iter().map(Value::as_f64).collect());
        let divisors = divisors
            .filter(|divisors| divisors.len() == self.channels / 2 && divisors.iter().all(|divisor| *divisor > 0.0))
            .ok_or(ScalingError::ShortFactor)?;
        let trained = self.trained_length();
        let longest = self
            .config
            .count("max_position_embeddings")
            .map_or(trained, |count| count as f64);
        let stretch = self
            .parameters
            .get("factor")
            .and_then(Value::as_f64)
            .unwrap_or(longest / trained);
        let own = self.parameters.get("attention_factor").and_then(Value::as_f64);
        let usual = if stretch <= 1.0 {
            1.0
        } else {
            (1.0 + stretch.ln() / trained.ln()).sqrt()
        };
        Ok(Frequencies {
            values: self.each(|pair, frequency| frequency / divisors[pair]),
            factor: own.unwrap_or(usual) as f32,
        })
    }
}

/// Cosine and sine of every position's angles, `[steps, pairs]`.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    cosine: String,
    sine: String,
    pairs: usize,
}

impl Turns {
    /// Computed once for all layers of the same `frequencies`.
    pub(super) fn new(net: &mut Net<'_>, positions: &str, frequencies: &Frequencies, name: &str) -> Self {
        let pairs = frequencies.values.len();
        let to = int_attribute("to", i64::from(data_type::FLOAT));
        let positions = net.node("Cast", &format!("{name}.positions"), [positions], vec![to]);
        let axis = net.constant(i64_tensor(format!("{name}.column"), &[1], &[1]));
        let column = net.node("Unsqueeze", &format!("{name}.steps"), [positions, axis], vec![]);
        let row = net.constant(float_tensor(
            format!("{name}.frequencies"),
            &[1, pairs],
            &frequencies.values,
        ));
        let angles = net.node("Mul", &format!("{name}.angles"), [column, row], vec![]);
        let [cosine, sine] = [("Cos", "cos"), ("Sin", "sin")].map(|(operator, part)| {
            let value = net.node(operator, &format!("{name}.{part}"), [angles.as_str()], vec![]);
            if frequencies.factor == 1.0 {
                return value;
            }
            net.scale(&value, &format!("{name}.{part}.scaled"), frequencies.factor)
        });
        Self { cosine, sine, pairs }
    }

    /// Turns the first channels of `value` `[batch, heads, steps, head]` and leaves the others.
    pub(super) fn turn(&self, net: &mut Net<'_>, value: &str, head: usize, name: &str) -> String {
        let left = head.saturating_sub(2 * self.pairs);
        let (first, second, rest) = if left == 0 {
            let [first, second] = net.split(value, &format!("{name}.pairs"), [self.pairs, self.pairs]);
            (first, second, None)
        } else {
            let [first, second, rest] = net.split(value, &format!("{name}.pairs"), [self.pairs, self.pairs, left]);
            (first, second, Some(rest))
        };
        let mut times =
            |part: &str, value: &str, by: &str| net.node("Mul", &format!("{name}.{part}"), [value, by], vec![]);
        let (a, b) = (
            times("first_cos", &first, &self.cosine),
            times("second_sin", &second, &self.sine),
        );
        let (c, d) = (
            times("second_cos", &second, &self.cosine),
            times("first_sin", &first, &self.sine),
        );
        let first = net.node("Sub", &format!("{name}.first"), [a, b], vec![]);
        let second = net.node("Add", &format!("{name}.second"), [c, d], vec![]);
        let parts = [Some(first), Some(second), rest].into_iter().flatten();
        net.node(
            "Concat",
            &format!("{name}.turned"),
            parts,
            vec![int_attribute("axis", -1)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frequencies(config: &str, channels: usize) -> Result<Frequencies, ScalingError> {
        Frequencies::of(&Config::parse(config).unwrap(), channels, None)
    }

    #[test]
    fn frequencies_fall_from_one_by_the_base() {
        let plain = frequencies(r#"{"rope_theta": 10000}"#, 4).unwrap();
        assert_eq!(plain.factor, 1.0);
        assert!(
            (plain.values[0] - 1.0).abs() < 1e-7 && (plain.values[1] - 0.01).abs() < 1e-8,
            "{plain:?}"
        );
        let halved = frequencies(r#"{"rope_scaling": {"type": "linear", "factor": 2}}"#, 4).unwrap();
        assert_eq!(halved.values[0], 0.5);
    }

    #[test]
    fn what_is_not_known_or_lacks_its_numbers_is_refused() {
        let error = frequencies(r#"{"rope_scaling": {"rope_type": "spiral"}}"#, 4)
            .unwrap_err()
            .to_string();
        assert!(error.contains("'spiral'"), "{error}");
        let error = frequencies(r#"{"rope_scaling": {"rope_type": "llama3", "factor": 8}}"#, 4)
            .unwrap_err()
            .to_string();
        assert!(error.contains("low_freq_factor"), "{error}");
        let error = frequencies(r#"{"rope_scaling": {"type": "longrope", "short_factor": [1]}}"#, 4)
            .unwrap_err()
            .to_string();
        assert!(error.contains("short_factor"), "{error}");
    }
}
